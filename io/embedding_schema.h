/* The datasets of an embedding output. Private to io/. */
#ifndef MR_IO_EMBEDDING_SCHEMA_H
#define MR_IO_EMBEDDING_SCHEMA_H

#include "io/embedding_row.h"
#include "io/table.h"

#define MR_SCHEMA_VERSION 1

enum {
    MR_COLUMN_EMBEDDING, /* first: its size bounds the row count of a file that lies */
    MR_COLUMN_STATUS,
    MR_COLUMN_TOKENS,
    MR_COLUMN_ID,
    MR_COLUMN_ERROR,
    MR_COLUMN_SHARD,
    MR_COLUMN_RECORD,
    MR_COLUMN_OPTIONAL /* and further: scale, width, height, text */
};

typedef struct mr_embedding_schema {
    mr_column columns[MR_COLUMNS_MAX];
    size_t count;
    size_t scale, text, width, height; /* column numbers; 0: not there */
    mr_vector_dtype dtype;
    size_t dimension;
} mr_embedding_schema;

/* What an output may have beside what all have. */
typedef struct mr_embedding_extras {
    bool text;
    bool image_sizes; /* width and height; texts are called captions then */
} mr_embedding_extras;

void mr_embedding_schema_init(mr_embedding_schema *schema, mr_vector_dtype dtype, size_t dimension, mr_embedding_extras extras);

/* The table of input names, /source/files. */
extern const mr_column mr_source_files_column;

#endif
