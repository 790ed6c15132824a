/* text_to_text: prompt token ids -> generated token ids. */
#ifndef MR_CAPABILITY_TEXT_TO_TEXT_H
#define MR_CAPABILITY_TEXT_TO_TEXT_H

#include "capability/generation.h"
#include "capability/model.h"

typedef struct mr_text_to_text_input {
    const int32_t *ids; /* [count], chat template and specials already applied; borrowed until run_batch returns */
    size_t count;       /* >= 1 */
    mr_sampling sampling;
} mr_text_to_text_input;

typedef struct mr_text_to_text_request {
    const mr_text_to_text_input *inputs; /* [count] */
    size_t count;
} mr_text_to_text_request;

typedef struct mr_text_to_text_response {
    mr_generated *outputs; /* [count], caller storage */
    mr_status *statuses;   /* [count], caller storage */
} mr_text_to_text_response;

#endif
