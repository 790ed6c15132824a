/* Attention by tiles: k and v of 256 keys are packed once for 240 queries; six queries at a time get their scores, the
 * running softmax and the product with v while the scores are in L1. */
#include <math.h>

#include "kernels/attention_tiles.h"
#include "kernels/simd/simd_math.h"
#include "kernels/simd/simd_tile.h"

#if defined(__AVX512F__)
TILE_DEFINE_ROWS(MR_LINEAR_F32, 1) TILE_DEFINE_ROWS(MR_LINEAR_F32, 2) TILE_DEFINE_ROWS(MR_LINEAR_F32, 3) TILE_DEFINE_ROWS(MR_LINEAR_F32, 4)
static tile_function *const tiles[TILE_VECTORS][TILE_ROWS] = {TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3), TILE_NAMES(4)};
#else
TILE_DEFINE_ROWS(MR_LINEAR_F32, 1) TILE_DEFINE_ROWS(MR_LINEAR_F32, 2)
static tile_function *const tiles[TILE_VECTORS][TILE_ROWS] = {TILE_NAMES(1), TILE_NAMES(2)};
#endif

_Static_assert((int)TILE_ROWS == (int)MR_ATTENTION_ROWS, "scores hold one tile of rows");
_Static_assert(MR_ATTENTION_KEYS % TILE_COLUMNS == 0, "key tiles are whole panels");

enum { KEYS = MR_ATTENTION_KEYS };

