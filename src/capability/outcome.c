#include "capability/outcome.h"

#include "capability/image_embedding.h"
#include "capability/text_embedding.h"
#include "capability/text_to_image.h"
#include "capability/text_to_text.h"
#include "capability/vision.h"

static mr_outcome count(const mr_status *statuses, size_t inputs)
{
    mr_outcome outcome = { .inputs = inputs };
    for (size_t i = 0; i < inputs; i++) {
        outcome.failed += statuses[i] != MR_OK;
        outcome.non_finite += statuses[i] == MR_NON_FINITE;
    }
    return outcome;
}

mr_outcome mr_outcome_of(mr_capability capability, const void *request, const void *response)
{
    switch (capability) {
#define CASE(NAME, name) \
    case MR_CAPABILITY_##NAME: \
        return count(((const mr_##name##_response *)response)->statuses, ((const mr_##name##_request *)request)->count);
        CASE(TEXT_EMBEDDING, text_embedding)
        CASE(TEXT_TO_TEXT, text_to_text)
        CASE(IMAGE_EMBEDDING, image_embedding)
        CASE(VISION, vision)
        CASE(TEXT_TO_IMAGE, text_to_image)
#undef CASE
    case MR_CAPABILITY_COUNT: break;
    }
    return (mr_outcome){ 0 };
}
