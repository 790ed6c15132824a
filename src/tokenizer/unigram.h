/* Unigram: the segmentation with the highest sum of scores. */
#ifndef MR_TOKENIZER_UNIGRAM_H
#define MR_TOKENIZER_UNIGRAM_H

#include "tokenizer/pieces.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"
#include "weights/gguf.h"

/* The best way to one byte offset. On the way back `start` and `id` are turned to lead forward. */
#define MR_UNIGRAM_UNREACHED UINT32_MAX
#define MR_UNIGRAM_UNKNOWN (-2)
typedef struct mr_unigram_node {
    double score;
    uint32_t start;
    int32_t id; /* of the last text, MR_UNIGRAM_UNKNOWN for an unknown code point */
} mr_unigram_node;

typedef struct mr_unigram_scratch {
    mr_unigram_node *nodes;
    size_t capacity;
} mr_unigram_scratch;

void mr_unigram_scratch_fini(mr_unigram_scratch *scratch);

typedef struct mr_unigram {
    mr_trie trie;
    double *scores; /* [id] */
    double unk_score;
    int32_t unk_id; /* -1: none */
    int32_t fallback[256];
    bool borrowed; /* scores belong to an image */
} mr_unigram;

/* Fills `vocabulary` too: its texts come with their scores. */
mr_status mr_unigram_open(mr_json_value component, mr_vocabulary *vocabulary, mr_unigram *out, mr_error *error);
/* Other scores for the same texts: items 0 .. count - 1 of `scores`. */
void mr_unigram_set_scores(mr_unigram *model, const mr_gguf_value *scores, size_t count);
void mr_unigram_fini(mr_unigram *model);
mr_status mr_unigram_run(const mr_unigram *model, mr_str piece, mr_unigram_scratch *scratch, mr_ids *ids, mr_error *error);

#endif
