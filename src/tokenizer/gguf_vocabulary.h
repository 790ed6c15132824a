/* A tokenizer inside a GGUF file (keys tokenizer.ggml.*). */
#ifndef MR_TOKENIZER_GGUF_VOCABULARY_H
#define MR_TOKENIZER_GGUF_VOCABULARY_H

#include "core/str.h"
#include "weights/gguf.h"

/* Appends to `json` the tokenizer.json the keys amount to: the source model's, as far as the file tells. Scores of a
 * Unigram model are rounded there; mr_gguf_get_floats has them exactly.
 * MODEL_UNSUPPORTED for an unknown model or pre-tokenizer, naming it; MODEL_CORRUPT naming the key. */
mr_status mr_gguf_vocabulary_convert(const mr_gguf *gguf, mr_buf *json, mr_error *error);

#endif
