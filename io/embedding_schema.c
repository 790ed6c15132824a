#include "io/embedding_schema.h"

#include "io/vector_convert.h"

const mr_column mr_source_files_column = { .name = "source/files", .element = MR_ELEMENT_U8, .packed = true };

static const mr_element elements[] = {
    [MR_VECTOR_F32] = MR_ELEMENT_F32,
    [MR_VECTOR_F16] = MR_ELEMENT_F16,
    [MR_VECTOR_INT8] = MR_ELEMENT_I8,
    [MR_VECTOR_BINARY] = MR_ELEMENT_U8,
};

/* Its number. */
static size_t add(mr_embedding_schema *schema, mr_column column)
{
    schema->columns[schema->count] = column;
    return schema->count++;
}

void mr_embedding_schema_init(mr_embedding_schema *schema, mr_vector_dtype dtype, size_t dimension, mr_embedding_extras extras)
{
    size_t width = mr_vector_stored_bytes(dtype, dimension) / mr_element_bytes(elements[dtype]);
    *schema = (mr_embedding_schema){
        .columns = {
            [MR_COLUMN_EMBEDDING] = { .name = "embedding", .element = elements[dtype], .width = width, .contiguous = true },
            [MR_COLUMN_STATUS] = { .name = "status", .element = MR_ELEMENT_U8 },
            [MR_COLUMN_TOKENS] = { .name = "tokens", .element = MR_ELEMENT_U32 },
            [MR_COLUMN_ID] = { .name = "id", .element = MR_ELEMENT_U8, .packed = true },
            [MR_COLUMN_ERROR] = { .name = "error", .element = MR_ELEMENT_U8, .packed = true },
            [MR_COLUMN_SHARD] = { .name = "source/shard", .element = MR_ELEMENT_U32 },
            [MR_COLUMN_RECORD] = { .name = "source/record", .element = MR_ELEMENT_U64 },
        },
        .count = MR_COLUMN_OPTIONAL,
        .dtype = dtype,
        .dimension = dimension,
    };
    if (dtype == MR_VECTOR_INT8) schema->scale = add(schema, (mr_column){ .name = "scale", .element = MR_ELEMENT_F32 });
    if (extras.image_sizes) {
        schema->width = add(schema, (mr_column){ .name = "width", .element = MR_ELEMENT_U32 });
        schema->height = add(schema, (mr_column){ .name = "height", .element = MR_ELEMENT_U32 });
    }
    if (extras.text) schema->text = add(schema, (mr_column){ .name = extras.image_sizes ? "caption" : "text", .element = MR_ELEMENT_U8, .packed = true });
}
