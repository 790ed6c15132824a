/* The two sources of a model's files, and what they share: where a file is collected, how it is checked and accepted. */
#ifndef MR_REGISTRY_FETCH_SOURCE_H
#define MR_REGISTRY_FETCH_SOURCE_H

#include "registry/fetch.h"

/* A file whose size the catalogue does not know may not be larger: such files are configurations and vocabularies. */
#define MR_FETCH_MAX_UNKNOWN (UINT64_C(256) << 20)

typedef struct mr_fetch_job {
    const mr_catalogue_entry *entry;
    mr_fetch_options options; /* defaults filled in */
    char *staging;            /* folder of the collected files: <path>.part while loading, <path> when checked */
    bool *wanted;             /* [entry->file_count]: not yet in the model's folder nor collected */
    uint64_t total_done;      /* bytes of the files before the current one */
} mr_fetch_job;

/* Each collects every wanted file. A file that is collected stays, whatever happens to the next. */
mr_status mr_fetch_from_hub(mr_fetch_job *job, mr_error *error);
mr_status mr_fetch_from_pypi(mr_fetch_job *job, mr_error *error);

/* "<staging>/<path><suffix>", its folder made; malloc'ed. */
mr_status mr_fetch_staged_path(const mr_fetch_job *job, const mr_catalogue_file *file, const char *suffix, char **out, mr_error *error);
/* The most bytes this file may have. */
uint64_t mr_fetch_limit(const mr_catalogue_file *file);
/* MODEL_CORRUPT when the file at `path` has not the size or hash of the catalogue. */
mr_status mr_fetch_check(const mr_catalogue_file *file, const char *path, mr_error *error);
/* Checks the part file, syncs it and gives it its name; removes it when it is wrong. The file is no longer wanted. */
mr_status mr_fetch_accept(mr_fetch_job *job, size_t index, const char *part, mr_error *error);
void mr_fetch_report(const mr_fetch_job *job, const char *name, uint64_t done, uint64_t total);
/* Sleeps; false once nothing is left of `*remaining_ns`. */
bool mr_fetch_pause(int64_t delay_ns, int64_t *remaining_ns);

#endif
