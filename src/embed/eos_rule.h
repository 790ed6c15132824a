/* Embedders of the Qwen2 kind end every text with an end-of-sequence token that tokenizer.json does not add: their own Python tokenizer
 * does. tokenizer_config.json says so with "add_eos_token". */
#ifndef MR_EMBED_EOS_RULE_H
#define MR_EMBED_EOS_RULE_H

#include "tokenizer/tokenizer.h"

/* *out = the id of "eos_token" to append to every text when "add_eos_token" is true and the tokenizer's post-processor puts nothing
 * behind a text; -1 otherwise. MODEL_CORRUPT when that token does not exist. */
mr_status mr_eos_rule_read(const char *directory, const mr_tokenizer *tokenizer, int32_t *out, mr_error *error);

#endif
