/* Rows in memory. */
#include <string.h>

#include "io/table.h"

size_t mr_element_bytes(mr_element element)
{
    switch (element) {
    case MR_ELEMENT_U8:
    case MR_ELEMENT_I8: return 1;
    case MR_ELEMENT_F16: return 2;
    case MR_ELEMENT_U32:
    case MR_ELEMENT_F32: return 4;
    case MR_ELEMENT_U64: return 8;
    }
    return 0;
}

size_t mr_column_row_bytes(const mr_column *column)
{
    return mr_element_bytes(column->element) * (column->width ? column->width : 1);
}

bool mr_block_init(mr_block *block, const mr_column *columns, size_t count)
{
    *block = (mr_block){ .columns = columns, .column_count = count };
    const uint64_t zero = 0;
    for (size_t i = 0; i < count; i++) {
        if (!columns[i].packed || mr_buf_append(&block->data[i].offsets, &zero, sizeof zero)) continue;
        mr_block_fini(block);
        return false;
    }
    return true;
}

void mr_block_fini(mr_block *block)
{
    for (size_t i = 0; i < block->column_count; i++) {
        mr_buf_fini(&block->data[i].bytes);
        mr_buf_fini(&block->data[i].offsets);
    }
    *block = (mr_block){ 0 };
}

void mr_block_clear(mr_block *block)
{
    block->rows = 0;
    for (size_t i = 0; i < block->column_count; i++) {
        block->data[i].bytes.length = 0;
        if (!block->columns[i].packed) continue;
        memset(block->data[i].offsets.data, 0, sizeof(uint64_t)); /* reading may have left another start */
        block->data[i].offsets.length = sizeof(uint64_t);
    }
}

bool mr_block_put_fixed(mr_block *block, size_t column, const void *value)
{
    return mr_buf_append(&block->data[column].bytes, value, mr_column_row_bytes(&block->columns[column]));
}

bool mr_block_put_packed(mr_block *block, size_t column, mr_str value)
{
    if (!mr_buf_append(&block->data[column].bytes, value.data, value.length)) return false;
    const uint64_t end = block->data[column].bytes.length;
    return mr_buf_append(&block->data[column].offsets, &end, sizeof end);
}

void mr_block_end_row(mr_block *block)
{
    block->rows++;
}

const void *mr_block_fixed(const mr_block *block, size_t column, size_t row)
{
    return block->data[column].bytes.data + row * mr_column_row_bytes(&block->columns[column]);
}

mr_str mr_block_packed(const mr_block *block, size_t column, size_t row)
{
    uint64_t range[2];
    memcpy(range, block->data[column].offsets.data + row * sizeof *range, sizeof range);
    const char *bytes = block->data[column].bytes.data;
    return (mr_str){ bytes ? bytes + range[0] : "", (size_t)(range[1] - range[0]) };
}
