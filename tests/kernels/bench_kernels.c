/* --bench: each kernel on the shapes of real models, beside the peak of this very machine.
 *
 * Other work on the machine comes and goes, so every figure is the best of several short runs, and the multiply-add peak
 * is measured again between them. One thread. */
#include <stdio.h>
#include <time.h>

#include "kernel_check.h"

enum { RUNS = 7 };

static double peaks[MR_LINEAR_FORMAT_COUNT]; /* operations/s, the best seen */
static const char *wanted; /* only benches whose name holds this; NULL = all */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure_peaks(void)
{
    static volatile float kept;
    for (mr_linear_format format = 0; format < MR_LINEAR_FORMAT_COUNT; format++) {
        float sink = 0.0f;
        const double start = now(), done = kernel->probe[format](300000, &sink), speed = done / (now() - start);
        kept = sink;
        (void)kept;
        if (speed > peaks[format]) peaks[format] = speed;
    }
}

typedef void bench_function(void *context);

/* Seconds of one call: the best of RUNS runs of about 20 ms. */
static double best_time(bench_function *run, void *context)
{
    double best = INFINITY;
    size_t calls = 1;
    for (int i = 0; i < RUNS; i++) {
        const double start = now();
        for (size_t c = 0; c < calls; c++) run(context);
        const double each = (now() - start) / (double)calls;
        if (each < best) best = each;
        calls = (size_t)(0.02 / best) + 1;
        measure_peaks();
    }
    return best;
}

/* `format`: beside which peak the operations are set. */
static void bench(mr_linear_format format, const char *name, double flops, double bytes, bench_function *run, void *context)
{
    if (wanted != NULL && strstr(name, wanted) == NULL) return;
    const double seconds = best_time(run, context);
    printf("%-10s %-44s %9.1f us", kernel->name, name, seconds * 1e6);
    if (flops > 0.0) {
        printf("  %7.1f GFLOP/s  %5.1f %% of peak", flops / seconds * 1e-9, 100.0 * flops / seconds / peaks[format]);
    }
    if (bytes > 0.0) printf("  %7.1f GB/s", bytes / seconds * 1e-9);
    printf("\n");
}

typedef struct linear_bench {
    layer layer;
    matrix x, y;
    mr_epilogue epilogue;
} linear_bench;

static void run_linear(void *context)
{
    linear_bench *b = context;
    mr_linear_run(&b->layer.linear, b->x.at, b->x.ld, b->y.at, b->y.ld, b->x.rows, &b->epilogue, b->layer.scratch);
}

static void bench_linear(mr_linear_format format, size_t n, size_t k, size_t rows, mr_activation kind)
{
    linear_bench b = {.layer = layer_random(kernel, format, n, k), .epilogue = {.activation = kind}};
    b.x = matrix_random(rows, k, 0, 0);
    b.y = matrix_random(rows, n, 0, 0);
    char name[64];
    snprintf(name, sizeof name, "linear %s [%zu, %zu] rows %zu %s", mr_linear_format_text(format), n, k, rows,
             mr_activation_text(kind));
    bench(format, name, 2.0 * (double)n * (double)k * (double)rows, 0.0, run_linear, &b);
    free(b.x.block);
    free(b.y.block);
    layer_free(&b.layer);
}

typedef struct attention_bench {
    mr_attention a;
    void *scratch;
} attention_bench;

static void run_attention(void *context)
{
    attention_bench *b = context;
    mr_attention_run(kernel, &b->a, b->scratch);
}

static void bench_attention(mr_linear_format format, size_t length, size_t heads, size_t dim, bool causal)
{
    const size_t hidden = heads * dim;
    matrix qkv = matrix_random(length, 3 * hidden, 0, 0), out = matrix_random(length, hidden, 0, 0);
    attention_bench b = {.a = {.q = qkv.at, .k = qkv.at + hidden, .v = qkv.at + 2 * hidden, .out = out.at, .ldq = qkv.ld, .ldk = qkv.ld,
                               .ldv = qkv.ld, .ldout = out.ld, .queries = length, .keys = length, .heads = heads, .kv_heads = heads,
                               .last_head = heads, .head_dim = dim, .scale = 1.0f / sqrtf((float)dim), .causal = causal, .bf16 = format == MR_LINEAR_BF16}};
    b.scratch = aligned_alloc(64, (mr_attention_scratch_bytes(dim) + 63) / 64 * 64);
    assert_non_null(b.scratch);
    char name[64];
    snprintf(name, sizeof name, "attention %s %zu x %zu heads x %zu%s", mr_linear_format_text(format), length, heads, dim, causal ? " causal" : "");
    bench(format, name, 4.0 * (double)length * (double)length * (double)hidden * (causal ? 0.5 : 1.0), 0.0, run_attention, &b);
    free(b.scratch);
    free(qkv.block);
    free(out.block);
}

typedef struct row_bench {
    matrix x, y;
    mr_norm norm;
    mr_activation kind;
} row_bench;

static void run_layer_norm(void *context)
{
    row_bench *b = context;
    kernel->layer_norm_f32(&b->norm, b->x.at, b->x.ld, b->y.at, b->y.ld, b->y.at, b->y.ld, b->x.rows);
}

