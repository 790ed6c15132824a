/* Gather, softmax, argmax, pooling, normalisation to length 1, dot products, rotary embedding. */
#include <float.h>
#include <math.h>

#include "kernels/simd/simd_math.h"

void SIMD(mr_gather_sum_f32)(const mr_gather *tables, size_t count, float *y, size_t ldy, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < count; t++) {
            const float *row = tables[t].table + (tables[t].ids != NULL ? (size_t)tables[t].ids[r] * tables[t].ld : 0);
            float *out = y + r * ldy;
            for (size_t i = 0; i < n; i += VW) {
                vf value = v_load_n(row + i, n - i);
                if (t > 0) value = v_add(v_load_n(out + i, n - i), value);
                v_store_n(out + i, value, n - i);
            }
        }
    }
}

SIMD_INLINE float largest_of(const float *x, size_t n)
{
    vf top = v_set(-INFINITY);
    for (size_t i = 0; i < n; i += VW) top = v_max(v_keep_n(v_load_n(x + i, n - i), n - i, v_set(-INFINITY)), top);
    return v_largest(top);
}

/* A NaN among x makes the sum, and so every y, NaN. */
void SIMD(mr_softmax_f32)(const float *x, float *y, size_t n)
{
    const vf top = v_set(largest_of(x, n));
    vf sum = v_set(0.0f);
    for (size_t i = 0; i < n; i += VW) {
        const vf value = v_exp2_down(v_mul(v_sub(v_load_n(x + i, n - i), top), v_set(SIMD_LOG2E)));
        v_store_n(y + i, value, n - i);
        sum = v_add(sum, v_keep_n(value, n - i, v_set(0.0f)));
    }
    const vf total = v_set(v_sum(sum));
    for (size_t i = 0; i < n; i += VW) v_store_n(y + i, v_div(v_load_n(y + i, n - i), total), n - i);
}

size_t SIMD(mr_argmax_f32)(const float *x, size_t n)
{
    const float top = largest_of(x, n);
    size_t i = 0;
    while (i + VW <= n && !v_any_equal(v_load(x + i), v_set(top))) i += VW;
    while (i < n && x[i] != top) i++;
    return i < n ? i : 0;
}

/* x * 0 is 0 for finite x and NaN otherwise. */
bool SIMD(mr_is_finite_f32)(const float *x, size_t n)
{
    vf zeros = v_set(0.0f);
    for (size_t i = 0; i < n; i += VW) zeros = v_fma(v_load_n(x + i, n - i), v_set(0.0f), zeros);
    return v_sum(zeros) == 0.0f;
}

/* Sums of 64 rows are summed in turn, so that rounding grows with 64 + rows / 64, not with the rows. */
SIMD_INLINE vf pool_sum(bool weighted, const float *x, size_t ldx, size_t rows, size_t first, size_t live)
{
    vf total = v_set(0.0f);
    for (size_t block = first; block < rows; block += 64) {
        const size_t end = rows - block < 64 ? rows : block + 64;
        vf sum = v_set(0.0f);
        for (size_t t = block; t < end; t++) {
            const vf value = v_load_n(x + t * ldx, live);
            sum = weighted ? v_fma(value, v_set((float)(t + 1)), sum) : v_add(sum, value);
        }
        total = v_add(total, sum);
    }
    return total;
}

SIMD_INLINE vf pool_max(const float *x, size_t ldx, size_t rows, size_t first, size_t live)
{
    vf top = v_load_n(x + first * ldx, live);
    for (size_t t = first + 1; t < rows; t++) {
        /* v_max drops a NaN that `top` holds: put it back. */
        top = v_where_le(top, top, v_max(top, v_load_n(x + t * ldx, live)), top);
    }
    return top;
}

/* What the sum is divided by. */
static float pool_divisor(mr_pooling kind, size_t rows, size_t first)
{
    const double count = (double)(rows - first);
    if (kind == MR_POOLING_MEAN_SQRT_LEN) return (float)sqrt(count);
    if (kind == MR_POOLING_WEIGHTED_MEAN) return (float)(count * ((double)first + 1.0 + (double)rows) / 2.0);
    return (float)count;
}

