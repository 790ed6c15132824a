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
#include "tokenizer/ascii_block.h"
#include "tokenizer/decoder.h"
#include "tokenizer/json_tree.h"
#include "tokenizer/offsets.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/split_scanner.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"
#include "weights/gguf.h"

/* ---------------------------------------------------------------- scratch */

/* Text on its way. `at_origin`: its first character comes from byte 0 of the caller's text (Metaspace "first" asks). */
typedef struct mr_segment {
    mr_str text;
    bool at_origin;
} mr_segment;

typedef struct mr_piece {
    uint32_t start;
    uint32_t length;
} mr_piece;

typedef struct mr_pieces {
    mr_piece *items;
    size_t count;
    size_t capacity;
} mr_pieces;

typedef struct mr_ids {
    int32_t *items;
    mr_span *spans; /* [capacity] where `traced`: bytes of the piece, later of the caller's text */
    size_t count;
    size_t capacity;
    bool traced;
} mr_ids;

/* What one endless piece took is given back: bytes of piece whose scratch is kept. */
#define MR_SCRATCH_KEEP 65536

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

bool mr_ids_reserve(mr_ids *ids, size_t extra);
bool mr_pieces_reserve(mr_pieces *pieces, size_t extra);

/* Turns tracing on or off for ids to come. False when out of memory. */
bool mr_ids_trace(mr_ids *ids, bool traced);

/* The id of bytes start .. end - 1. */
static inline bool mr_ids_add(mr_ids *ids, int32_t id, size_t start, size_t end)
{
    if (ids->count == ids->capacity && !mr_ids_reserve(ids, 1)) return false;
    if (ids->traced) ids->spans[ids->count] = (mr_span){ (uint32_t)start, (uint32_t)end };
    ids->items[ids->count++] = id;
    return true;
}

/* Empty pieces are dropped. */
static inline bool mr_pieces_add(mr_pieces *pieces, size_t start, size_t end)
{
    if (start == end) return true;
    if (pieces->count == pieces->capacity && !mr_pieces_reserve(pieces, 1)) return false;
    pieces->items[pieces->count++] = (mr_piece){ (uint32_t)start, (uint32_t)(end - start) };
    return true;
}

/* Adds the matches of a known pattern in text[piece], and the gaps between them if they are kept. False when out of memory. */
bool mr_scanner_split(const mr_scanner *scanner, mr_str text, mr_piece piece, bool keep_gaps, mr_pieces *out);

/* Texts longer than this are refused: a piece without borders takes up to 50 times its bytes of scratch. */
#define MR_TEXT_MAX_BYTES (16u << 20)

/* "file: normalizer type "X" is not supported". */
mr_status mr_component_unsupported(mr_json_value component, const char *stage, mr_error *error);
/* The component's "type"; MODEL_CORRUPT when `component` is no object or has none. */
mr_status mr_component_type(mr_json_value component, const char *stage, mr_str *type, mr_error *error);
static inline bool mr_type_is(mr_str type, const char *name) { return mr_str_equal(type, mr_str_of(name)); }
/* malloc'ed copy of `text` (with a NUL behind) as a mr_str; data NULL when out of memory. */
mr_str mr_str_copy(mr_str text);

/* ---------------------------------------------------------------- normalizer */

typedef struct mr_bert_normalizer {
    bool clean_text;
    bool handle_chinese_chars;
    bool strip_accents;
    bool lowercase;
    unsigned char ascii[128]; /* what becomes of each; 0: deleted */
} mr_bert_normalizer;

/* What cleaning makes of a code point: deleted (0), a space, or itself. */
uint32_t mr_bert_clean(uint32_t c);
bool mr_bert_is_chinese(uint32_t c);
void mr_bert_normalizer_prepare(mr_bert_normalizer *normalizer);
bool mr_bert_normalizer_run(const mr_bert_normalizer *normalizer, mr_marks *marks, mr_segment *segment, mr_buf *out);

typedef enum mr_normalizer_type {
    MR_NORMALIZER_FORM, MR_NORMALIZER_LOWERCASE, MR_NORMALIZER_STRIP, MR_NORMALIZER_STRIP_ACCENTS, MR_NORMALIZER_REPLACE,
    MR_NORMALIZER_PREPEND, MR_NORMALIZER_BERT, MR_NORMALIZER_NMT, MR_NORMALIZER_PRECOMPILED, MR_NORMALIZER_BYTE_LEVEL
} mr_normalizer_type;

typedef struct mr_normalizer_step {
    mr_normalizer_type type;
    union {
        mr_normal_form form;
        struct {
            bool left, right;
        } strip;
        struct {
            mr_str pattern, content; /* owned */
            mr_regex *regex;         /* instead of pattern */
            bool blanks;             /* instead of both: `\s+` */
        } replace;
        mr_str prepend; /* owned */
        mr_bert_normalizer bert;
        mr_precompiled *precompiled; /* owned */
    };
} mr_normalizer_step;

/* Sequences are flattened. */
typedef struct mr_normalizer {
    mr_normalizer_step *steps;
    size_t count;
} mr_normalizer;

