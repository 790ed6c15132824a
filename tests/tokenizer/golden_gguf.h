/* A golden tokenizer.json as a converter writes it into a GGUF file. */
#ifndef MR_TESTS_GOLDEN_GGUF_H
#define MR_TESTS_GOLDEN_GGUF_H

#include <jansson.h>

#include "core/str.h"
#include "tokenizer/tokenizer.h"

/* `model`: tokenizer.ggml.model; `pre`: tokenizer.ggml.pre, NULL for none. `source`: the tokenizer `json` describes. */
mr_buf golden_gguf(const json_t *json, const mr_tokenizer *source, const char *model, const char *pre);

#endif
