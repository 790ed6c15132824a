#include "bench/kernel_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

#define BLOCKS_MAX 5

struct mr_bench_operands {
    const mr_kernels *kernels;
    mr_linear linear;
    mr_epilogue epilogue;
    mr_attention attention;
    mr_norm norm;
    mr_bench_row_kernel kind;
    size_t rows, n;
    float *x, *y;
    void *scratch;
    void *blocks[BLOCKS_MAX]; /* what all of them point into */
    size_t block_count;
};

/* NULL when memory ran out. */
static void *take(mr_bench_operands *o, size_t bytes)
{
    void *block = o->block_count < BLOCKS_MAX ? mr_mem_alloc(bytes, MR_MEM_OTHER) : NULL;
    if (block) o->blocks[o->block_count++] = block;
    return block;
}

/* Uniform in [-1, 1) (xorshift64*, Vigna): no denormals, no constant rows. */
static float *take_random(mr_bench_operands *o, size_t count)
{
    uint64_t state = 88172645463325252u + o->block_count;
    float *values = count <= SIZE_MAX / sizeof *values ? take(o, count * sizeof *values) : NULL;
    for (size_t i = 0; values && i < count; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        values[i] = (float)(state * UINT64_C(0x2545f4914f6cdd1d) >> 40) * 0x1p-23f - 1.0f;
    }
    return values;
}

static void give_back(mr_bench_operands *o, const void *block)
{
    if (o->block_count == 0 || o->blocks[o->block_count - 1] != block) return;
    mr_mem_free(o->blocks[--o->block_count]);
}

static mr_status create(const mr_kernels *kernels, const char *group, mr_linear_format format, mr_bench_call *call, mr_bench_case *out, mr_error *error)
{
    *out = (mr_bench_case){ .group = group, .format = format, .call = call, .operands = mr_mem_calloc(1, sizeof *out->operands, MR_MEM_OTHER) };
    if (!out->operands) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    out->operands->kernels = kernels;
    return MR_OK;
}

static mr_status no_memory(mr_bench_case *c, mr_error *error)
{
    mr_status status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the operands of %s", c->name);
    mr_bench_case_destroy(c);
    return status;
}

void mr_bench_case_destroy(mr_bench_case *c)
{
    while (c->operands && c->operands->block_count > 0) mr_mem_free(c->operands->blocks[--c->operands->block_count]);
    mr_mem_free(c->operands);
    c->operands = NULL;
}

/* ---------------------------------------------------------------- linear layers */

static void run_linear(void *context)
{
    const mr_bench_operands *o = context;
    mr_linear_run(&o->linear, o->x, o->linear.k, o->y, o->linear.n, o->rows, &o->epilogue, o->scratch);
}

void mr_bench_linear_set_rows(mr_bench_case *c, size_t rows)
{
    mr_bench_operands *o = c->operands;
    const double n = (double)o->linear.n, k = (double)o->linear.k, m = (double)rows;
    o->rows = c->rows = rows;
    c->flops = 2.0 * n * k * m;
    c->bytes = (double)mr_linear_packed_bytes(o->kernels, c->format, o->linear.n, o->linear.k) + 4.0 * m * (n + k);
}

mr_status mr_bench_linear_create(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, size_t most_rows, mr_activation activation,
                                 mr_bench_case *out, mr_error *error)
{
    MR_TRY(create(kernels, "linear", format, run_linear, out, error));
    mr_bench_operands *o = out->operands;
    snprintf(out->name, sizeof out->name, "[%zu, %zu]%s%s", n, k, activation == MR_ACTIVATION_NONE ? "" : " + ",
             activation == MR_ACTIVATION_NONE ? "" : mr_activation_text(activation));
    o->epilogue.activation = activation;
    const size_t bytes = mr_linear_packed_bytes(kernels, format, n, k);
    if (bytes == 0 || most_rows > SIZE_MAX / sizeof(float) / (n > k ? n : k)) {
        mr_bench_case_destroy(out);
        return mr_error_set(error, MR_INVALID_ARGUMENT, "a linear layer of %zu x %zu for %zu rows is not possible", n, k, most_rows);
    }
    void *packed = take(o, bytes);
    o->x = take_random(o, most_rows * k);
    o->y = take(o, most_rows * n * sizeof(float));
    float *weights = o->x && o->y ? take_random(o, n * k) : NULL;
    if (!packed || !weights) return no_memory(out, error);
    const mr_linear_source source = { .weight = weights, .ld = k, .rows = n };
    mr_status status = mr_linear_prepare(kernels, format, &source, 1, k, packed, bytes, &o->linear, error);
    give_back(o, weights);
    const size_t scratch = status == MR_OK ? mr_linear_scratch_bytes(&o->linear, most_rows) : 0;
    if (status != MR_OK) mr_bench_case_destroy(out);
    else if (scratch > 0 && !(o->scratch = take(o, scratch))) status = no_memory(out, error);
    else mr_bench_linear_set_rows(out, most_rows);
    return status;
}

/* ---------------------------------------------------------------- attention */

static void run_attention(void *context)
{
    const mr_bench_operands *o = context;
    mr_attention_run(o->kernels, &o->attention, o->scratch);
}