static void run_activation(void *context)
{
    row_bench *b = context;
    kernel->activation_f32(b->kind, b->x.at, b->y.at, b->x.rows * b->x.columns);
}

static void run_softmax(void *context)
{
    row_bench *b = context;
    for (size_t r = 0; r < b->x.rows; r++) kernel->softmax_f32(b->x.at + r * b->x.ld, b->y.at + r * b->y.ld, b->x.columns);
}

static void run_pool(void *context)
{
    row_bench *b = context;
    kernel->pool_f32(MR_POOLING_MEAN, b->x.at, b->x.ld, b->x.rows, 0, b->x.columns, b->y.at);
}

static void run_to_f16(void *context)
{
    row_bench *b = context;
    kernel->f32_to_f16(b->x.at, (uint16_t *)(void *)b->y.at, b->x.rows * b->x.columns);
}

static void bench_rows(void)
{
    row_bench b = {.x = matrix_random(64, 384, 0, 0), .y = matrix_random(64, 384, 0, 0), .norm = {.n = 384, .eps = 1e-12f}};
    b.norm.weight = b.x.at;
    b.norm.bias = b.x.at;
    const double values = 64 * 384;
    bench(MR_LINEAR_F32, "residual + layer norm, 64 x 384", 0.0, 12.0 * values, run_layer_norm, &b);
    for (b.kind = MR_ACTIVATION_GELU; b.kind <= MR_ACTIVATION_TANH; b.kind++) {
        char name[64];
        snprintf(name, sizeof name, "%s, 64 x 384", mr_activation_text(b.kind));
        bench(MR_LINEAR_F32, name, 0.0, 8.0 * values, run_activation, &b);
    }
    bench(MR_LINEAR_F32, "softmax, 64 x 384", 0.0, 8.0 * values, run_softmax, &b);
    bench(MR_LINEAR_F32, "mean of 64 rows of 384", 0.0, 4.0 * values, run_pool, &b);
    bench(MR_LINEAR_F32, "f32 to f16, 64 x 384", 0.0, 6.0 * values, run_to_f16, &b);
    free(b.x.block);
    free(b.y.block);
}

static void run_scan(void *context)
{
    row_bench *b = context;
    for (size_t r = 0; r < b->x.rows; r++) assert_true(kernel->is_finite_f32(b->x.at + r * b->x.ld, b->x.columns));
}

static void run_search(void *context)
{
    row_bench *b = context;
    kernel->dot_rows_f32(b->x.at, b->x.at, b->x.ld, b->x.rows, b->x.columns, b->y.at);
}

/* 192 MiB: beyond every cache of the machines meant. */
static void bench_memory(void)
{
    row_bench b = {.x = matrix_random(131072, 384, 0, 0), .y = matrix_random(1, 131072, 0, 0)};
    const double bytes = 131072.0 * 384 * 4;
    bench(MR_LINEAR_F32, "DRAM read, 192 MiB", 0.0, bytes, run_scan, &b);
    bench(MR_LINEAR_F32, "dot products with 131072 rows of 384", 2.0 * bytes / 4.0, bytes, run_search, &b);
    free(b.x.block);
    free(b.y.block);
}

static void bench_table(void)
{
    static const size_t shapes[][2] = {{1152, 384}, {384, 384}, {1536, 384}, {384, 1536}, {2304, 768}, {768, 768}, {3072, 768}, {768, 3072}};
    static const size_t rows[] = {1, 4, 16, 64, 256, 512};
    static const size_t lengths[] = {8, 20, 32, 64, 128, 256, 512};
    memset(peaks, 0, sizeof peaks);
    measure_peaks();
    bench_memory();
    for (mr_linear_format format = 0; format < MR_LINEAR_FORMAT_COUNT; format++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                bench_linear(format, shapes[s][0], shapes[s][1], rows[r], MR_ACTIVATION_NONE);
            }
        }
        bench_linear(format, 1536, 384, 64, MR_ACTIVATION_GELU);
    }
    for (mr_linear_format format = MR_LINEAR_F32; format <= MR_LINEAR_BF16; format++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) bench_attention(format, lengths[l], 12, 32, false);
        bench_attention(format, 256, 12, 64, false);
        bench_attention(format, 2048, 12, 64, false);
        bench_attention(format, 2048, 12, 64, true);
    }
    bench_rows();
    printf("%-10s peaks: f32 %.1f, bf16 %.1f, int8 %.1f G operations/s\n", kernel->name, peaks[0] * 1e-9, peaks[1] * 1e-9, peaks[2] * 1e-9);
}

int bench_kernels(const char *isa, const char *name_part)
{
    wanted = name_part;
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        if (isa != NULL && strcmp(*name, isa) != 0) continue;
        kernel = mr_kernels_for_isa(*name);
        if (kernel != NULL) bench_table();
    }
    if (isa != NULL && mr_kernels_for_isa(isa) == NULL) {
        fprintf(stderr, "--bench: no instruction set '%s' on this CPU\n", isa);
        return 64;
    }
    return 0;
}
