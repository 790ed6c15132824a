/* Directories from before tokenizer.json. */
#ifndef MR_TOKENIZER_VOCAB_FILES_H
#define MR_TOKENIZER_VOCAB_FILES_H

#include "tokenizer/json_tree.h"

/* Appends to `json` the tokenizer.json that a BERT vocab.txt and its tokenizer_config.json (may be absent) amount to. */
mr_status mr_vocab_txt_convert(const char *path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error);
/* The same for vocab.json and merges.txt of CLIP, GPT-2, RoBERTa and Qwen2. */
mr_status mr_vocab_merges_convert(const char *vocab_path, const char *merges_path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error);

#endif
