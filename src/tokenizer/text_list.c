#include "tokenizer/text_list.h"

#include <stdlib.h>

void mr_text_list_fini(mr_text_list *list)
{
    mr_buf_fini(&list->bytes);
    free(list->items);
    *list = (mr_text_list){ 0 };
}

void mr_text_list_clear(mr_text_list *list)
{
    list->bytes.length = 0;
    list->count = 0;
}

bool mr_text_list_end(mr_text_list *list, size_t begin)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        mr_text_span *grown = realloc(list->items, capacity * sizeof *grown);
        if (!grown) return false;
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = (mr_text_span){ begin, list->bytes.length - begin };
    return true;
}

bool mr_text_list_add(mr_text_list *list, mr_str text)
{
    size_t begin = mr_text_list_begin(list);
    /* The reserve keeps `bytes.data` valid for empty texts too. */
    return mr_buf_reserve(&list->bytes, text.length) && mr_buf_append(&list->bytes, text.data, text.length) && mr_text_list_end(list, begin);
}
