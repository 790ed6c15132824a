/* What one thread needs to tokenize. */
#ifndef MR_TOKENIZER_SCRATCH_H
#define MR_TOKENIZER_SCRATCH_H

#include "tokenizer/bpe.h"
#include "tokenizer/offsets.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/unigram.h"
#include "tokenizer/word_cache.h"

struct mr_tokenizer_scratch {
    mr_regex_scratch regex;
    mr_bpe_scratch bpe;
    mr_unigram_scratch unigram;
    mr_word_cache cache;
    mr_buf normal[2]; /* a normalizer step reads one and writes the other */
    mr_marks marks;
    mr_buf spaced[2]; /* pre-tokenizers that change text */
    mr_pieces pieces[2];
    mr_ids ids[2]; /* of the first and the second text */
    mr_offsets offsets;
};

#endif
