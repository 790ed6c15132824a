/* Separable resampling of 8-bit images in fixed point, as Pillow does it (libImaging/Resample.c): along one axis
 *
 *   y[i] = clamp((2^21 + sum over t of x[first[i] + t] * weights[i, t]) >> 22, 0, 255)
 *
 * with sums that fit 32 bits. Integers only, so every variant gives the same bits. image/resize.h makes the axes. */
#ifndef MR_KERNELS_RESAMPLE_H
#define MR_KERNELS_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum {
    MR_RESAMPLE_SHIFT = 22, /* weights are multiples of 2^-22 */
    MR_RESAMPLE_GROUP = 4,  /* taps come in groups of this many, the last filled up with weights of 0 */
    MR_RESAMPLE_DIGITS = 3, /* a weight in balanced digits of base 256, for dot products of bytes */
    MR_RESAMPLE_SLACK = 64, /* bytes that must be readable behind the last row of an input */
};

typedef struct mr_resample_axis {
    size_t count;           /* outputs */
    size_t taps;            /* of each output, a multiple of MR_RESAMPLE_GROUP */
    const uint32_t *first;  /* [count] input of the first tap */
    const int32_t *weights; /* [count, taps], each in -2^23 .. 2^23 - 2^15 - 1 */
    const int8_t *digits;   /* [count, taps / GROUP, DIGITS, GROUP]: weight = sum over d of digit[d] * 256^d */
} mr_resample_axis;

#endif
