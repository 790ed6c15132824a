/* Byte pair encoding: the tables of a model, and what merging one piece needs. */
#ifndef MR_TOKENIZER_BPE_H
#define MR_TOKENIZER_BPE_H

#include "tokenizer/pieces.h"
#include "tokenizer/vocabulary.h"

/* BPE's symbols of one piece: a linked list in an array. */
#define MR_BPE_END UINT32_MAX
typedef struct mr_bpe_symbol {
    int32_t id;      /* -1: joined to the one before */
    uint32_t length; /* bytes of the piece */
    uint32_t previous, next;
} mr_bpe_symbol;

typedef struct mr_bpe_candidate {
    uint64_t order; /* rank << 32 | place */
    uint64_t pair;
} mr_bpe_candidate;

typedef struct mr_bpe_scratch {
    mr_bpe_symbol *symbols; /* [capacity] */
    size_t count;
    size_t capacity;
    mr_bpe_candidate *heap; /* [heap_capacity] */
    size_t heap_capacity;
} mr_bpe_scratch;

void mr_bpe_scratch_fini(mr_bpe_scratch *scratch);

#define MR_BPE_MAX_SUFFIX 64
#define MR_BPE_HASH_BITS 20
#define MR_BPE_HASHES ((size_t)1 << (MR_BPE_HASH_BITS - 6))

typedef struct mr_bpe {
    uint64_t *merges; /* open addressing: pairs with the ranks of their merges */
    size_t merge_mask;
    size_t ranks;
    uint64_t *hashes; /* [MR_BPE_HASHES] one bit for each value of the pairs' hashes */
    uint32_t (*byte_pairs)[256]; /* [first byte][second]: ranks; bytes only, else NULL */
    int32_t *joined; /* [rank] id of what the merge makes */
    bool regular;     /* all of those are rank + distance */
    int32_t distance;
    int32_t symbols[2][256]; /* [last]: ids of the bytes (bytes) or of U+0000 .. U+00FF, of which ASCII is used */
    int32_t fallback[256];   /* ids of <0xHH>, -1: none */
    int32_t unk_id;          /* -1: none */
    mr_str suffix;           /* owned: end_of_word_suffix */
    mr_vocabulary whole;     /* with ignore_merges and bytes: the texts as bytes */
    bool bytes;
    bool fuse_unk;
    bool ignore_merges;
    bool parts; /* pieces can be cut between two bytes that `joins` does not have */
    bool total; /* every character has a token or byte tokens */
    bool borrowed; /* the tables belong to an image */
    bool (*joins)[256]; /* [last byte of a left side][first byte of a right side] of some merge */
} mr_bpe;

mr_status mr_bpe_open(mr_json_value component, const mr_vocabulary *vocabulary, bool bytes, mr_bpe *out, mr_error *error);
/* For models that are not in a tokenizer.json: an empty table for so many pairs and ranks, its entries, and what follows from all of them
 * and the symbols. */
mr_status mr_bpe_table_create(mr_bpe *model, size_t pairs, size_t ranks, mr_error *error);
void mr_bpe_table_put(mr_bpe *model, int32_t left, int32_t right, uint32_t rank, int32_t id);
mr_status mr_bpe_table_finish(mr_bpe *model, mr_error *error);
/* Every search ends, with a rank that there is and an id below `size`. */
bool mr_bpe_table_is_sound(const mr_bpe *model, size_t size);
void mr_bpe_fini(mr_bpe *model);
bool mr_bpe_run(const mr_bpe *model, const mr_vocabulary *vocabulary, mr_str piece, mr_bpe_scratch *scratch, mr_ids *ids);
/* Where the part of `piece` that begins at `at` ends: parts can be run one by one with the same result. */
size_t mr_bpe_part_end(const mr_bpe *model, mr_str piece, size_t at);

#endif