/* `component` may be absent. */
mr_status mr_normalizer_open(mr_json_value component, mr_normalizer *out, mr_error *error);
void mr_normalizer_fini(mr_normalizer *normalizer);
/* What Nmt makes of a code point: deleted (0), a space, or itself. */
uint32_t mr_nmt_clean(uint32_t c);
/* Rewrites *segment; its text is borrowed from the input or from the scratch until the next run. */
mr_status mr_normalizer_run(const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch, mr_segment *segment, mr_error *error);

/* ---------------------------------------------------------------- added tokens */

typedef struct mr_added_token {
    mr_str content; /* owned */
    mr_str decoded; /* owned; what it is when decoding: content, normalised if it is searched in normalised text */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} mr_added_token;

typedef struct mr_added_tokens {
    mr_added_token *items;
    size_t count;
    mr_trie search[2];     /* [normalized]: contents -> index in items */
    bool first[2][256];    /* [normalized]: bytes a content begins with */
    int only[2];           /* [normalized]: the one such byte; -1: there are more */
    size_t searched[2];    /* how many are in each */
    int32_t *index_of;     /* [size] id -> index in items, -1 */
    size_t size;
} mr_added_tokens;

typedef struct mr_added_match {
    size_t start, end; /* what the match swallows */
    size_t searched;   /* where to look for the next: white space that was swallowed may begin another */
    const mr_added_token *token; /* NULL: none found */
} mr_added_match;

/* `list`: "added_tokens", or the object "added_tokens_decoder" of tokenizer_config.json (id -> token). Patterns of normalized tokens go through `normalizer` with `scratch`. */
mr_status mr_added_tokens_open(mr_json_value list, const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch,
                               mr_added_tokens *out, mr_error *error);
void mr_added_tokens_fini(mr_added_tokens *tokens);
/* The next match at or behind `from`; all before `taken` is part of another. */
mr_added_match mr_added_tokens_find(const mr_added_tokens *tokens, bool normalized, mr_str text, size_t from, size_t taken);
/* NULL when the id is no added token. */
static inline const mr_added_token *mr_added_tokens_of(const mr_added_tokens *tokens, int32_t id)
{
    return id >= 0 && (size_t)id < tokens->size && tokens->index_of[id] >= 0 ? tokens->items + tokens->index_of[id] : NULL;
}

/* ---------------------------------------------------------------- pre-tokenizer */

typedef enum mr_split_behavior { MR_SPLIT_REMOVED, MR_SPLIT_ISOLATED, MR_SPLIT_MERGED_PREVIOUS, MR_SPLIT_MERGED_NEXT, MR_SPLIT_CONTIGUOUS } mr_split_behavior;

typedef enum mr_pre_tokenizer_type {
    MR_PRE_BERT, MR_PRE_WHITESPACE_SPLIT, MR_PRE_WHITESPACE, MR_PRE_PUNCTUATION, MR_PRE_DIGITS, MR_PRE_SPLIT, MR_PRE_METASPACE,
    MR_PRE_FIXED_LENGTH, MR_PRE_PREFIX_SPACE, MR_PRE_BYTE_LEVEL
} mr_pre_tokenizer_type;

typedef enum mr_prepend_scheme { MR_PREPEND_ALWAYS, MR_PREPEND_FIRST, MR_PREPEND_NEVER } mr_prepend_scheme;

typedef struct mr_pre_tokenizer_step {
    mr_pre_tokenizer_type type;
    union {
        struct {
            mr_split_behavior behavior;
            bool invert;
            mr_str pattern;  /* owned; Punctuation and Digits: data NULL */
            mr_regex *regex; /* owned; instead of pattern */
            const mr_scanner *scanner; /* instead of both: the pattern is a known one whose matches are the pieces */
        } split;
        struct {
            const mr_scanner *scanner; /* NULL: no splitting */
        } byte_level;
        struct {
            char replacement[4];
            size_t replacement_length;
            mr_prepend_scheme scheme;
            bool split;
        } metaspace;
        size_t length;
    };
} mr_pre_tokenizer_step;

typedef struct mr_pre_tokenizer {
    mr_pre_tokenizer_step *steps;
    size_t count;
    bool bytes; /* the last step is ByteLevel: pieces are bytes, not text */
} mr_pre_tokenizer;

mr_status mr_pre_tokenizer_open(mr_json_value component, mr_pre_tokenizer *out, mr_error *error);
/* A known splitting pattern, then ByteLevel: what tiktoken does. */
mr_status mr_pre_tokenizer_open_pattern(const char *pattern, mr_pre_tokenizer *out, mr_error *error);
void mr_pre_tokenizer_fini(mr_pre_tokenizer *pre_tokenizer);
/* Cuts the segment (never empty); *text is what the pieces refer to. All is borrowed from segment and scratch. */
mr_status mr_pre_tokenizer_run(const mr_pre_tokenizer *pre_tokenizer, mr_tokenizer_scratch *scratch, mr_segment segment,
                               mr_str *text, mr_pieces **pieces, mr_error *error);

/* ---------------------------------------------------------------- models */

