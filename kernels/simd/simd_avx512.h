/* simd.h for AVX-512 F, BW, DQ, VL. */
#ifndef MR_KERNELS_SIMD_SIMD_AVX512_H
#define MR_KERNELS_SIMD_SIMD_AVX512_H

typedef __m512 vf;
enum {
    VW = 16,
    TILE_VECTORS = 4 /* 6 x 4 sums + 4 weights + 1 input of 32 registers */
};

SIMD_INLINE __mmask16 lanes_(size_t n)
{
    return (__mmask16)(n >= VW ? 0xffff : (1u << n) - 1);
}

SIMD_INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
SIMD_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
SIMD_INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }

/* Making a mask costs more than a branch that goes the same way all along the row. */
SIMD_INLINE vf v_load_n(const float *p, size_t n) { return n >= VW ? v_load(p) : _mm512_maskz_loadu_ps(lanes_(n), p); }
SIMD_INLINE void v_store_n(float *p, vf x, size_t n)
{
    if (n >= VW) {
        v_store(p, x);
    } else {
        _mm512_mask_storeu_ps(p, lanes_(n), x);
    }
}

SIMD_INLINE vf v_keep_n(vf x, size_t n, vf fill) { return _mm512_mask_mov_ps(fill, lanes_(n), x); }
SIMD_INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
SIMD_INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
SIMD_INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
SIMD_INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
SIMD_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
SIMD_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
SIMD_INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SIMD_INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SIMD_INLINE vf v_abs(vf x) { return _mm512_abs_ps(x); }
SIMD_INLINE vf v_fraction(vf x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
SIMD_INLINE vf v_scale(vf x, vf y) { return _mm512_scalef_ps(x, y); }
SIMD_INLINE vf v_limit_down(vf y) { return y; } /* the fraction of -infinity is 0 */
SIMD_INLINE vf v_scale_down(vf x, vf y) { return _mm512_scalef_ps(x, y); }
SIMD_INLINE vf v_where_le(vf a, vf b, vf x, vf y) { return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), x); }
SIMD_INLINE bool v_any_equal(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) != 0; }
SIMD_INLINE vf v_iota(void) { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
/* min(|a|, |b|); b for a NaN in a */
SIMD_INLINE vf v_least_size(vf a, vf b) { return _mm512_range_ps(a, b, 0xa); }
/* table[low four bits of the index] */
SIMD_INLINE vf v_lookup(const float table[16], vf index) { return _mm512_permutexvar_ps(_mm512_castps_si512(index), _mm512_loadu_ps(table)); }
SIMD_INLINE float v_sum(vf x) { return _mm512_reduce_add_ps(x); }
SIMD_INLINE float v_largest(vf x) { return _mm512_reduce_max_ps(x); }

SIMD_INLINE void v_to_f16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

SIMD_INLINE vf v_from_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

/* By integers: the CPU's own bf16 conversion flushes subnormal numbers. */
SIMD_INLINE vf v_round_bf16(vf x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __m512i either = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
    return _mm512_castsi512_ps(_mm512_and_si512(either, _mm512_set1_epi32((int)0xffff0000)));
}

SIMD_INLINE void v_to_bf16(uint16_t *p, vf x)
{
    const __m512i words = _mm512_srli_epi32(_mm512_castps_si512(v_round_bf16(x)), 16);
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(words));
}

SIMD_INLINE vf v_bf16_pair(vf a, vf b)
{
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(v_round_bf16(a)), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_castps_si512(v_round_bf16(b))));
}

SIMD_INLINE vf v_from_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

SIMD_INLINE __m512i bits_(vf x) { return _mm512_castps_si512(x); }
SIMD_INLINE vf words_(__m512i x) { return _mm512_castsi512_ps(x); }

#if defined(__AVX512BF16__)
SIMD_INLINE void v_words_to_bf16(uint16_t *p, vf x) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(x)); }

SIMD_INLINE vf v_words_pair(vf a, vf b)
{
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a)), high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b));
    return words_(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

#define V_BF16_HALVES 1
SIMD_INLINE vf v_bf16_half(vf words, int half)
{
    (void)half;
    return words;
}
SIMD_INLINE vf v_bf16_step(vf a, vf b, vf sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
#else
SIMD_INLINE vf without_subnormals_(vf x)
{
    const __mmask16 normal = _mm512_test_epi32_mask(bits_(x), _mm512_set1_epi32(0x7f800000));
    return _mm512_mask_mov_ps(words_(_mm512_and_si512(bits_(x), _mm512_set1_epi32((int)0x80000000))), normal, x);
}

SIMD_INLINE void v_words_to_bf16(uint16_t *p, vf x) { v_to_bf16(p, without_subnormals_(x)); }
SIMD_INLINE vf v_words_pair(vf a, vf b) { return v_bf16_pair(without_subnormals_(a), without_subnormals_(b)); }
#define V_BF16_HALVES 2
SIMD_INLINE vf v_bf16_half(vf words, int half)
{
    if (half == 0) return words_(_mm512_and_si512(bits_(words), _mm512_set1_epi32((int)0xffff0000)));
    return words_(_mm512_slli_epi32(bits_(words), 16));
}
SIMD_INLINE vf v_bf16_step(vf a, vf b, vf sum) { return v_fma(a, b, sum); }
#endif

#if defined(__AVX512VNNI__)
#define SIMD_DPBUSD _mm512_dpbusd_epi32
#else
#define V_INT8_HALVES 2
SIMD_INLINE vf v_u8_half(vf words, int half)
{
    if (half == 0) return words_(_mm512_and_si512(bits_(words), _mm512_set1_epi16(0xff)));
    return words_(_mm512_srli_epi16(bits_(words), 8));
}
SIMD_INLINE vf v_s8_half(vf words, int half)
{
    const __m512i high = half == 0 ? _mm512_slli_epi16(bits_(words), 8) : bits_(words);
    return words_(_mm512_srai_epi16(high, 8));
}
SIMD_INLINE vf v_int8_step(vf a, vf b, vf sum) { return words_(_mm512_add_epi32(bits_(sum), _mm512_madd_epi16(bits_(a), bits_(b)))); }
#endif

SIMD_INLINE vf v_i32(int32_t x) { return words_(_mm512_set1_epi32(x)); }
SIMD_INLINE vf v_load_i32(const int32_t *p) { return words_(_mm512_loadu_si512(p)); }

SIMD_INLINE vf v_from_i32(vf words, vf zero, vf sums)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(bits_(words), _mm512_mullo_epi32(bits_(zero), bits_(sums))));
}

SIMD_INLINE void v_to_u8(uint8_t *p, vf x)
{
    const __m512i value = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)p, _mm512_cvtusepi32_epi8(value));
}

/* Packing works within quarters of a vector: the last step puts fours of bytes into their order. */
SIMD_INLINE void v_to_u8_4(uint8_t *p, const vf x[4])
{
    const __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(x[0]), _mm512_cvtps_epi32(x[1]));
    const __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(x[2]), _mm512_cvtps_epi32(x[3]));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
}

SIMD_INLINE vf v_max_i32(vf a, vf b) { return words_(_mm512_max_epi32(bits_(a), bits_(b))); }
SIMD_INLINE vf v_max_u32(vf a, vf b) { return words_(_mm512_max_epu32(bits_(a), bits_(b))); }
SIMD_INLINE float v_largest_i32(vf x) { return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(bits_(x))))); }
SIMD_INLINE float v_largest_u32(vf x) { return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)_mm512_reduce_max_epu32(bits_(x))))); }

#endif
