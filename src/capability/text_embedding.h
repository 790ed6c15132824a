/* text_embedding: token ids -> one vector per input. */
#ifndef MR_CAPABILITY_TEXT_EMBEDDING_H
#define MR_CAPABILITY_TEXT_EMBEDDING_H

#include "capability/embedding_response.h"

typedef struct mr_text_embedding_input {
    const int32_t *ids;    /* [count], specials and truncation already applied; borrowed until run_batch returns */
    size_t count;          /* >= 1 */
    size_t prompt_tokens;  /* leading ids the pooling leaves out (0: none) */
} mr_text_embedding_input;

typedef struct mr_text_embedding_request {
    const mr_text_embedding_input *inputs; /* [count] */
    size_t count;
} mr_text_embedding_request;

typedef mr_embedding_response mr_text_embedding_response;

#endif