void SIMD(mr_pool_f32)(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first, size_t n, float *y)
{
    if (first >= rows) {
        for (size_t i = 0; i < n; i++) y[i] = 0.0f;
        return;
    }
    if (kind == MR_POOLING_CLS || kind == MR_POOLING_LAST) {
        memcpy(y, x + (kind == MR_POOLING_CLS ? first : rows - 1) * ldx, n * sizeof *y);
        return;
    }
    const vf divisor = v_set(pool_divisor(kind, rows, first));
    for (size_t i = 0; i < n; i += VW) {
        if (kind == MR_POOLING_MAX) {
            v_store_n(y + i, pool_max(x + i, ldx, rows, first, n - i), n - i);
        } else {
            v_store_n(y + i, v_div(pool_sum(kind == MR_POOLING_WEIGHTED_MEAN, x + i, ldx, rows, first, n - i), divisor), n - i);
        }
    }
}

/* Four chains of sums: one would wait for its own latency. */
static float dot(const float *a, const float *b, size_t n)
{
    vf s0 = v_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW) {
        s0 = v_fma(v_load(a + i), v_load(b + i), s0);
        s1 = v_fma(v_load(a + i + VW), v_load(b + i + VW), s1);
        s2 = v_fma(v_load(a + i + 2 * VW), v_load(b + i + 2 * VW), s2);
        s3 = v_fma(v_load(a + i + 3 * VW), v_load(b + i + 3 * VW), s3);
    }
    for (; i < n; i += VW) s0 = v_fma(v_load_n(a + i, n - i), v_load_n(b + i, n - i), s0);
    return v_sum(v_add(v_add(s0, s1), v_add(s2, s3)));
}

void SIMD(mr_dot_rows_f32)(const float *q, const float *rows, size_t ld, size_t count, size_t n, float *scores)
{
    for (size_t r = 0; r < count; r++) scores[r] = dot(q, rows + r * ld, n);
}

void SIMD(mr_l2_normalize_f32)(const float *x, float *y, size_t n)
{
    const vf norm = v_set(fmaxf(sqrtf(dot(x, x, n)), 1e-12f));
    for (size_t i = 0; i < n; i += VW) v_store_n(y + i, v_div(v_load_n(x + i, n - i), norm), n - i);
}

SIMD_INLINE void turn_halves(float *head, size_t half, const float *cosine, const float *sine)
{
    for (size_t j = 0; j < half; j += VW) {
        const size_t live = half - j;
        const vf a = v_load_n(head + j, live), b = v_load_n(head + half + j, live);
        const vf c = v_load_n(cosine + j, live), s = v_load_n(sine + j, live);
        v_store_n(head + j, v_sub(v_mul(a, c), v_mul(b, s)), live);
        v_store_n(head + half + j, v_add(v_mul(b, c), v_mul(a, s)), live);
    }
}

SIMD_INLINE void turn_pairs(float *restrict head, size_t half, const float *restrict cosine, const float *restrict sine)
{
    for (size_t j = 0; j < half; j++) {
        const float a = head[2 * j], b = head[2 * j + 1];
        head[2 * j] = a * cosine[j] - b * sine[j];
        head[2 * j + 1] = b * cosine[j] + a * sine[j];
    }
}

void SIMD(mr_rope_f32)(float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, size_t half, const float *cosine,
                       const float *sine, const int32_t *positions, bool interleaved)
{
    for (size_t r = 0; r < rows; r++) {
        const float *c = cosine + (size_t)positions[r] * half, *s = sine + (size_t)positions[r] * half;
        for (size_t h = 0; h < heads; h++) {
            float *head = x + r * ldx + h * head_dim;
            if (interleaved) {
                turn_pairs(head, half, c, s);
            } else {
                turn_halves(head, half, c, s);
            }
        }
    }
}
