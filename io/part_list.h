/* The parts directory of an output. Private to io/. */
#ifndef MR_IO_PART_LIST_H
#define MR_IO_PART_LIST_H

#include "io/part_file.h"

typedef struct mr_part {
    uint64_t first, end;
    uint64_t file_bytes;
    uint32_t source_base; /* what its /source/shard numbers are raised by when it is joined */
    char *path;
} mr_part;

/* Sorted by first ascending, then end descending. */
typedef struct mr_part_list {
    mr_part *items;
    size_t count, capacity;
    bool has_total; /* some run has reached the end of the input */
    uint64_t total; /* and counted this many records */
    bool distinct;  /* finished files, not parts of one job: their input names follow one another */
} mr_part_list;

/* Zero-initialised `list`; fini also after a failure. A missing directory is an empty list. */
mr_status mr_part_list_scan(mr_part_list *list, const char *directory, mr_error *error);
void mr_part_list_fini(mr_part_list *list);
/* Appends a file; its `path` is copied. OUT_OF_MEMORY. */
mr_status mr_part_list_add(mr_part_list *list, const char *path, uint64_t first, uint64_t end, mr_error *error);
void mr_part_list_sort(mr_part_list *list);

/* Opens every part: one of another job is OUTPUT_DIFFERS; one that cannot be read, or does not hold what its name says,
 * is removed with a warning: its rows are done again. */
mr_status mr_part_list_check(mr_part_list *list, const mr_embedding_schema *schema, const mr_job_identity *job, mr_error *error);

/* Ascending, disjoint, merged; malloc'ed into *out. */
mr_status mr_part_list_ranges(const mr_part_list *list, mr_range **out, size_t *count, mr_error *error);

/* Leaves word of the number of records, for runs and merges that did not read the whole input. */
mr_status mr_parts_note_total(const char *directory, uint64_t total, mr_error *error);

/* Removes "PREFIX*.tmp" files: what a killed run of that lock name left. */
void mr_parts_remove_temporaries(const char *directory, const char *prefix);
/* Removes parts, temporaries and the total. Other files stay. */
void mr_parts_remove_all(const char *directory);
/* The same with the folder, unless a run of that lock name is at work: what one that was killed behind the last rename left. */
void mr_parts_remove_leftovers(const char *directory, const char *lock_name);

#endif
