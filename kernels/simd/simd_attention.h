/* Attention by tiles: k and v of 256 keys are packed once for 240 queries; six queries at a time get their scores, the
 * running softmax and the product with v while the scores are in L1. SIMD_ATTENTION_FORMAT is defined before this header is
 * included, once per file: MR_LINEAR_F32, or MR_LINEAR_BF16, where q, k, v and the weights go in words of two. */
#ifndef MR_KERNELS_SIMD_SIMD_ATTENTION_H
#define MR_KERNELS_SIMD_SIMD_ATTENTION_H

#include <math.h>

#include "kernels/attention_tiles.h"
#include "kernels/simd/simd_math.h"
#include "kernels/simd/simd_tile.h"

#if defined(SIMD_ZMM)
TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 1) TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 2) TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 3) TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 4)
static tile_function *const tiles[TILE_VECTORS][TILE_ROWS] = {TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3), TILE_NAMES(4)};
#else
TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 1) TILE_DEFINE_ROWS(SIMD_ATTENTION_FORMAT, 2)
static tile_function *const tiles[TILE_VECTORS][TILE_ROWS] = {TILE_NAMES(1), TILE_NAMES(2)};
#endif

_Static_assert((int)TILE_ROWS == (int)MR_ATTENTION_ROWS, "scores hold one tile of rows");
_Static_assert(MR_ATTENTION_KEYS % TILE_COLUMNS == 0, "key tiles are whole panels");

enum {
    KEYS = MR_ATTENTION_KEYS,
    NARROW = SIMD_ATTENTION_FORMAT == MR_LINEAR_BF16,
    INPUTS = NARROW ? 2 : 1 /* of a word */
};

typedef struct state {
    const mr_attention *a;
    size_t head, dim; /* dim: padded head_dim */
    size_t depth;     /* words of a head */
    float *k;         /* [KEYS / TILE_COLUMNS][depth][TILE_COLUMNS] words */
    float *v;         /* [KEYS / INPUTS][dim] words */
    float *q;         /* [TILE_ROWS][dim] words, bf16 only */
    float *scores;    /* [TILE_ROWS][KEYS] */
    float *sums;      /* [queries of the tile][dim] */
    float *largest, *total; /* [queries of the tile] */
    size_t first_key, keys; /* of the packed tile; keys 0: none */
    const float *packed_k;  /* head whose keys are packed */
} state;

