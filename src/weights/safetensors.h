/* The header of one safetensors file: 8 bytes little-endian header length n, n bytes of JSON, then tensor data.
 *
 * Accepted is exactly what the format promises: every byte of the data belongs to one tensor, in whatever order;
 * no overlap, no hole, no byte behind the last tensor; byte counts equal to shape x dtype.
 * Source: https://github.com/huggingface/safetensors (README, "Format"). */
#ifndef MR_WEIGHTS_SAFETENSORS_H
#define MR_WEIGHTS_SAFETENSORS_H

#include <jansson.h>

#include "core/error.h"
#include "weights/tensor.h"

/* The format's own limit on n. */
#define MR_SAFETENSORS_MAX_HEADER ((size_t)100000000)

typedef struct mr_safetensors {
    mr_tensor *tensors; /* [count], by data offset; names point into `header`, data into the caller's bytes */
    size_t count;
    json_t *header;
} mr_safetensors;

/* `bytes` [length] is a whole file and `file` its name for messages; both borrowed until mr_safetensors_fini.
 * MODEL_CORRUPT naming file, tensor and what is wrong; MODEL_UNSUPPORTED for an unknown dtype or too many dimensions. */
mr_status mr_safetensors_parse(const unsigned char *bytes, size_t length, const char *file, mr_safetensors *out, mr_error *error);
void mr_safetensors_fini(mr_safetensors *parsed); /* fine on a zeroed one */

#endif
