/* The component "model": pieces -> ids. */
#ifndef MR_TOKENIZER_MODEL_H
#define MR_TOKENIZER_MODEL_H

#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordpiece.h"

typedef struct mr_word_level {
    int32_t unk_id; /* -1: none */
} mr_word_level;

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

/* From the contents of a tiktoken.model; `path` appears in error texts. */
mr_status mr_tiktoken_open(const char *data, size_t length, const char *path, mr_model *out, mr_error *error);

#endif
