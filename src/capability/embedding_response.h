/* What the two embedding capabilities answer: a vector for each input. */
#ifndef MR_CAPABILITY_EMBEDDING_RESPONSE_H
#define MR_CAPABILITY_EMBEDDING_RESPONSE_H

#include "capability/model.h"

typedef struct mr_embedding_response {
    float *vectors;      /* [count, dimension], caller storage */
    size_t dimension;    /* of the model's vectors; checked against the model's */
    mr_status *statuses; /* [count], caller storage: OK or NON_FINITE; a failed row is all NaN */
} mr_embedding_response;

#endif
