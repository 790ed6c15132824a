/* image_embedding: preprocessed pixels -> one vector per image. */
#ifndef MR_CAPABILITY_IMAGE_EMBEDDING_H
#define MR_CAPABILITY_IMAGE_EMBEDDING_H

#include "capability/image.h"
#include "capability/model.h"

typedef struct mr_image_embedding_request {
    const mr_image *images; /* [count], resized and cropped to what the model wants */
    size_t count;
} mr_image_embedding_request;

typedef struct mr_image_embedding_response {
    float *vectors;      /* [count, dimension], caller storage */
    size_t dimension;
    mr_status *statuses; /* [count], caller storage: OK or NON_FINITE; a failed row is all NaN */
} mr_image_embedding_response;

#endif
