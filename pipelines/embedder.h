/* Texts and images -> vectors on demand, for the CLI; the public part is in millrace.h. Behind it: the same registry and pool as jobs. */
#ifndef MR_PIPELINES_EMBEDDER_H
#define MR_PIPELINES_EMBEDDER_H

#include "io/embedding_file.h"

/* What the rows of a file were computed with, from its attributes: model (borrowed from the file), pooling, dimension. */
mr_status mr_embedder_options_of_file(const mr_embedding_file *file, mr_embedder_options *out, mr_error *error);

/* An embedder of images instead, by a model that embeds them; mr_embedder_close. */
mr_status mr_embedder_open_images(const mr_embedder_options *options, mr_embedder **out, mr_error *error);
/* The bytes of one image file -> vector [dimension]. */
mr_status mr_embedder_run_image(mr_embedder *embedder, mr_str file, float *vector, mr_error *error);

#endif
