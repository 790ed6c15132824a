/* Where in a text a token comes from. */
#ifndef MR_TOKENIZER_SPAN_H
#define MR_TOKENIZER_SPAN_H

#include <stdint.h>

/* Bytes start .. end - 1 of the caller's text. */
typedef struct mr_span {
    uint32_t start, end;
} mr_span;

#endif
