/* Sequences packed without padding: the rows of sequence s are starts[s] .. starts[s + 1] - 1. All borrowed. */
#ifndef MR_NN_TOKEN_BATCH_H
#define MR_NN_TOKEN_BATCH_H

#include <stddef.h>
#include <stdint.h>

typedef struct mr_token_batch {
    const int32_t *ids;       /* [tokens] */
    const int32_t *positions; /* [tokens], 0 at the start of each sequence */
    const size_t *starts;     /* [count + 1] */
    size_t tokens;
    size_t count;
} mr_token_batch;

#endif
