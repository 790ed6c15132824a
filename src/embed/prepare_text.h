/* Text -> token ids as one model wants them: prompt in front, special tokens, truncation. Immutable, shared by threads. */
#ifndef MR_EMBED_PREPARE_TEXT_H
#define MR_EMBED_PREPARE_TEXT_H

#include "embed/sentence_config.h"
#include "tokenizer/tokenizer.h"

typedef struct mr_text_preparer mr_text_preparer;

/* Opens the settings and the tokenizer of a model directory. `options` NULL = the model's own; `cache` as for
 * mr_tokenizer_open. Errors as of mr_sentence_config_open,
 * mr_sentence_config_prompt and mr_tokenizer_open. */
mr_status mr_text_preparer_create(const char *directory, const mr_embed_options *options, const mr_cache *cache, mr_text_preparer **out, mr_error *error);
void mr_text_preparer_destroy(mr_text_preparer *preparer);

/* All borrowed from the preparer. */
const mr_sentence_config *mr_text_preparer_config(const mr_text_preparer *preparer);
mr_str mr_text_preparer_prompt(const mr_text_preparer *preparer); /* the one in force, empty when none */

/* ids of prompt + text in `encoding`; *prompt_tokens of them are the pooling's to leave out; *truncated when the text was longer than
 * the limit. BAD_RECORD when the text is not well-formed UTF-8. `scratch` belongs to the calling thread. */
mr_status mr_text_preparer_run(const mr_text_preparer *preparer, mr_tokenizer_scratch *scratch, mr_str text, mr_encoding *encoding,
                               size_t *prompt_tokens, bool *truncated, mr_error *error);

#endif
