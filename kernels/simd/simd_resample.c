/* Weights are far wider than bytes. With dot products of bytes (VNNI) each is three balanced digits of base 256, four
 * taps to an instruction; without, the bytes are widened and multiplied as 32-bit numbers. */
#include "kernels/simd/simd.h"

#if defined(SIMD_ZMM)
typedef __m512i vi;
enum { LANES = 4 }; /* of 16 bytes */
#define VI(name) _mm512_##name
#define VI_LOAD(p) _mm512_loadu_si512(p)
#define VI_STORE(p, x) _mm512_storeu_si512(p, x)
#define VI_PATTERN(x) _mm512_broadcast_i32x4(x)

/* 16 bytes of each row, side by side. */
SIMD_INLINE vi load_lanes(const uint8_t *const rows[LANES], size_t at)
{
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(rows[0] + at))),
                                                _mm_loadu_si128((const __m128i *)(rows[1] + at)), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(rows[2] + at))),
                                                 _mm_loadu_si128((const __m128i *)(rows[3] + at)), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
#else
typedef __m256i vi;
enum { LANES = 2 };
#define VI(name) _mm256_##name
#define VI_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define VI_STORE(p, x) _mm256_storeu_si256((__m256i *)(p), x)
#define VI_PATTERN(x) _mm256_broadcastsi128_si256(x)

SIMD_INLINE vi load_lanes(const uint8_t *const rows[LANES], size_t at)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(rows[0] + at))),
                                   _mm_loadu_si128((const __m128i *)(rows[1] + at)), 1);
}
#endif

enum { VECTOR = 16 * LANES };

/* 32-bit sums of one output per lane. A group of taps is added, then the sum is rounded to whole values. */
#if defined(SIMD_DPBUSD)
typedef struct sums {
    vi digit[MR_RESAMPLE_DIGITS];
} sums;

SIMD_INLINE sums sums_start(void)
{
    return (sums){{VI(set1_epi32)(1 << (MR_RESAMPLE_SHIFT - 1))}};
}

/* Four taps of an output are four bytes side by side. */
SIMD_INLINE void sums_add(sums *s, vi bytes, const int8_t *digits)
{
    SIMD_UNROLL
    for (size_t d = 0; d < MR_RESAMPLE_DIGITS; d++) {
        int32_t four;
        memcpy(&four, digits + d * MR_RESAMPLE_GROUP, sizeof four);
        s->digit[d] = SIMD_DPBUSD(s->digit[d], bytes, VI(set1_epi32)(four));
    }
}

SIMD_INLINE vi sums_round(const sums *s)
{
    const vi low = VI(add_epi32)(s->digit[0], VI(slli_epi32)(s->digit[1], 8));
    return VI(srai_epi32)(VI(add_epi32)(low, VI(slli_epi32)(s->digit[2], 16)), MR_RESAMPLE_SHIFT);
}

