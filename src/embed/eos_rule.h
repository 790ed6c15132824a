/* End-of-sequence tokens that a model expects but tokenizer.json does not add.
 *
 * Embedders of the Qwen2 kind: their own Python tokenizer adds it; tokenizer_config.json says so with "add_eos_token".
 * NV-Embed: the token is written out behind the text before it is tokenized (so truncation may lose it); config.json says "add_eos". */
#ifndef MR_EMBED_EOS_RULE_H
#define MR_EMBED_EOS_RULE_H

#include "tokenizer/tokenizer.h"

/* *out = the id of "eos_token" to append to every text when "add_eos_token" is true and the tokenizer's post-processor puts nothing
 * behind a text; -1 otherwise. MODEL_CORRUPT when that token does not exist. */
mr_status mr_eos_rule_read(const char *directory, const mr_tokenizer *tokenizer, int32_t *out, mr_error *error);

/* *out = what to write behind every text (free(); NULL: nothing): "eos_token" when config.json has "add_eos": true. */
mr_status mr_eos_suffix_read(const char *directory, char **out, mr_error *error);

#endif
