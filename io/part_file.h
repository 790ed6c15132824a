/* One HDF5 file of embedding rows with its root attributes: a part, or the finished output. Private to io/. */
#ifndef MR_IO_PART_FILE_H
#define MR_IO_PART_FILE_H

#include "io/embedding_schema.h"
#include "io/job_identity.h"
#include "io/sink.h"


/* The attributes that describe the file itself; written by mr_part_file_describe. */
typedef struct mr_part_facts {
    uint64_t first, end;                     /* ordinals */
    uint64_t by_status[MR_ROW_STATUS_COUNT]; /* rows */
} mr_part_facts;

bool mr_attribute_is_reserved(const char *name);

/* The root attributes that say which job made a part, taken over from one; `fingerprint` and `job_text` replace its own when not NULL. */
mr_status mr_part_file_copy_job(hid_t from, hid_t to, const char *fingerprint, const char *job_text, mr_error *error);
/* A table of one write. */
mr_status mr_part_file_write_table(hid_t file, const mr_column *columns, size_t count, const mr_block *block, mr_error *error);
mr_status mr_part_file_describe(hid_t file, const mr_part_facts *facts, mr_error *error);

/* Writes a whole part under `path` (temporary), synced. */
mr_status mr_part_file_write(const char *path, const mr_sink_options *options, const mr_embedding_schema *schema,
                             const mr_block *block, uint64_t first, mr_error *error);

void mr_part_facts_count(mr_part_facts *facts, const mr_block *block);

/* Reads dtype, dimension and which optional columns a file has. BAD_INPUT when it is not an embedding output. */
mr_status mr_part_file_read_schema(hid_t file, const char *path, mr_embedding_schema *schema, mr_error *error);

/* Do its vectors lie in the parts beside it? */
bool mr_part_file_is_in_place(hid_t file);

/* OK when the file belongs to the job, else OUTPUT_DIFFERS naming each setting and input that differs. */
mr_status mr_part_file_check_job(hid_t file, const char *path, const mr_job_identity *job, mr_error *error);

#endif
