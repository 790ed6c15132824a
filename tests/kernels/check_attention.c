#include "kernel_check.h"

/* q, k and v side by side in one matrix, as models have them. */
typedef struct problem {
    mr_attention a;
    matrix qkv, out;
    void *scratch;
    float *slopes, *bias;
} problem;

static problem problem_new(size_t length, size_t heads, size_t kv_heads, size_t dim)
{
    problem p = {.qkv = matrix_random(length, (heads + 2 * kv_heads) * dim, 3, 1), .out = matrix_output(length, heads * dim, 2, 1)};
    p.scratch = aligned_alloc(64, (mr_attention_scratch_bytes(dim) + 63) / 64 * 64);
    p.slopes = malloc(heads * sizeof *p.slopes);
    p.bias = malloc(heads * (2 * length - 1) * sizeof *p.bias);
    assert_non_null(p.scratch);
    assert_non_null(p.slopes);
    assert_non_null(p.bias);
    for (size_t i = 0; i < heads * (2 * length - 1); i++) p.bias[i] = (float)(i * 7919 % 101) / 50.0f - 1.0f;
    for (size_t h = 0; h < heads; h++) p.slopes[h] = 1.0f / (float)(1u << (h + 1));
    p.a = (mr_attention){.q = p.qkv.at, .k = p.qkv.at + heads * dim, .v = p.qkv.at + (heads + kv_heads) * dim, .out = p.out.at,
                         .ldq = p.qkv.ld, .ldk = p.qkv.ld, .ldv = p.qkv.ld, .ldout = p.out.ld, .queries = length, .keys = length,
                         .heads = heads, .kv_heads = kv_heads, .last_head = heads, .head_dim = dim,
                         .scale = 3.0f / sqrtf((float)dim)};
    return p;
}

static void problem_free(problem *p)
{
    free(p->qkv.block);
    free(p->out.block);
    free(p->scratch);
    free(p->slopes);
    free(p->bias);
}

static double exact_score(const mr_attention *a, size_t head, size_t query, size_t key)
{
    const double distance = fabs((double)(a->query_position + query) - (double)key);
    const float *q = a->q + query * a->ldq + head * a->head_dim, *k = a->k + key * a->ldk + head / (a->heads / a->kv_heads) * a->head_dim;
    double s = 0.0;
    if ((a->causal && key > a->query_position + query) || (a->window > 0 && distance > (double)a->window)) return -INFINITY;
    for (size_t i = 0; i < a->head_dim; i++) s += (double)q[i] * (double)k[i];
    s *= a->scale;
    if (a->softcap > 0.0f) s = a->softcap * tanh(s / a->softcap);
    if (a->alibi != NULL) s -= a->alibi[head] * distance;
    if (a->bias != NULL) s += a->bias[head * (2 * a->bias_reach + 1) + a->bias_reach + key - a->query_position - query];
    return s;
}

/* `a` holds the inputs as the precision under test sees them. */
static void check_query(const mr_attention *a, size_t head, size_t query)
{
    double *weights = malloc((a->keys + 1) * sizeof *weights), largest = -INFINITY, total = 0.0;
    assert_non_null(weights);
    for (size_t j = 0; j < a->keys; j++) largest = fmax(largest, weights[j] = exact_score(a, head, query, j));
    for (size_t j = 0; j < a->keys; j++) total += weights[j] = largest == -INFINITY ? 0.0 : exp(weights[j] - largest);
    const size_t kv = head / (a->heads / a->kv_heads) * a->head_dim;
    /* bf16: each weight rounds by at most 2^-9 of itself, and |v| <= 1. */
    const double tolerance = a->bf16 ? 0x1p-9 + 1e-5 : 3e-6;
    for (size_t i = 0; i < a->head_dim; i++) {
        double want = 0.0;
        for (size_t j = 0; j < a->keys; j++) want += weights[j] * (double)a->v[j * a->ldv + kv + i];
        CLOSE(a->out[query * a->ldout + head * a->head_dim + i], total > 0.0 ? want / total : 0.0, tolerance);
    }
    free(weights);
}

static void check_precision(problem *p, bool bf16)
{
    p->a.bf16 = bf16;
    mr_attention_run(kernel, &p->a, p->scratch);
    matrix_check_canaries(&p->out);
    const size_t count = (p->qkv.rows - 1) * p->qkv.ld + p->qkv.columns;
    float *seen = malloc(count * sizeof *seen);
    assert_non_null(seen);
    for (size_t i = 0; i < count; i++) seen[i] = bf16 ? (float)rounded_to_bf16(p->qkv.at[i]) : p->qkv.at[i];
    mr_attention a = p->a;
    a.q = seen;
    a.k = seen + (p->a.k - p->a.q);
    a.v = seen + (p->a.v - p->a.q);
    for (size_t h = 0; h < a.heads; h++) {
        /* All queries of short ones; of long ones the first, the last and a scattering. */
        for (size_t i = 0; i < a.queries; i += a.queries > 40 && i + 9 < a.queries && i > 8 ? 31 : 1) check_query(&a, h, i);
    }
    free(seen);
}

static void check_problem(problem *p)
{
    check_precision(p, false);
    check_precision(p, true);
    problem_free(p);
}

