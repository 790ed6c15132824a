/* The image_embedding capability: a vision tower, its image processor and the normalisation behind it. */
#ifndef MR_EMBED_IMAGE_EMBEDDER_H
#define MR_EMBED_IMAGE_EMBEDDER_H

#include "capability/image_embedding.h"
#include "embed/embed_options.h"
#include "image/processor.h"

/* capability_options: mr_embed_options or NULL; of it, normalize (the model's own choice is yes, so that a product is a cosine) counts. */
extern const mr_model_vtable mr_image_embedder;

/* What whoever prepares images for the model must know, from headers alone. */
typedef struct mr_image_embedding_shape {
    mr_image_processor processor; /* gives images of the size the model takes */
    size_t tokens;                /* rows an image costs in the model */
    size_t dimension;             /* of a vector */
} mr_image_embedding_shape;

/* MODEL_FILES_MISSING, MODEL_CORRUPT, MODEL_UNSUPPORTED: also when the processor's images are not of the size the tower takes. */
mr_status mr_image_embedding_shape_read(const char *directory, mr_image_embedding_shape *out, mr_error *error);

#endif