/* Of 16 bytes r g b r g b ...: rrrr gggg bbbb, the four taps of each channel. */
SIMD_INLINE void add_pixels(sums *s, vi bytes, const mr_resample_axis *axis, size_t at)
{
    const vi order = VI_PATTERN(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    sums_add(s, VI(shuffle_epi8)(bytes, order), axis->digits + at * MR_RESAMPLE_DIGITS);
}

/* Four rows, transposed to the four taps of each column. */
SIMD_INLINE void add_rows(sums s[4], const vi rows[MR_RESAMPLE_GROUP], const mr_resample_axis *axis, size_t at)
{
    const int8_t *digits = axis->digits + at * MR_RESAMPLE_DIGITS;
    const vi low01 = VI(unpacklo_epi8)(rows[0], rows[1]), high01 = VI(unpackhi_epi8)(rows[0], rows[1]);
    const vi low23 = VI(unpacklo_epi8)(rows[2], rows[3]), high23 = VI(unpackhi_epi8)(rows[2], rows[3]);
    sums_add(&s[0], VI(unpacklo_epi16)(low01, low23), digits);
    sums_add(&s[1], VI(unpackhi_epi16)(low01, low23), digits);
    sums_add(&s[2], VI(unpacklo_epi16)(high01, high23), digits);
    sums_add(&s[3], VI(unpackhi_epi16)(high01, high23), digits);
}
#else
typedef struct sums {
    vi sum;
} sums;

SIMD_INLINE sums sums_start(void)
{
    return (sums){VI(set1_epi32)(1 << (MR_RESAMPLE_SHIFT - 1))};
}

SIMD_INLINE void sums_add(sums *s, vi words, int32_t weight)
{
    s->sum = VI(add_epi32)(s->sum, VI(mullo_epi32)(words, VI(set1_epi32)(weight)));
}

SIMD_INLINE vi sums_round(const sums *s)
{
    return VI(srai_epi32)(s->sum, MR_RESAMPLE_SHIFT);
}

SIMD_INLINE void add_pixels(sums *s, vi bytes, const mr_resample_axis *axis, size_t at)
{
    SIMD_UNROLL
    for (int t = 0; t < MR_RESAMPLE_GROUP; t++) {
        const __m128i three = _mm_setr_epi32((int)0xffffff00 | (3 * t), (int)0xffffff00 | (3 * t + 1), (int)0xffffff00 | (3 * t + 2), -1);
        sums_add(s, VI(shuffle_epi8)(bytes, VI_PATTERN(three)), axis->weights[at + (size_t)t]);
    }
}

SIMD_INLINE void add_rows(sums s[4], const vi rows[MR_RESAMPLE_GROUP], const mr_resample_axis *axis, size_t at)
{
    const vi zero = VI(set1_epi32)(0);
    SIMD_UNROLL
    for (size_t t = 0; t < MR_RESAMPLE_GROUP; t++) {
        const vi low = VI(unpacklo_epi8)(rows[t], zero), high = VI(unpackhi_epi8)(rows[t], zero);
        sums_add(&s[0], VI(unpacklo_epi16)(low, zero), axis->weights[at + t]);
        sums_add(&s[1], VI(unpackhi_epi16)(low, zero), axis->weights[at + t]);
        sums_add(&s[2], VI(unpacklo_epi16)(high, zero), axis->weights[at + t]);
        sums_add(&s[3], VI(unpackhi_epi16)(high, zero), axis->weights[at + t]);
    }
}
#endif

enum { ROW_VECTORS = 2, ROWS_AT_ONCE = ROW_VECTORS * LANES };

/* ROWS_AT_ONCE rows; the pointers of those that are not there repeat the last. */
static void resample_row_block(const mr_resample_axis *axis, const uint8_t *const x[ROWS_AT_ONCE], uint8_t *const y[ROWS_AT_ONCE])
{
    for (size_t i = 0; i < axis->count; i++) {
        sums s[ROW_VECTORS];
        SIMD_UNROLL
        for (size_t v = 0; v < ROW_VECTORS; v++) s[v] = sums_start();
        for (size_t t = 0; t < axis->taps; t += MR_RESAMPLE_GROUP) {
            SIMD_UNROLL
            for (size_t v = 0; v < ROW_VECTORS; v++) {
                add_pixels(&s[v], load_lanes(x + v * LANES, 3 * (axis->first[i] + t)), axis, i * axis->taps + t);
            }
        }
        for (size_t v = 0; v < ROW_VECTORS; v++) {
            const vi whole = sums_round(&s[v]);
            const vi halves = VI(packs_epi32)(whole, whole);
            uint8_t bytes[VECTOR];
            VI_STORE(bytes, VI(packus_epi16)(halves, halves));
            for (size_t lane = 0; lane < LANES; lane++) memcpy(y[v * LANES + lane] + 3 * i, bytes + 16 * lane, 3);
        }
    }
}

void SIMD(mr_resample_rows_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t width, uint8_t *y, size_t ldy,
                               size_t rows)
{
    (void)width; /* what is read behind a row's end weighs 0 */
    for (size_t r = 0; r < rows; r += ROWS_AT_ONCE) {
        const uint8_t *from[ROWS_AT_ONCE];
        uint8_t *to[ROWS_AT_ONCE];
        for (size_t i = 0; i < ROWS_AT_ONCE; i++) {
            const size_t row = r + i < rows ? r + i : rows - 1;
            from[i] = x + row * ldx;
            to[i] = y + row * ldy;
        }
        resample_row_block(axis, from, to);
    }
}

/* VECTOR bytes of output row i. */
SIMD_INLINE vi resample_columns_vector(const mr_resample_axis *axis, size_t i, const uint8_t *x, size_t ldx, size_t rows)
{
    sums s[4] = {sums_start(), sums_start(), sums_start(), sums_start()};
    for (size_t t = 0; t < axis->taps; t += MR_RESAMPLE_GROUP) {
        vi group[MR_RESAMPLE_GROUP];
        SIMD_UNROLL
        for (size_t k = 0; k < MR_RESAMPLE_GROUP; k++) {
            const size_t row = axis->first[i] + t + k;
            group[k] = VI_LOAD(x + (row < rows ? row : rows - 1) * ldx);
        }
        add_rows(s, group, axis, i * axis->taps + t);
    }
    const vi low = VI(packs_epi32)(sums_round(&s[0]), sums_round(&s[1]));
    return VI(packus_epi16)(low, VI(packs_epi32)(sums_round(&s[2]), sums_round(&s[3])));
}

void SIMD(mr_resample_columns_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t rows, uint8_t *y, size_t ldy,
                                  size_t n)
{
    for (size_t i = 0; i < axis->count; i++) {
        uint8_t *out = y + i * ldy;
        size_t j = 0;
        for (; j + VECTOR <= n; j += VECTOR) VI_STORE(out + j, resample_columns_vector(axis, i, x + j, ldx, rows));
        if (j < n) {
            uint8_t bytes[VECTOR];
            VI_STORE(bytes, resample_columns_vector(axis, i, x + j, ldx, rows));
            memcpy(out + j, bytes, n - j);
        }
    }
}
