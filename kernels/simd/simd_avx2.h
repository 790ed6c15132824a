/* simd.h for AVX2 with FMA and F16C. */
#ifndef MR_KERNELS_SIMD_SIMD_AVX2_H
#define MR_KERNELS_SIMD_SIMD_AVX2_H

typedef __m256 vf;
enum {
    VW = 8,
    TILE_VECTORS = 2 /* 6 x 2 sums + 2 weights + 1 input of 16 registers */
};

SIMD_INLINE __m256i lanes_(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= VW ? VW : (int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

SIMD_INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
SIMD_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
SIMD_INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
SIMD_INLINE vf v_load_n(const float *p, size_t n) { return n >= VW ? v_load(p) : _mm256_maskload_ps(p, lanes_(n)); }

/* Masked stores cost tens of cycles on some CPUs: only for true tails. */
SIMD_INLINE void v_store_n(float *p, vf x, size_t n)
{
    if (n >= VW) {
        v_store(p, x);
    } else {
        _mm256_maskstore_ps(p, lanes_(n), x);
    }
}

SIMD_INLINE vf v_keep_n(vf x, size_t n, vf fill) { return _mm256_blendv_ps(fill, x, _mm256_castsi256_ps(lanes_(n))); }
SIMD_INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
SIMD_INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
SIMD_INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
SIMD_INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
SIMD_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
SIMD_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
SIMD_INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
SIMD_INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
SIMD_INLINE vf v_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

SIMD_INLINE vf v_fraction(vf x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }

/* In two steps of half the exponent, each a normal number, for y in -252 .. 254; the first product is exact. */
SIMD_INLINE vf v_scale(vf x, vf y)
{
    const __m256i exponent = _mm256_cvtps_epi32(_mm256_floor_ps(y)), one = _mm256_set1_epi32(127);
    const __m256i low = _mm256_srai_epi32(exponent, 1), high = _mm256_sub_epi32(exponent, low);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(low, one), 23)));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(high, one), 23)));
}

/* 2^-127 would be subnormal: its bits, made here, are 0. */
SIMD_INLINE vf v_limit_down(vf y) { return _mm256_max_ps(_mm256_set1_ps(-127.0f), y); }
SIMD_INLINE vf v_scale_down(vf x, vf y)
{
    const __m256i whole = _mm256_cvtps_epi32(_mm256_floor_ps(y));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(whole, _mm256_set1_epi32(127)), 23)));
}

SIMD_INLINE vf v_where_le(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LE_OQ)); }
SIMD_INLINE bool v_any_equal(vf a, vf b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)) != 0; }
SIMD_INLINE vf v_iota(void) { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }

SIMD_INLINE float v_sum(vf x)
{
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

SIMD_INLINE float v_largest(vf x)
{
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
}

SIMD_INLINE void v_to_f16(uint16_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

SIMD_INLINE vf v_from_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

SIMD_INLINE vf v_round_bf16(vf x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 either = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(either, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000)));
}

SIMD_INLINE void v_to_bf16(uint16_t *p, vf x)
{
    const __m256i words = _mm256_srli_epi32(_mm256_castps_si256(v_round_bf16(x)), 16);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

SIMD_INLINE vf v_bf16_pair(vf a, vf b)
{
    const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(v_round_bf16(a)), 16);
    return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_castps_si256(v_round_bf16(b))));
}

SIMD_INLINE vf v_from_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

SIMD_INLINE __m256i bits_(vf x) { return _mm256_castps_si256(x); }
SIMD_INLINE vf words_(__m256i x) { return _mm256_castsi256_ps(x); }

SIMD_INLINE vf without_subnormals_(vf x)
{
    const __m256i subnormal = _mm256_cmpeq_epi32(_mm256_and_si256(bits_(x), _mm256_set1_epi32(0x7f800000)), _mm256_setzero_si256());
    return words_(_mm256_andnot_si256(_mm256_and_si256(subnormal, _mm256_set1_epi32(0x7fffffff)), bits_(x)));
}

SIMD_INLINE void v_words_to_bf16(uint16_t *p, vf x) { v_to_bf16(p, without_subnormals_(x)); }
SIMD_INLINE vf v_words_pair(vf a, vf b) { return v_bf16_pair(without_subnormals_(a), without_subnormals_(b)); }
#define V_BF16_HALVES 2
SIMD_INLINE vf v_bf16_half(vf words, int half)
{
    if (half == 0) return words_(_mm256_and_si256(bits_(words), _mm256_set1_epi32((int)0xffff0000)));
    return words_(_mm256_slli_epi32(bits_(words), 16));
}
SIMD_INLINE vf v_bf16_step(vf a, vf b, vf sum) { return v_fma(a, b, sum); }

#if defined(__AVXVNNI__)
#define SIMD_DPBUSD _mm256_dpbusd_avx_epi32
#elif defined(__AVX512VNNI__)
#define SIMD_DPBUSD _mm256_dpbusd_epi32
#endif

#if !defined(SIMD_DPBUSD)
#define V_INT8_HALVES 2
SIMD_INLINE vf v_u8_half(vf words, int half)
{
    if (half == 0) return words_(_mm256_and_si256(bits_(words), _mm256_set1_epi16(0xff)));
    return words_(_mm256_srli_epi16(bits_(words), 8));
}
SIMD_INLINE vf v_s8_half(vf words, int half)
{
    const __m256i high = half == 0 ? _mm256_slli_epi16(bits_(words), 8) : bits_(words);
    return words_(_mm256_srai_epi16(high, 8));
}
SIMD_INLINE vf v_int8_step(vf a, vf b, vf sum) { return words_(_mm256_add_epi32(bits_(sum), _mm256_madd_epi16(bits_(a), bits_(b)))); }
#endif

SIMD_INLINE vf v_i32(int32_t x) { return words_(_mm256_set1_epi32(x)); }
SIMD_INLINE vf v_load_i32(const int32_t *p) { return words_(_mm256_loadu_si256((const __m256i *)p)); }

SIMD_INLINE vf v_from_i32(vf words, vf zero, vf sums)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(bits_(words), _mm256_mullo_epi32(bits_(zero), bits_(sums))));
}

SIMD_INLINE void v_to_u8(uint8_t *p, vf x)
{
    const __m256i value = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}

/* Packing works within halves of a vector: the last step puts fours of bytes into their order. */
SIMD_INLINE void v_to_u8_4(uint8_t *p, const vf x[4])
{
    const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
    const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(x[2]), _mm256_cvtps_epi32(x[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)p, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
}

SIMD_INLINE vf v_max_i32(vf a, vf b) { return words_(_mm256_max_epi32(bits_(a), bits_(b))); }
SIMD_INLINE vf v_max_u32(vf a, vf b) { return words_(_mm256_max_epu32(bits_(a), bits_(b))); }

SIMD_INLINE float v_largest_i32(vf x)
{
    __m128i top = _mm_max_epi32(_mm256_castsi256_si128(bits_(x)), _mm256_extracti128_si256(bits_(x), 1));
    top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0x4e));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(top, _mm_shuffle_epi32(top, 0xb1))));
}

SIMD_INLINE float v_largest_u32(vf x)
{
    __m128i top = _mm_max_epu32(_mm256_castsi256_si128(bits_(x)), _mm256_extracti128_si256(bits_(x), 1));
    top = _mm_max_epu32(top, _mm_shuffle_epi32(top, 0x4e));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(top, _mm_shuffle_epi32(top, 0xb1))));
}

#endif