/* columns [0, 8) of 8 rows become rows. */
SIMD_INLINE void transpose_8x8(const float *x, size_t ldx, float *y, size_t ldy)
{
    __m256 r[8], t[8];
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(x + (size_t)i * ldx);
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + (size_t)i * ldy, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(y + (size_t)(i + 4) * ldy, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/* count values of a row -> words, whole vectors of them written; beyond count: 0. */
SIMD_INLINE void to_words(const float *x, size_t count, float *words)
{
    for (size_t i = 0; i < count; i += VW) {
        if (NARROW) {
            v_words_to_bf16((uint16_t *)words + i, v_load_n(x + i, count - i));
        } else {
            v_store(words + i, v_load_n(x + i, count - i));
        }
    }
}

/* Eight rows of up to 8 words -> columns of a panel. */
SIMD_INLINE void pack_block(const float *rows, size_t ld, size_t count, size_t inputs, float *panel)
{
    enum { SIDE = 8, ROOM = 16 }; /* words a row takes when whole vectors are written */
    float block[SIDE][ROOM];
    if (count < SIDE || inputs < SIDE * INPUTS) memset(block, 0, sizeof block);
    for (size_t r = 0; r < count; r++) to_words(rows + r * ld, inputs, block[r]);
    float turned[SIDE][SIDE];
    transpose_8x8(block[0], ROOM, turned[0], SIDE);
    const size_t words = (inputs + INPUTS - 1) / INPUTS;
    for (size_t i = 0; i < words; i++) _mm256_storeu_ps(panel + i * TILE_COLUMNS, _mm256_loadu_ps(turned[i]));
}

/* A head's part of a row is a few cache lines on a page of its own, which no hardware prefetcher foresees: ask for the next
 * head's part when this head's is read. */
SIMD_INLINE void foresee(const state *s, const float *row)
{
    if (s->head + 1 < s->a->last_head) v_prefetch(row + s->a->head_dim, s->a->head_dim);
}

/* Keys become columns; columns up to the next vector are 0. */
static void pack_k(const state *s, const float *k, size_t keys)
{
    const size_t dim = s->a->head_dim, ld = s->a->ldk;
    for (size_t key = 0; key < (keys + VW - 1) / VW * VW; key += 8) {
        float *panel = s->k + key / TILE_COLUMNS * TILE_COLUMNS * s->depth + key % TILE_COLUMNS;
        const size_t count = key >= keys ? 0 : keys - key < 8 ? keys - key : 8;
        for (size_t r = 0; r < count; r++) foresee(s, k + (key + r) * ld);
        for (size_t i = 0; i < dim; i += 8 * INPUTS) {
            const size_t inputs = dim - i < 8 * INPUTS ? dim - i : 8 * INPUTS;
            if (!NARROW && count == 8 && inputs == 8) {
                transpose_8x8(k + key * ld + i, ld, panel + i * TILE_COLUMNS, TILE_COLUMNS);
            } else {
                pack_block(k + key * ld + i, ld, count, inputs, panel + i / INPUTS * TILE_COLUMNS);
            }
        }
    }
}

/* bf16: keys 2 p and 2 p + 1 share a word; a lone last key goes with 0. */
static void pack_v(const state *s, const float *v, size_t keys)
{
    const size_t dim = s->a->head_dim, ld = s->a->ldv;
    for (size_t key = 0; key < keys; key += INPUTS) {
        float *out = s->v + key / INPUTS * s->dim;
        for (size_t r = 0; r < INPUTS && key + r < keys; r++) foresee(s, v + (key + r) * ld);
        for (size_t i = 0; i < s->dim; i += VW) {
            const size_t live = i < dim ? dim - i : 0;
            vf words = v_load_n(v + key * ld + i, live);
            if (NARROW) words = v_words_pair(words, key + 1 < keys ? v_load_n(v + (key + 1) * ld + i, live) : v_set(0.0f));
            v_store(out + i, words);
        }
    }
}

static void pack_tile(state *s, size_t first_key)
{
    const mr_attention *a = s->a;
    const size_t offset = s->head / (a->heads / a->kv_heads) * a->head_dim;
    if (s->keys != 0 && s->first_key == first_key && s->packed_k == a->k + offset) return;
    s->first_key = first_key;
    s->packed_k = a->k + offset;
    s->keys = a->keys - first_key < KEYS ? a->keys - first_key : KEYS;
    pack_k(s, a->k + first_key * a->ldk + offset, s->keys);
    pack_v(s, a->v + first_key * a->ldv + offset, s->keys);
}

/* Scale, cap, slope and masks of keys [low, high) of one row, on the scores themselves. */
static void adjust_row(const state *s, size_t query, size_t low, size_t high, float *row)
{
    const mr_attention *a = s->a;
    const float slope = a->alibi != NULL ? a->alibi[s->head] : 0.0f;
    const vf position = v_set((float)(a->query_position + query)), masked = v_set(-INFINITY);
    const size_t reach = a->bias_reach;
    const float *bias = a->bias != NULL ? a->bias + s->head * (2 * reach + 1) + reach + s->first_key - (a->query_position + query) : NULL;
    for (size_t j = low; j < high; j += VW) {
        const vf key = v_add(v_iota(), v_set((float)(s->first_key + j)));
        const vf distance = v_abs(v_sub(key, position));
        vf x = v_mul(v_load(row + j), v_set(a->scale));
        if (a->softcap > 0.0f) x = v_mul(v_set(a->softcap), v_tanh(v_div(x, v_set(a->softcap))));
        if (a->alibi != NULL) x = v_fnma(v_set(slope), distance, x);
        if (bias != NULL) x = v_add(x, v_load_n(bias + j, high - j));
        if (a->causal) x = v_where_le(key, position, x, masked);
        if (a->window > 0) x = v_where_le(distance, v_set((float)a->window), x, masked);
        v_store(row + j, x);
    }
}

/* The largest of `before` and scores [low, high) of one row. The lanes from high to the next vector become -infinity. */
static float largest_of_row(float *row, size_t low, size_t high, float before)
{
    const size_t tail = high / VW * VW;
    if (tail < high) v_store(row + tail, v_keep_n(v_load(row + tail), high - tail, v_set(-INFINITY)));
    vf top = v_set(before);
    for (size_t j = low; j < high; j += VW) top = v_max(v_load(row + j), top);
    return v_largest(top);
}

/* Scores [low, high) of one row become 2^((score - base) factor), as words from word low / INPUTS on; returns their sum, NaN
 * when a score is. */
static float weigh_row(float *row, size_t low, size_t high, float factor, float base)
{
    vf sum = v_set(0.0f);
    for (size_t j = low; j < high; j += VW) {
        const vf weight = v_exp2_down(v_mul(v_sub(v_load(row + j), v_set(base)), v_set(factor)));
        if (NARROW) {
            v_words_to_bf16((uint16_t *)row + j, weight); /* never ahead of what is still to be read */
        } else {
            v_store(row + j, weight);
        }
        sum = v_add(sum, weight);
    }
    return v_sum(sum);
}

/* Nothing is in the sums of these queries yet. */
static bool is_fresh(const state *s, size_t slot, size_t rows)
{
    bool fresh = true;
    for (size_t r = 0; r < rows; r++) fresh &= s->total[slot + r] == 0.0f;
    return fresh;
}

/* The running softmax of `rows` queries, from `slot` of the query tile on, takes in scores [low, high) of the packed keys;
 * shrink [rows]: what their sums so far must be multiplied by. All maxima come before the first exponential, so that the
 * rows' reductions overlap. */
static void weigh_rows(state *s, size_t slot, size_t rows, size_t low, size_t high, float factor, bool fresh, float *shrink)
{
    float bases[TILE_ROWS], steps[16] = {0};
    for (size_t r = 0; r < rows; r++) {
        const float before = s->largest[slot + r], reached = largest_of_row(s->scores + r * KEYS, low, high, before);
        bases[r] = reached == -INFINITY ? 0.0f : reached; /* -infinity: every key so far is masked */
        steps[r] = (before - bases[r]) * factor;
        s->largest[slot + r] = reached;
    }
    for (size_t i = 0; i < 16 && !fresh; i += VW) v_store(steps + i, v_exp2_down(v_load(steps + i)));
    for (size_t r = 0; r < rows; r++) {
        const float sum = weigh_row(s->scores + r * KEYS, low, high, factor, bases[r]);
        shrink[r] = steps[r];
        s->total[slot + r] = fresh ? sum : s->total[slot + r] * shrink[r] + sum;
    }
}

/* sums = sums * shrink + weights v, for `rows` queries over keys [low, high) of the tile; low is even. fresh: without the sums so far. */
static void add_values(const state *s, size_t rows, bool fresh, const float *shrink, size_t low, size_t high, float *sums)
{
    const size_t first = low / INPUTS, words = (high - low + INPUTS - 1) / INPUTS;
    for (size_t r = 0; r < rows && !fresh; r++) {
        for (size_t i = 0; i < s->dim; i += VW) v_store(sums + r * s->dim + i, v_mul(v_load(sums + r * s->dim + i), v_set(shrink[r])));
    }
    for (size_t i = 0; i < s->dim; i += TILE_COLUMNS) {
        const size_t vectors = (s->dim - i < TILE_COLUMNS ? s->dim - i : TILE_COLUMNS) / VW;
        tiles[vectors - 1][rows - 1](s->scores + first, KEYS, s->v + first * s->dim + i, s->dim, words, !fresh, sums + i, s->dim);
    }
}

/* The keys [*low, *high) of the packed tile that queries query .. query + rows - 1 may see, low on a panel's edge. */
static bool visible_keys(const state *s, size_t query, size_t rows, size_t *low, size_t *high)
{
    const mr_attention *a = s->a;
    const size_t start = a->query_position + query, end = start + rows, last = s->first_key + s->keys;
    size_t from = s->first_key, to = last;
    if (a->causal && to > end) to = end;
    if (a->window > 0) {
        if (start > a->window && start - a->window > from) from = start - a->window;
        if (last > end && last - end > a->window) to = to < end + a->window ? to : end + a->window;
    }
    if (from >= to) return false;
    *low = (from - s->first_key) / TILE_COLUMNS * TILE_COLUMNS;
    *high = to - s->first_key;
    return true;
}

/* Up to TILE_ROWS queries, the first being `query` of the sequence and `slot` of the query tile, against the packed keys. */
static void attend_rows(state *s, size_t query, size_t slot, size_t rows)
{
    const mr_attention *a = s->a;
    const bool adjust = a->causal || a->window > 0 || a->alibi != NULL || a->bias != NULL || a->softcap > 0.0f || !(a->scale > 0.0f);
    const float factor = (adjust ? 1.0f : a->scale) * SIMD_LOG2E;
    const float *q = a->q + query * a->ldq + s->head * a->head_dim;
    size_t low, high, ldq = a->ldq;
    if (!visible_keys(s, query, rows, &low, &high)) return;
    for (size_t r = 0; r < rows; r++) foresee(s, q + r * ldq);
    if (NARROW) {
        for (size_t r = 0; r < rows; r++) to_words(q + r * ldq, a->head_dim, s->q + r * s->dim);
        q = s->q;
        ldq = s->dim;
    }
    for (size_t j = low; j < high; j += TILE_COLUMNS) {
        const size_t vectors = (high - j < TILE_COLUMNS ? high - j + VW - 1 : TILE_COLUMNS) / VW;
        tiles[vectors - 1][rows - 1](q, ldq, s->k + j * s->depth, TILE_COLUMNS, s->depth, false, s->scores + j, KEYS);
    }
    if (adjust) {
        for (size_t r = 0; r < rows; r++) adjust_row(s, query + r, low, high, s->scores + r * KEYS);
    }
    float shrink[TILE_ROWS];
    const bool fresh = is_fresh(s, slot, rows);
    weigh_rows(s, slot, rows, low, high, factor, fresh, shrink);
    add_values(s, rows, fresh, shrink, low, high, s->sums + slot * s->dim);
}

/* out = sums / total; 0 where every key was masked. */
static void write_rows(const state *s, size_t query, size_t rows)
{
    const mr_attention *a = s->a;
    for (size_t r = 0; r < rows; r++) {
        float *out = a->out + (query + r) * a->ldout + s->head * a->head_dim;
        const bool seen = s->total[r] != 0.0f;
        const vf inverse = v_set(1.0f / s->total[r]);
        for (size_t i = 0; i < a->head_dim; i += VW) {
            v_store_n(out + i, seen ? v_mul(v_load(s->sums + r * s->dim + i), inverse) : v_set(0.0f), a->head_dim - i);
        }
    }
}

static void attend_queries(state *s, size_t query, size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        s->largest[r] = -INFINITY;
        s->total[r] = 0.0f;
    }
    for (size_t key = 0; key < s->a->keys; key += KEYS) {
        const size_t last = s->a->query_position + query + rows - 1;
        if (s->a->causal && key > last) break;
        if (s->a->window > 0 && key + KEYS - 1 + s->a->window < s->a->query_position + query) continue;
        if (s->a->window > 0 && key > last && key - last > s->a->window) break;
        pack_tile(s, key);
        for (size_t r = 0; r < rows; r += TILE_ROWS) attend_rows(s, query + r, r, rows - r < TILE_ROWS ? rows - r : TILE_ROWS);
    }
    write_rows(s, query, rows);
}

static void attend_heads(const mr_attention *attention, void *scratch)
{
    state s = {.a = attention, .dim = mr_attention_padded_dim(attention->head_dim)};
    s.depth = (attention->head_dim + INPUTS - 1) / INPUTS;
    s.k = scratch;
    s.v = s.k + KEYS * s.dim;
    s.q = s.v + KEYS * s.dim;
    s.scores = s.q + TILE_ROWS * s.dim;
    s.sums = s.scores + TILE_ROWS * KEYS;
    s.largest = s.sums + MR_ATTENTION_QUERIES * s.dim;
    s.total = s.largest + MR_ATTENTION_QUERIES;
    for (s.head = attention->first_head; s.head < attention->last_head; s.head++) {
        for (size_t query = 0; query < attention->queries; query += MR_ATTENTION_QUERIES) {
            const size_t left = attention->queries - query;
            attend_queries(&s, query, left < MR_ATTENTION_QUERIES ? left : MR_ATTENTION_QUERIES);
        }
    }
}

#endif
