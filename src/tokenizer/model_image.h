/* A model as one block, for the cache. */
#ifndef MR_TOKENIZER_MODEL_IMAGE_H
#define MR_TOKENIZER_MODEL_IMAGE_H

#include "tokenizer/tokenizer_model.h"

/* What is slow to make from a tokenizer's files, as one block that is used in place: the model's tables, and `rest`, the tokenizer.json
 * without its model (empty for tiktoken.model). Numbers are the machine's own: images never leave it.
 * False when out of memory. */
bool mr_model_image_write(const mr_model *model, mr_str rest, mr_buf *out);
/* The model borrows `data` (at a multiple of 8), and so does *rest. Any bytes may be given: MODEL_CORRUPT unless everything the model
 * relies on is so. */
mr_status mr_model_image_read(const unsigned char *data, size_t length, mr_str *rest, mr_model *out, mr_error *error);

#endif
