/* Pre-tokenizers: text -> pieces. */
#ifndef MR_TOKENIZER_PRE_TOKENIZER_H
#define MR_TOKENIZER_PRE_TOKENIZER_H

#include "tokenizer/json_tree.h"
#include "tokenizer/pieces.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/split_scanner.h"

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

#endif