typedef struct mr_wordpiece {
    mr_trie trie;          /* all texts */
    uint32_t continuation; /* node of the continuing prefix; MR_TRIE_NONE: no text has it */
    size_t max_chars;
    int32_t unk_id;
} mr_wordpiece;

typedef struct mr_word_level {
    int32_t unk_id; /* -1: none */
} mr_word_level;

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

typedef struct mr_unigram {
    mr_trie trie;
    double *scores; /* [id] */
    double unk_score;
    int32_t unk_id; /* -1: none */
    int32_t fallback[256];
    bool borrowed; /* scores belong to an image */
} mr_unigram;

typedef enum mr_model_type { MR_MODEL_WORDPIECE, MR_MODEL_WORD_LEVEL, MR_MODEL_BPE, MR_MODEL_UNIGRAM } mr_model_type;

typedef struct mr_model {
    mr_model_type type;
    uint64_t serial; /* differs for every model opened: whose words a cache holds */
    mr_vocabulary vocabulary;
    union {
        mr_wordpiece wordpiece;
        mr_word_level word_level;
        mr_bpe bpe;
        mr_unigram unigram;
    };
} mr_model;

/* `bytes`: the pre-tokenizer's. */
mr_status mr_model_open(mr_json_value component, bool bytes, mr_model *out, mr_error *error);
void mr_model_fini(mr_model *model);
uint64_t mr_model_next_serial(void);
/* Appends the ids of all pieces. BAD_RECORD where the model has no unknown token. */
mr_status mr_model_run(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str text, const mr_pieces *pieces, mr_ids *ids, mr_error *error);

mr_status mr_wordpiece_open(mr_json_value component, const mr_vocabulary *vocabulary, mr_wordpiece *out, mr_error *error);
void mr_wordpiece_fini(mr_wordpiece *model);
/* Appends one piece's ids; false when out of memory. */
bool mr_wordpiece_run(const mr_wordpiece *model, mr_str piece, mr_ids *ids);

/* From the contents of a tiktoken.model; `path` appears in error texts. */
mr_status mr_tiktoken_open(const char *data, size_t length, const char *path, mr_model *out, mr_error *error);

/* Appends to `json` the tokenizer.json that a BERT vocab.txt and its tokenizer_config.json (may be absent) amount to. */
mr_status mr_vocab_txt_convert(const char *path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error);
/* The same for vocab.json and merges.txt of CLIP, GPT-2, RoBERTa and Qwen2. */
mr_status mr_vocab_merges_convert(const char *vocab_path, const char *merges_path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error);

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
/* Ids of "<0x00>" .. "<0xFF>", -1 for those the vocabulary does not have. */
void mr_byte_fallback_read(const mr_vocabulary *vocabulary, int32_t ids[256]);

/* Fills `vocabulary` too: its texts come with their scores. */
mr_status mr_unigram_open(mr_json_value component, mr_vocabulary *vocabulary, mr_unigram *out, mr_error *error);
/* Other scores for the same texts: items 0 .. count - 1 of `scores`. */
void mr_unigram_set_scores(mr_unigram *model, const mr_gguf_value *scores, size_t count);
void mr_unigram_fini(mr_unigram *model);
mr_status mr_unigram_run(const mr_unigram *model, mr_str piece, mr_unigram_scratch *scratch, mr_ids *ids, mr_error *error);

/* The alphabet of byte-level BPE. */
uint32_t mr_byte_level_character(unsigned char byte);
int mr_byte_level_byte(uint32_t character); /* -1: not in the alphabet */
/* The bytes `text` stands for into `out` [text.length]; their count, SIZE_MAX when a character is not in the alphabet. */
size_t mr_byte_level_unmap(mr_str text, char *out);

/* ---------------------------------------------------------------- post-processor */

/* One place of a template. */
typedef struct mr_template_item {
    int32_t id;     /* special id, or -1: a text */
    uint8_t text;   /* 0: A, 1: B */
    uint8_t type;
} mr_template_item;

typedef struct mr_template {
    mr_template_item *items; /* owned */
    size_t count;
    size_t added; /* special ids among them */
} mr_template;

/* What to do with one text ([0]) and with two ([1]). */
typedef struct mr_post_processor {
    mr_template templates[2];
    bool trims;  /* offsets leave out the white space around a token */
    bool prefix; /* but for the first token's first space, which was put in */
} mr_post_processor;

mr_status mr_post_processor_open(mr_json_value component, mr_post_processor *out, mr_error *error);
void mr_post_processor_fini(mr_post_processor *post_processor);

/* ---------------------------------------------------------------- the whole */

/* What is slow to make from a tokenizer's files, as one block that is used in place: the model's tables, and `rest`, the tokenizer.json
 * without its model (empty for tiktoken.model). Numbers are the machine's own: images never leave it.
 * False when out of memory. */
bool mr_model_image_write(const mr_model *model, mr_str rest, mr_buf *out);
/* The model borrows `data` (at a multiple of 8), and so does *rest. Any bytes may be given: MODEL_CORRUPT unless everything the model
 * relies on is so. */
mr_status mr_model_image_read(const unsigned char *data, size_t length, mr_str *rest, mr_model *out, mr_error *error);

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
