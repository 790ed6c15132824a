/* Normalizers: segment -> text. */
#ifndef MR_TOKENIZER_NORMALIZER_H
#define MR_TOKENIZER_NORMALIZER_H

#include "tokenizer/json_tree.h"
#include "tokenizer/pieces.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/unicode.h"

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

#endif
