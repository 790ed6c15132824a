/* The stages between a text and its ids, in the order they run. Each stage is one file: it reads its component of
 * tokenizer.json once and is immutable afterwards; what changes per text is in the caller's scratch.
 *
 *   added_tokens   cuts texts at added tokens
 *   normalizer     segment -> text            (bert_normalizer, normal_forms, precompiled)
 *   pre_tokenizer  text -> pieces
 *   model          pieces -> ids              (wordpiece, bpe, unigram)
 *   post_processor ids of one or two texts -> ids with special tokens
 *   decoder        ids' texts -> text         (decoder.h)
 */
#ifndef MR_TOKENIZER_PIPELINE_H
#define MR_TOKENIZER_PIPELINE_H

#include "core/cache.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_model.h"

struct mr_tokenizer {
    mr_normalizer normalizer;
    mr_added_tokens added;
    mr_pre_tokenizer pre_tokenizer;
    mr_model model;
    mr_post_processor post_processor;
    mr_decoder decoder;
    size_t vocab_size;
    size_t model_max_length;
    size_t bytes;
    mr_cache_entry image; /* what the model borrows from; empty when it was read from the files */
};

/* What decoding starts from: as mr_tokenizer_piece, but an added token that is normalised appears so. */
mr_str mr_tokenizer_decoded_piece(const mr_tokenizer *tokenizer, int32_t id);

#endif
