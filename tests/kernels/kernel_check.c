#include "kernel_check.h"

#include <stdio.h>

#define CANARY 0x7fc0dead /* a NaN that no kernel makes */
enum { GUARD = 32 };

const size_t check_sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 384, 385};
const size_t check_size_count = sizeof check_sizes / sizeof *check_sizes;

static uint64_t state = 1;

void random_seed(uint64_t seed)
{
    state = seed * 2 + 1;
}

/* xorshift64* (Vigna) */
uint64_t random_bits(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

float random_between(float low, float high)
{
    return low + (high - low) * (float)(random_bits() >> 40) * 0x1p-24f;
}

static size_t span(size_t rows, size_t columns, size_t ld)
{
    return rows > 0 ? (rows - 1) * ld + columns : 0;
}

matrix matrix_random(size_t rows, size_t columns, size_t pad, size_t shift)
{
    matrix m = {.rows = rows, .columns = columns, .ld = columns + pad};
    const size_t count = span(rows, columns, m.ld) + shift;
    m.block = malloc(count * sizeof(float) + 1);
    assert_non_null(m.block);
    m.at = (float *)m.block + shift;
    for (size_t i = 0; i < count; i++) ((float *)m.block)[i] = random_between(-1.0f, 1.0f);
    return m;
}

matrix matrix_output(size_t rows, size_t columns, size_t pad, size_t shift)
{
    matrix m = {.rows = rows, .columns = columns, .ld = columns + pad};
    const size_t count = span(rows, columns, m.ld) + 2 * GUARD + shift;
    m.block = malloc(count * sizeof(float));
    assert_non_null(m.block);
    m.at = (float *)m.block + GUARD + shift;
    for (float *p = m.at - GUARD; p < (float *)m.block + count; p++) memcpy(p, &(uint32_t){CANARY}, sizeof *p);
    return m;
}

void matrix_check_canaries(const matrix *m)
{
    const ptrdiff_t end = (ptrdiff_t)span(m->rows, m->columns, m->ld);
    for (ptrdiff_t i = -GUARD; i < end + GUARD; i++) {
        if (i >= 0 && i < end && (size_t)i % m->ld < m->columns) continue;
        uint32_t bits;
        memcpy(&bits, m->at + i, sizeof bits);
        if (bits != CANARY) fail_msg("%s: overwritten at %td of [%zu, %zu], rows %zu apart", kernel->name, i, m->rows, m->columns, m->ld);
    }
}

void check_close(float got, double want, double tolerance, const char *file, int line)
{
    if (isnan(want) ? isnan(got) : (got == want || fabs(got - want) <= tolerance)) return;
    print_error("%s:%d: %s: got %.9g, want %.9g +- %.3g\n", file, line, kernel->name, (double)got, want, tolerance);
    fail();
}

double rounded_to_bf16(double x)
{
    if (x == 0.0) return 0.0;
    int exponent;
    frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(x, 8 - exponent)), exponent - 8);
}

double exact_activation(mr_activation kind, double x)
{
    switch (kind) {
    case MR_ACTIVATION_NONE: break;
    case MR_ACTIVATION_GELU: return 0.5 * x * erfc(-x / sqrt(2.0));
    case MR_ACTIVATION_GELU_TANH: return 0.5 * x * (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case MR_ACTIVATION_QUICK_GELU: return x / (1.0 + exp(-1.702 * x));
    case MR_ACTIVATION_SILU: return x / (1.0 + exp(-x));
    case MR_ACTIVATION_RELU: return x < 0.0 ? 0.0 : x;
    case MR_ACTIVATION_TANH: return tanh(x);
    }
    return x;
}

layer layer_of(const mr_kernels *kernels, mr_linear_format format, matrix weight, matrix bias)
{
    layer l = {.weight = weight, .bias = bias};
    const size_t n = weight.rows, first = n / 3;
    const mr_linear_source sources[] = {
        {.weight = weight.at, .ld = weight.ld, .rows = first, .bias = bias.at},
        {.weight = weight.at + first * weight.ld, .ld = weight.ld, .rows = n - first, .bias = bias.at + first},
    };
    const size_t bytes = mr_linear_packed_bytes(kernels, format, n, weight.columns);
    mr_error error = {0};
    l.memory = aligned_alloc(64, bytes);
    assert_non_null(l.memory);
    assert_int_equal(mr_linear_prepare(kernels, format, sources, 2, weight.columns, l.memory, bytes, &l.linear, &error), MR_OK);
    /* Not rounded up: ASan sees the first byte beyond what was asked for. */
    assert_int_equal(posix_memalign(&l.scratch, 64, mr_linear_scratch_bytes(&l.linear, 1000) + 1), 0);
    return l;
}

layer layer_random(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k)
{
    return layer_of(kernels, format, matrix_random(n, k, 2, 1), matrix_random(1, n, 0, 1));
}

void layer_free(layer *l)
{
    free(l->memory);
    free(l->scratch);
    free(l->weight.block);
    free(l->bias.block);
}
