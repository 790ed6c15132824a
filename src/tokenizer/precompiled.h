/* SentencePiece's precompiled character map: what T5, XLM-R and their kin normalise with. */
#ifndef MR_TOKENIZER_PRECOMPILED_H
#define MR_TOKENIZER_PRECOMPILED_H

#include "core/str.h"

typedef struct mr_precompiled mr_precompiled;

/* `base64`: "precompiled_charsmap". `where` (a file) appears in error texts. */
mr_status mr_precompiled_open(mr_str base64, const char *where, mr_precompiled **out, mr_error *error);
void mr_precompiled_close(mr_precompiled *map); /* NULL is fine */
/* Appends the normalised text. False when out of memory. */
bool mr_precompiled_run(const mr_precompiled *map, mr_str text, mr_buf *out);

/* The next part of `text` (not empty) that is looked up as a whole: its bytes, and what replaces it (data NULL: nothing).
 * *inside: begin with 0. */
size_t mr_precompiled_next(const mr_precompiled *map, mr_str text, size_t *inside, mr_str *replacement);

/* Bytes written to `out` [3/4 of the length]; SIZE_MAX when `text` is not Base64. */
size_t mr_base64_decode(mr_str text, unsigned char *out);

#endif
