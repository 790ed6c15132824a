/* Vectors of f32 for the codelets of this folder. Each codelet is compiled once per instruction set; MR_SIMD names it
 * (a CMake definition), this header brings its vectors, and SIMD(name) gives the compiled function its suffix.
 *
 *   vf, VW                      a vector and its number of lanes
 *   v_load_n, v_store_n         the first min(n, VW) lanes; the others load as 0 and are not stored
 *   v_keep_n(x, n, fill)        lanes n.. replaced by fill
 *   v_fma(a, b, c)  a b + c     v_fnma(a, b, c)  c - a b
 *   v_max(a, b), v_min(a, b)    b where either is NaN
 *   v_fraction(x)               x - floor(x), NaN gives NaN
 *   v_scale(x, y)               x * 2^floor(y), rounded once; over- and underflow as IEEE 754 says
 *   v_limit_down(y)             y, or what is cheap and as good for v_fraction and v_scale_down where 2^y is next to 0
 *   v_scale_down(x, y)          v_scale for v_limit_down(y), y < 1; -infinity gives 0
 *   v_where_le(a, b, x, y)      a <= b ? x : y per lane
 *   v_bf16_half, v_u8_half, v_s8_half, v_bf16_step, v_int8_step    see simd_tile.h
 *   SIMD_DPBUSD(sum, a, b)      where the CPU has it: i32 sum + a . b of each four bytes, u8 a, s8 b
 *   v_round_bf16(x)             to bf16, nearest even, still as f32; v_bf16_pair(a, b): words with bf16 a below, b above
 *   v_words_to_bf16(p, x), v_words_pair(a, b)     v_to_bf16 and v_bf16_pair as operands of v_bf16_step: subnormal x give 0
 *   v_i32(x), v_load_i32(p)     i32 lanes in a vf
 *   v_from_i32(words, z, s)     (float)(words - z s) of i32 lanes
 *   v_to_u8(p, x)               rounded and limited to 0 .. 255; v_to_u8_4: of four vectors
 *   v_max_i32, v_max_u32        of the lanes as integers; v_largest_i32, v_largest_u32: across lanes, as the float it is
 *   v_lookup(table, index)      table[low four bits of the index]; vectors of 16 only, as is v_least_size(a, b): min(|a|, |b|)
 *   v_settle(p)                 the compiler takes *p for made here: what follows does not reach back into the loop before
 *   v_sum, v_largest            across lanes, always in the same order; v_largest may pass NaN over */
#ifndef MR_KERNELS_SIMD_SIMD_H
#define MR_KERNELS_SIMD_SIMD_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD_INLINE static inline __attribute__((always_inline))
/* Small loops over registers must vanish whatever the optimiser thinks of their size. */
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif
#define SIMD_JOIN_(name, isa) name##__##isa
#define SIMD_JOIN(name, isa) SIMD_JOIN_(name, isa)
#define SIMD(name) SIMD_JOIN(name, MR_SIMD)

/* MR_SIMD_YMM keeps to vectors of 256 bits whatever the flags allow. */
#if defined(__AVX512F__) && !defined(MR_SIMD_YMM)
#define SIMD_ZMM
#include "kernels/simd/simd_avx512.h"
#else
#include "kernels/simd/simd_avx2.h"
#endif

#if defined(SIMD_DPBUSD)
#define V_INT8_HALVES 1
SIMD_INLINE vf v_u8_half(vf words, int half)
{
    (void)half;
    return words;
}
SIMD_INLINE vf v_s8_half(vf words, int half)
{
    (void)half;
    return words;
}
SIMD_INLINE vf v_int8_step(vf a, vf b, vf sum) { return words_(SIMD_DPBUSD(bits_(sum), bits_(a), bits_(b))); }
#endif

SIMD_INLINE void v_settle(vf *x) { __asm__("" : "+v"(*x)); }

/* The cache lines of p[0 .. n). */
SIMD_INLINE void v_prefetch(const float *p, size_t n)
{
    for (size_t i = 0; i < n; i += 16) _mm_prefetch((const char *)(p + i), _MM_HINT_T0);
}

/* Results and operands, as vdpbf16ps always has it, for all that follows: pass the returned mode to _mm_setcsr at the end. */
SIMD_INLINE unsigned v_subnormals_to_zero(void)
{
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040); /* FTZ, DAZ */
    return mode;
}

#include "kernels/simd/codelets.h"

#endif
