/* A list of texts in one buffer: what decoder steps hand on to each other. Zero-initialise. */
#ifndef MR_TOKENIZER_TEXT_LIST_H
#define MR_TOKENIZER_TEXT_LIST_H

#include "core/str.h"

typedef struct mr_text_span {
    size_t start, length;
} mr_text_span;

typedef struct mr_text_list {
    mr_buf bytes;
    mr_text_span *items;
    size_t count;
    size_t capacity;
} mr_text_list;

void mr_text_list_fini(mr_text_list *list);
void mr_text_list_clear(mr_text_list *list);
/* All false when out of memory. */
bool mr_text_list_add(mr_text_list *list, mr_str text);
/* A text written piecemeal: everything appended to `bytes` between begin and end. */
static inline size_t mr_text_list_begin(const mr_text_list *list) { return list->bytes.length; }
bool mr_text_list_end(mr_text_list *list, size_t begin);
/* Borrowed until the list changes. */
static inline mr_str mr_text_list_at(const mr_text_list *list, size_t index)
{
    return (mr_str){ list->bytes.data + list->items[index].start, list->items[index].length };
}

#endif
