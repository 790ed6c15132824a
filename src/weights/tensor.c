#include "weights/tensor.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little endian and used in place"
#endif

const char *mr_dtype_text(mr_dtype dtype)
{
    static const char *const texts[] = {
#define TEXT(name, text, bytes) text,
        MR_DTYPE_LIST(TEXT)
#undef TEXT
    };
    return dtype < MR_DTYPE_COUNT ? texts[dtype] : "unknown";
}

size_t mr_dtype_bytes(mr_dtype dtype)
{
    static const size_t sizes[] = {
#define BYTES(name, text, bytes) bytes,
        MR_DTYPE_LIST(BYTES)
#undef BYTES
    };
    return dtype < MR_DTYPE_COUNT ? sizes[dtype] : 0;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_bf16(uint16_t half)
{
    return from_bits((uint32_t)half << 16);
}

/* IEEE binary16. A subnormal is its mantissa in units of 2^-24. */
static float from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 0x1F, mantissa = half & 0x3FF;
    if (exponent == 0x1F) return from_bits(sign | 0x7F800000 | mantissa << 13);
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24F;
        return sign ? -magnitude : magnitude;
    }
    return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* OCP FP8 E5M2 is the upper half of a binary16. */
static float from_f8_e5m2(uint8_t byte)
{
    return from_f16((uint16_t)(byte << 8));
}

/* OCP FP8 E4M3 ("fn"): bias 7, no infinities, NaN only at 0x7F and 0xFF. */
static float from_f8_e4m3(uint8_t byte)
{
    int exponent = (byte >> 3) & 0xF, mantissa = byte & 7;
    float magnitude;
    if ((byte & 0x7F) == 0x7F) magnitude = NAN;
    else if (exponent == 0) magnitude = ldexpf((float)mantissa, -9);
    else magnitude = ldexpf((float)(8 + mantissa), exponent - 10);
    return byte & 0x80 ? -magnitude : magnitude;
}

/* Elements may lie at any address: each is copied out before use. */
#define DECODE(type, expression)                                \
    for (size_t i = 0; i < count; i++) {                        \
        type value;                                             \
        memcpy(&value, source + i * sizeof value, sizeof value); \
        dst[i] = (expression);                                  \
    }                                                           \
    break

void mr_tensor_slice_to_f32(const mr_tensor *tensor, size_t first, size_t count, float *dst)
{
    const unsigned char *source = tensor->data + first * mr_dtype_bytes(tensor->dtype);
    switch (tensor->dtype) {
    case MR_DTYPE_F64: DECODE(double, (float)value);
    case MR_DTYPE_F32:
        if (count > 0) memcpy(dst, source, count * sizeof *dst);
        break;
    case MR_DTYPE_F16: DECODE(uint16_t, from_f16(value));
    case MR_DTYPE_BF16: DECODE(uint16_t, from_bf16(value));
    case MR_DTYPE_F8_E4M3: DECODE(uint8_t, from_f8_e4m3(value));
    case MR_DTYPE_F8_E5M2: DECODE(uint8_t, from_f8_e5m2(value));
    case MR_DTYPE_I64: DECODE(int64_t, (float)value);
    case MR_DTYPE_I32: DECODE(int32_t, (float)value);
    case MR_DTYPE_I16: DECODE(int16_t, (float)value);
    case MR_DTYPE_I8: DECODE(int8_t, (float)value);
    case MR_DTYPE_U64: DECODE(uint64_t, (float)value);
    case MR_DTYPE_U32: DECODE(uint32_t, (float)value);
    case MR_DTYPE_U16: DECODE(uint16_t, (float)value);
    case MR_DTYPE_U8: DECODE(uint8_t, (float)value);
    case MR_DTYPE_BOOL: DECODE(uint8_t, value ? 1.0F : 0.0F);
    case MR_DTYPE_COUNT: break;
    }
}

void mr_tensor_to_f32(const mr_tensor *tensor, float *dst)
{
    mr_tensor_slice_to_f32(tensor, 0, tensor->elements, dst);
}