typedef struct state {
    const mr_attention *a;
    size_t head, dim; /* dim: padded head_dim */
    float *k;         /* [KEYS / TILE_COLUMNS][head_dim][TILE_COLUMNS] */
    float *v;         /* [KEYS][dim] */
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

/* Keys become columns; columns up to the next vector are 0. */
static void pack_k(const mr_attention *a, const float *k, size_t keys, float *packed)
{
    const size_t dim = a->head_dim;
    size_t key = 0;
    for (; key + 8 <= keys; key += 8) {
        float *panel = packed + key / TILE_COLUMNS * TILE_COLUMNS * dim + key % TILE_COLUMNS;
        const float *rows = k + key * a->ldk;
        size_t i = 0;
        for (; i + 8 <= dim; i += 8) transpose_8x8(rows + i, a->ldk, panel + i * TILE_COLUMNS, TILE_COLUMNS);
        for (; i < dim; i++) {
            for (size_t j = 0; j < 8; j++) panel[i * TILE_COLUMNS + j] = rows[j * a->ldk + i];
        }
    }
    for (; key % VW != 0 || key < keys; key++) {
        float *panel = packed + key / TILE_COLUMNS * TILE_COLUMNS * dim + key % TILE_COLUMNS;
        for (size_t i = 0; i < dim; i++) panel[i * TILE_COLUMNS] = key < keys ? k[key * a->ldk + i] : 0.0f;
    }
}

static void pack_v(const mr_attention *a, const float *v, size_t keys, size_t dim, float *packed)
{
    for (size_t key = 0; key < keys; key++) {
        const float *row = v + key * a->ldv;
        for (size_t i = 0; i < dim; i += VW) {
            v_store(packed + key * dim + i, i < a->head_dim ? v_load_n(row + i, a->head_dim - i) : v_set(0.0f));
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
    pack_k(a, a->k + first_key * a->ldk + offset, s->keys, s->k);
    pack_v(a, a->v + first_key * a->ldv + offset, s->keys, s->dim, s->v);
}

/* Scale, cap, slope and masks of keys [low, high) of one row, on the scores themselves. */
static void adjust_row(const state *s, size_t query, size_t low, size_t high, float *row)
{
    const mr_attention *a = s->a;
    const float slope = a->alibi != NULL ? a->alibi[s->head] : 0.0f;
    const vf position = v_set((float)(a->query_position + query)), masked = v_set(-INFINITY);
    for (size_t j = low; j < high; j += VW) {
        const vf key = v_add(v_iota(), v_set((float)(s->first_key + j)));
        const vf distance = v_abs(v_sub(key, position));
        vf x = v_mul(v_load(row + j), v_set(a->scale));
        if (a->softcap > 0.0f) x = v_mul(v_set(a->softcap), v_tanh(v_div(x, v_set(a->softcap))));
        if (a->alibi != NULL) x = v_fnma(v_set(slope), distance, x);
        if (a->causal) x = v_where_le(key, position, x, masked);
        if (a->window > 0) x = v_where_le(distance, v_set((float)a->window), x, masked);
        v_store(row + j, x);
    }
}

/* Scores [low, high) of one row become exp(score - largest so far); returns by what the sums so far must shrink. The
 * lanes from high to the next vector get 0. A NaN score makes `total` NaN. */
static float weigh_row(float *row, size_t low, size_t high, float factor, float *largest, float *total)
{
    vf top = v_set(*largest);
    for (size_t j = low; j < high; j += VW) {
        const vf x = v_keep_n(v_load(row + j), high - j, v_set(-INFINITY));
        v_store(row + j, x);
        top = v_max(x, top);
    }
    const float reached = v_largest(top);
    const vf base = v_set(reached == -INFINITY ? 0.0f : reached), scale = v_set(factor);
    vf sum = v_set(0.0f);
    for (size_t j = low; j < high; j += VW) {
        const vf weight = v_exp2_down(v_mul(v_sub(v_load(row + j), base), scale));
        v_store(row + j, weight);
        sum = v_add(sum, weight);
    }
    float shrink[VW];
    v_store(shrink, v_exp2_down(v_mul(v_sub(v_set(*largest), base), scale)));
    *largest = reached;
    *total = *total * shrink[0] + v_sum(sum);
    return shrink[0];
}

/* sums = sums * shrink + weights v, for `rows` queries over keys [low, high) of the tile. */
static void add_values(const state *s, size_t rows, const float *shrink, size_t low, size_t high, float *sums)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < s->dim; i += VW) v_store(sums + r * s->dim + i, v_mul(v_load(sums + r * s->dim + i), v_set(shrink[r])));
    }
    for (size_t i = 0; i < s->dim; i += TILE_COLUMNS) {
        const size_t vectors = (s->dim - i < TILE_COLUMNS ? s->dim - i : TILE_COLUMNS) / VW;
        tiles[vectors - 1][rows - 1](s->scores + low, KEYS, s->v + low * s->dim + i, s->dim, high - low, true, sums + i, s->dim);
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
    const bool adjust = a->causal || a->window > 0 || a->alibi != NULL || a->softcap > 0.0f || !(a->scale > 0.0f);
    const float factor = (adjust ? 1.0f : a->scale) * SIMD_LOG2E;
    const float *q = a->q + query * a->ldq + s->head * a->head_dim;
    size_t low, high;
    if (!visible_keys(s, query, rows, &low, &high)) return;
    for (size_t j = low; j < high; j += TILE_COLUMNS) {
        const size_t vectors = (high - j < TILE_COLUMNS ? high - j + VW - 1 : TILE_COLUMNS) / VW;
        tiles[vectors - 1][rows - 1](q, a->ldq, s->k + j * a->head_dim, TILE_COLUMNS, a->head_dim, false, s->scores + j, KEYS);
    }
    float shrink[TILE_ROWS];
    for (size_t r = 0; r < rows; r++) {
        float *row = s->scores + r * KEYS;
        if (adjust) adjust_row(s, query + r, low, high, row);
        shrink[r] = weigh_row(row, low, high, factor, &s->largest[slot + r], &s->total[slot + r]);
    }
    add_values(s, rows, shrink, low, high, s->sums + slot * s->dim);
}

/* out = sums / total; 0 where every key was masked. */
static void write_rows(const state *s, size_t query, size_t rows)
{
    const mr_attention *a = s->a;
    for (size_t r = 0; r < rows; r++) {
        float *out = a->out + (query + r) * a->ldout + s->head * a->head_dim;
        const float inverse = s->total[r] == 0.0f ? 0.0f : 1.0f / s->total[r];
        for (size_t i = 0; i < a->head_dim; i += VW) {
            v_store_n(out + i, v_mul(v_load(s->sums + r * s->dim + i), v_set(inverse)), a->head_dim - i);
        }
    }
}

static void attend_queries(state *s, size_t query, size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        s->largest[r] = -INFINITY;
        s->total[r] = 0.0f;
    }
    memset(s->sums, 0, rows * s->dim * sizeof *s->sums);
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

void SIMD(mr_attention_f32)(const mr_attention *attention, void *scratch)
{
    state s = {.a = attention, .dim = mr_attention_padded_dim(attention->head_dim)};
    s.k = scratch;
    s.v = s.k + KEYS * s.dim;
    s.scores = s.v + KEYS * s.dim;
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
