/* text_to_image: prompt token ids -> image. */
#ifndef MR_CAPABILITY_TEXT_TO_IMAGE_H
#define MR_CAPABILITY_TEXT_TO_IMAGE_H

#include "capability/image.h"
#include "capability/model.h"

typedef struct mr_text_to_image_input {
    const int32_t *ids;          /* [count], specials and padding rule of the text encoder already applied */
    size_t count;                /* >= 1 */
    const int32_t *negative_ids; /* [negative_count]; unused without guidance. Both borrowed until run_batch returns */
    size_t negative_count;
    size_t steps;                /* >= 1 */
    float guidance;              /* classifier-free guidance scale; <= 1: off */
    uint64_t seed;               /* of the initial noise: decides the image, whatever the batch mates */
} mr_text_to_image_input;

typedef struct mr_text_to_image_request {
    const mr_text_to_image_input *inputs; /* [count] */
    size_t count;
} mr_text_to_image_request;

typedef struct mr_text_to_image_response {
    mr_image_out *images; /* [count], caller storage; the size asked for */
    mr_status *statuses;  /* [count], caller storage: OK or NON_FINITE; a failed image is all 0 */
} mr_text_to_image_response;

#endif
