/* The image a row of an embedding file was made of, fetched from the inputs the file names. */
#ifndef MR_PIPELINES_SOURCE_IMAGE_H
#define MR_PIPELINES_SOURCE_IMAGE_H

#include "image/bitmap.h"
#include "io/embedding_file.h"

/* NO_INPUT when the input is not where it was; BAD_INPUT when what lies there is not that record any more. `out` is freed by the
 * caller. */
mr_status mr_source_image_load(const mr_embedding_file *file, const mr_embedding_row *row, mr_bitmap *out, mr_error *error);

#endif