mr_status mr_bench_attention_create(const mr_kernels *kernels, mr_linear_format format, const mr_work_attention *shape, size_t length, mr_bench_case *out,
                                    mr_error *error)
{
    MR_TRY(create(kernels, "attention", format, run_attention, out, error));
    mr_bench_operands *o = out->operands;
    const size_t q = shape->heads * shape->head_dim, kv = shape->kv_heads * shape->head_dim, ld = q + 2 * kv;
    const size_t keys = shape->keys > 0 ? shape->keys : length;
    char seen[32] = "";
    if (shape->window > 0) snprintf(seen, sizeof seen, " window %zu", shape->window);
    if (shape->keys > 0) snprintf(seen, sizeof seen, " on %zu keys", shape->keys);
    snprintf(out->name, sizeof out->name, "%zu heads x %zu%s%s", shape->heads, shape->head_dim, shape->causal ? " causal" : "", seen);
    o->x = take_random(o, (keys > length ? keys : length) * ld);
    o->y = take(o, length * q * sizeof(float));
    o->scratch = take(o, mr_attention_scratch_bytes(shape->head_dim));
    if (!o->x || !o->y || !o->scratch) return no_memory(out, error);
    o->attention = (mr_attention){ .q = o->x, .k = o->x + q, .v = o->x + q + kv, .out = o->y, .ldq = ld, .ldk = ld, .ldv = ld, .ldout = q, .queries = length,
                                   .keys = keys, .heads = shape->heads, .kv_heads = shape->kv_heads, .last_head = shape->heads, .head_dim = shape->head_dim,
                                   .scale = 1.0f / sqrtf((float)shape->head_dim), .causal = shape->causal, .window = shape->window,
                                   .bf16 = format == MR_LINEAR_BF16 };
    out->rows = length;
    out->flops = mr_work_one_attention_flops(shape, length);
    out->bytes = 8.0 * ((double)length * (double)q + (double)keys * (double)kv);
    return MR_OK;
}

/* ---------------------------------------------------------------- kernels on rows */

static void run_rows(void *context)
{
    const mr_bench_operands *o = context;
    const mr_kernels *kernels = o->kernels;
    const size_t values = o->rows * o->n;
    switch (o->kind) {
    case MR_BENCH_LAYER_NORM: kernels->layer_norm_f32(&o->norm, o->x, o->n, o->y, o->n, o->y, o->n, o->rows); break;
    case MR_BENCH_RMS_NORM: kernels->rms_norm_f32(&o->norm, o->x, o->n, o->y, o->n, o->y, o->n, o->rows); break;
    case MR_BENCH_GELU: kernels->activation_f32(MR_ACTIVATION_GELU, o->x, o->y, values); break;
    case MR_BENCH_GELU_TANH: kernels->activation_f32(MR_ACTIVATION_GELU_TANH, o->x, o->y, values); break;
    case MR_BENCH_SILU: kernels->activation_f32(MR_ACTIVATION_SILU, o->x, o->y, values); break;
    case MR_BENCH_SOFTMAX:
        for (size_t r = 0; r < o->rows; r++) kernels->softmax_f32(o->x + r * o->n, o->y + r * o->n, o->n);
        break;
    case MR_BENCH_MEAN: kernels->pool_f32(MR_POOLING_MEAN, o->x, o->n, o->rows, 0, o->n, o->y); break;
    case MR_BENCH_DOT_ROWS: kernels->dot_rows_f32(o->x, o->x, o->n, o->rows, o->n, o->y); break;
    case MR_BENCH_TO_F16: kernels->f32_to_f16(o->x, (uint16_t *)(void *)o->y, values); break;
    case MR_BENCH_ROW_KERNEL_COUNT: break;
    }
}

mr_status mr_bench_rows_create(const mr_kernels *kernels, mr_bench_row_kernel kind, size_t rows, size_t n, mr_bench_case *out, mr_error *error)
{
    static const struct { const char *text; double bytes; } kernel[] = {
#define ROW_KERNEL(name, text, bytes) { text, bytes },
        MR_BENCH_ROW_KERNELS(ROW_KERNEL)
#undef ROW_KERNEL
    };
    MR_TRY(create(kernels, "rows", MR_LINEAR_F32, run_rows, out, error));
    mr_bench_operands *o = out->operands;
    snprintf(out->name, sizeof out->name, "%s, %zu x %zu", kernel[kind].text, rows, n);
    o->kind = kind;
    o->rows = out->rows = rows;
    o->n = n;
    o->x = take_random(o, rows * n);
    o->y = take_random(o, rows * n);
    if (!o->x || !o->y) return no_memory(out, error);
    o->norm = (mr_norm){ .weight = o->x, .bias = o->x, .n = n, .eps = 1e-12f };
    out->bytes = kernel[kind].bytes * (double)rows * (double)n;
    return MR_OK;
}

/* ---------------------------------------------------------------- timing */

typedef struct probing {
    mr_bench_machine *machine;
    mr_linear_format format;
} probing;

static void probe(void *context)
{
    const probing *p = context;
    mr_bench_machine_probe(p->machine, p->format);
}

void mr_bench_case_time(const mr_bench_case *c, double seconds, mr_bench_machine *machine, mr_bench_series *out)
{
    probing p = { machine, c->format };
    mr_bench_time_calls(c->call, c->operands, seconds, probe, &p, out);
}
