/* Writes a small BERT directory with made-up weights, in any of the ways such files are found. */
#ifndef MR_TESTS_TINY_BERT_H
#define MR_TESTS_TINY_BERT_H

#include <stdbool.h>
#include <stddef.h>

enum { TINY_VOCAB = 40, TINY_HIDDEN = 24, TINY_HEADS = 3, TINY_INNER = 40, TINY_LAYERS = 2, TINY_POSITIONS = 32 };

typedef struct tiny_bert {
    const char *prefix;     /* of all tensor names; NULL = "" */
    bool old_norm_names;    /* gamma and beta */
    bool with_extras;       /* position_ids, pooler, a classifier */
    const char *skip;       /* leave out the tensor of this name */
    const char *reshape;    /* give the tensor of this name one row more */
    int nan_word;           /* > 0: this word's embedding is NaN */
    const char *config;     /* config.json's members behind "model_type", NULL = the sizes above */
} tiny_bert;

#define TINY_SIZES "\"vocab_size\":40,\"hidden_size\":24,\"num_attention_heads\":3,\"intermediate_size\":40,\"num_hidden_layers\":2,\"max_position_embeddings\":32"

/* Fails the running test on an error. */
void write_tiny_bert(const char *directory, const tiny_bert *how);

#endif