static void test_lengths_and_dims(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 5, 6, 7, 16, 17, 33, 64, 65, 239, 241, 256, 257, 600};
    static const size_t dims[] = {1, 8, 12, 16, 31, 32, 64, 80};
    for (size_t a = 0; a < sizeof lengths / sizeof *lengths; a++) {
        for (size_t b = 0; b < sizeof dims / sizeof *dims; b++) {
            problem p = problem_new(lengths[a], 2, 2, dims[b]);
            check_problem(&p);
        }
    }
    problem wide = problem_new(70, 2, 1, 256);
    check_problem(&wide);
}

/* Every mask with every other, on lengths inside and across tiles. */
static void test_masks(void **state)
{
    (void)state;
    static const size_t lengths[] = {3, 20, 130, 530};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (unsigned flags = 0; flags < 64; flags++) {
            problem p = problem_new(lengths[l], 4, flags & 1 ? 2 : 1, 12);
            p.a.causal = flags & 2;
            p.a.window = flags & 4 ? 37 : 0;
            p.a.alibi = flags & 8 ? p.slopes : NULL;
            p.a.softcap = flags & 16 ? 2.0f : 0.0f;
            p.a.bias = flags & 32 ? p.bias : NULL;
            p.a.bias_reach = lengths[l] - 1;
            check_problem(&p);
        }
    }
}

/* As with a cache: a few queries at the end of many keys, or far behind them all. */
static void test_query_position(void **state)
{
    (void)state;
    static const size_t positions[] = {0, 1, 250, 297, 400, 2000};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        for (unsigned flags = 0; flags < 4; flags++) {
            problem p = problem_new(300, 2, 2, 16);
            p.a.queries = p.out.rows = 3;
            p.a.query_position = positions[i];
            p.a.causal = flags & 1;
            p.a.window = flags & 2 ? 50 : 0;
            check_problem(&p);
        }
    }
}

static void test_no_keys_give_zero(void **state)
{
    (void)state;
    problem p = problem_new(4, 2, 2, 8);
    p.a.keys = 0;
    check_problem(&p);
}

/* One head at a time, some queries at a time: the same bits as all at once. */
static void test_split_is_bitwise_the_same(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 8; flags++) {
        problem p = problem_new(291, 3, 3, 20);
        p.a.bf16 = flags & 4;
        p.a.causal = flags & 1;
        p.a.window = flags & 2 ? 20 : 0;
        mr_attention_run(kernel, &p.a, p.scratch);
        matrix split = matrix_output(291, 60, 2, 1);
        for (size_t h = 0; h < 3; h++) {
            for (size_t i = 0, count = 1; i < 291; i += count, count = (count * 5 + 3) % 41 + 1) {
                mr_attention part = p.a;
                part.first_head = h;
                part.last_head = h + 1;
                part.queries = 291 - i < count ? 291 - i : count;
                part.query_position = i;
                part.q += i * part.ldq;
                part.out = split.at + i * split.ld;
                part.ldout = split.ld;
                mr_attention_run(kernel, &part, p.scratch);
            }
        }
        for (size_t i = 0; i < 291; i++) assert_memory_equal(p.out.at + i * p.out.ld, split.at + i * split.ld, 60 * sizeof(float));
        free(split.block);
        problem_free(&p);
    }
}

static void check_extremes(bool bf16)
{
    problem p = problem_new(40, 1, 1, 8);
    p.a.bf16 = bf16;
    /* Scores of +-1e8: all weight on the largest, no overflow. */
    for (size_t i = 0; i < 8; i++) ((float *)p.a.q)[i] = i == 0 ? 1e4f : 0.0f;
    for (size_t j = 0; j < 40; j++) ((float *)p.a.k)[j * p.a.ldk] = j == 11 ? 1e4f : -1e4f;
    mr_attention_run(kernel, &p.a, p.scratch);
    for (size_t i = 0; i < 8; i++) {
        const float v = p.a.v[11 * p.a.ldv + i];
        assert_true((double)p.a.out[i] == (bf16 ? rounded_to_bf16(v) : (double)v));
    }
    /* A NaN in a query spoils its row and no other. */
    ((float *)p.a.q)[5 * p.a.ldq + 2] = NAN;
    mr_attention_run(kernel, &p.a, p.scratch);
    for (size_t i = 0; i < 40; i++) {
        for (size_t d = 0; d < 8; d++) assert_true(isnan(p.a.out[i * p.a.ldout + d]) == (i == 5));
    }
    /* A NaN in a key spoils all. */
    ((float *)p.a.k)[3 * p.a.ldk] = NAN;
    mr_attention_run(kernel, &p.a, p.scratch);
    for (size_t i = 0; i < 40; i++) assert_true(isnan(p.a.out[i * p.a.ldout]));
    problem_free(&p);
}

static void test_extremes(void **state)
{
    (void)state;
    check_extremes(false);
    check_extremes(true);
}

const struct CMUnitTest attention_tests[] = {
    cmocka_unit_test(test_lengths_and_dims),
    cmocka_unit_test(test_masks),
    cmocka_unit_test(test_query_position),
    cmocka_unit_test(test_no_keys_give_zero),
    cmocka_unit_test(test_split_is_bitwise_the_same),
    cmocka_unit_test(test_extremes),
};
const size_t attention_test_count = sizeof attention_tests / sizeof *attention_tests;
