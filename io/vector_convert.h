/* Vectors between float and what is stored. Rows are independent: a stored row depends on its vector alone.
 *
 *   f32     as it is
 *   f16     IEEE binary16, rounded to nearest even; beyond 65504 infinity
 *   int8    q = round(x / scale), scale = max|x| / 127 of this row, kept beside it: x ~ q * scale. Cosine needs no scale
 *   binary  bit 1 where x > 0, first element in the highest bit of the first byte (numpy.packbits); missing bits 0
 */
#ifndef MR_IO_VECTOR_CONVERT_H
#define MR_IO_VECTOR_CONVERT_H

#include "io/embedding_row.h"

/* Stored bytes of one vector. */
size_t mr_vector_stored_bytes(mr_vector_dtype dtype, size_t dimension);

/* `vector` NULL (a failed row): NaN for f32 and f16, else 0. *scale is written for int8 only. */
void mr_vector_store(mr_vector_dtype dtype, const float *vector, size_t dimension, void *stored, float *scale);

/* Binary gives -1 and +1. `scale` is used by int8 only. */
void mr_vector_load(mr_vector_dtype dtype, const void *stored, float scale, size_t dimension, float *vector);

uint16_t mr_f16_from_f32(float value);
float mr_f16_to_f32(uint16_t half);

const char *mr_vector_dtype_name(mr_vector_dtype dtype); /* "f32", "f16", "int8", "binary" */

#endif
