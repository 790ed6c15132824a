/* image_embedding: preprocessed pixels -> one vector per image. */
#ifndef MR_CAPABILITY_IMAGE_EMBEDDING_H
#define MR_CAPABILITY_IMAGE_EMBEDDING_H

#include "capability/embedding_response.h"
#include "capability/image.h"

typedef struct mr_image_embedding_request {
    const mr_image *images; /* [count], resized and cropped to what the model wants */
    size_t count;
} mr_image_embedding_request;

typedef mr_embedding_response mr_image_embedding_response;

#endif
