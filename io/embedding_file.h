/* Reading an embedding output back: the finished file, or one part. Everything in it is checked: a damaged or hostile
 * file is BAD_INPUT. One thread at a time, shared with every sink (libhdf5). */
#ifndef MR_IO_EMBEDDING_FILE_H
#define MR_IO_EMBEDDING_FILE_H

#include "core/error.h"
#include "io/embedding_row.h"

typedef struct mr_embedding_file mr_embedding_file;

mr_status mr_embedding_file_open(const char *path, mr_embedding_file **out, mr_error *error);
void mr_embedding_file_close(mr_embedding_file *file); /* NULL is fine */

uint64_t mr_embedding_file_rows(const mr_embedding_file *file);
size_t mr_embedding_file_dimension(const mr_embedding_file *file);
mr_vector_dtype mr_embedding_file_dtype(const mr_embedding_file *file);
bool mr_embedding_file_has_text(const mr_embedding_file *file);

/* Root attribute as text (numbers in decimal); NULL when absent. Borrowed until close. */
const char *mr_embedding_file_attribute(const mr_embedding_file *file, const char *name);
/* Every root attribute in the order they were written; false past the end. Borrowed until close. */
bool mr_embedding_file_attribute_at(const mr_embedding_file *file, size_t index, mr_attribute *out);

/* Names of the input files by source_index. */
size_t mr_embedding_file_source_count(const mr_embedding_file *file);
mr_str mr_embedding_file_source_name(const mr_embedding_file *file, size_t index); /* borrowed until close */

/* Vectors of rows [first, first + count) as f32 -> vectors [count, dimension]. */
mr_status mr_embedding_file_vectors(mr_embedding_file *file, uint64_t first, size_t count, float *vectors, mr_error *error);
/* All but the vector of one row; views are valid until the next call on this file. Reading rows in ascending order is
 * fast: they are fetched in runs. */
mr_status mr_embedding_file_row(mr_embedding_file *file, uint64_t row, mr_embedding_row *out, mr_error *error);
/* First row with this id; NO_INPUT when absent. */
mr_status mr_embedding_file_find(mr_embedding_file *file, mr_str id, uint64_t *row, mr_error *error);

#endif
