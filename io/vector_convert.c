#include "io/vector_convert.h"

#include <math.h>
#include <string.h>

size_t mr_vector_stored_bytes(mr_vector_dtype dtype, size_t dimension)
{
    switch (dtype) {
    case MR_VECTOR_F32: return 4 * dimension;
    case MR_VECTOR_F16: return 2 * dimension;
    case MR_VECTOR_INT8: return dimension;
    case MR_VECTOR_BINARY: return (dimension + 7) / 8;
    }
    return 0;
}

const char *mr_vector_dtype_name(mr_vector_dtype dtype)
{
    switch (dtype) {
    case MR_VECTOR_F32: return "f32";
    case MR_VECTOR_F16: return "f16";
    case MR_VECTOR_INT8: return "int8";
    case MR_VECTOR_BINARY: return "binary";
    }
    return "unknown";
}

uint16_t mr_f16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return sign | 0x7E00;  /* NaN */
    if (magnitude >= 0x477FF000) return sign | 0x7C00; /* 65520 and more round to infinity */
    if (magnitude < 0x38800000) {                      /* below 2^-14: units of 2^-24, which adding 0.5 rounds to */
        float shifted;
        memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        memcpy(&magnitude, &shifted, sizeof magnitude);
        return sign | (uint16_t)(magnitude - 0x3F000000);
    }
    uint32_t odd = magnitude >> 13 & 1; /* nearest, ties to even */
    magnitude += 0xFFF + odd;
    return sign | (uint16_t)((magnitude >> 13) - (112 << 10)); /* exponent bias 127 -> 15 */
}

float mr_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7FFF;
    float value;
    if (magnitude < 0x0400) { /* subnormal: units of 2^-24 */
        value = (float)magnitude * 0x1p-24f;
        return sign ? -value : value;
    }
    uint32_t bits = magnitude >= 0x7C00 ? 0x7F800000 | (magnitude & 0x3FF) << 13 : (magnitude << 13) + (112u << 23);
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store_int8(const float *vector, size_t dimension, int8_t *out, float *scale)
{
    float largest = 0.0f;
    for (size_t i = 0; i < dimension; i++)
        if (!(fabsf(vector[i]) <= largest)) largest = fabsf(vector[i]);
    memset(out, 0, dimension);
    *scale = largest / 127.0f;
    if (!(*scale > 0.0f) || isinf(largest)) return; /* all zero, or not finite: the scale says so */
    for (size_t i = 0; i < dimension; i++) {
        float rounded = rintf(vector[i] / *scale);
        out[i] = (int8_t)(rounded > 127.0f ? 127.0f : rounded < -127.0f ? -127.0f : rounded);
    }
}

static void store_missing(mr_vector_dtype dtype, size_t dimension, void *stored, float *scale)
{
    const float nan = NAN;
    memset(stored, 0, mr_vector_stored_bytes(dtype, dimension));
    for (size_t i = 0; i < dimension && dtype == MR_VECTOR_F32; i++) memcpy((float *)stored + i, &nan, sizeof nan);
    for (size_t i = 0; i < dimension && dtype == MR_VECTOR_F16; i++) ((uint16_t *)stored)[i] = 0x7E00;
    if (dtype == MR_VECTOR_INT8) *scale = 0.0f;
}

void mr_vector_store(mr_vector_dtype dtype, const float *vector, size_t dimension, void *stored, float *scale)
{
    if (!vector) {
        store_missing(dtype, dimension, stored, scale);
        return;
    }
    switch (dtype) {
    case MR_VECTOR_F32: memcpy(stored, vector, 4 * dimension); break;
    case MR_VECTOR_F16:
        for (size_t i = 0; i < dimension; i++) ((uint16_t *)stored)[i] = mr_f16_from_f32(vector[i]);
        break;
    case MR_VECTOR_INT8: store_int8(vector, dimension, stored, scale); break;
    case MR_VECTOR_BINARY:
        memset(stored, 0, (dimension + 7) / 8);
        for (size_t i = 0; i < dimension; i++)
            if (vector[i] > 0.0f) ((uint8_t *)stored)[i / 8] |= (uint8_t)(0x80 >> i % 8);
        break;
    }
}

void mr_vector_load(mr_vector_dtype dtype, const void *stored, float scale, size_t dimension, float *vector)
{
    switch (dtype) {
    case MR_VECTOR_F32: memcpy(vector, stored, 4 * dimension); break;
    case MR_VECTOR_F16:
        for (size_t i = 0; i < dimension; i++) vector[i] = mr_f16_to_f32(((const uint16_t *)stored)[i]);
        break;
    case MR_VECTOR_INT8:
        for (size_t i = 0; i < dimension; i++) vector[i] = (float)((const int8_t *)stored)[i] * scale;
        break;
    case MR_VECTOR_BINARY:
        for (size_t i = 0; i < dimension; i++) vector[i] = ((const uint8_t *)stored)[i / 8] & 0x80 >> i % 8 ? 1.0f : -1.0f;
        break;
    }
}
