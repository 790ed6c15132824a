/* vision: image + question -> text. */
#ifndef MR_CAPABILITY_VISION_H
#define MR_CAPABILITY_VISION_H

#include "capability/generation.h"
#include "capability/image.h"
#include "capability/model.h"

typedef struct mr_vision_input {
    mr_image image;     /* preprocessed */
    const int32_t *ids; /* [count], the question with template and image placeholder tokens; borrowed until run_batch returns */
    size_t count;       /* >= 1 */
    mr_sampling sampling;
} mr_vision_input;

typedef struct mr_vision_request {
    const mr_vision_input *inputs; /* [count] */
    size_t count;
} mr_vision_request;

typedef struct mr_vision_response {
    mr_generated *outputs; /* [count], caller storage */
    mr_status *statuses;   /* [count], caller storage */
} mr_vision_response;

#endif
