/* Packing of linear layers and the call through the table. */
#include "kernels/gemm.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "kernels/kernels.h"
#include "kernels/linear_layout.h"

const char *mr_activation_text(mr_activation kind)
{
    static const char *const texts[] = {
#define ACTIVATION_TEXT(name, text, formula) [MR_ACTIVATION_##name] = text,
        MR_ACTIVATION_LIST(ACTIVATION_TEXT)
#undef ACTIVATION_TEXT
    };
    return (size_t)kind < sizeof texts / sizeof *texts ? texts[kind] : "unknown";
}

const char *mr_linear_format_text(mr_linear_format format)
{
    static const char *const texts[MR_LINEAR_FORMAT_COUNT] = {"f32", "bf16", "int8"};
    return (size_t)format < MR_LINEAR_FORMAT_COUNT ? texts[format] : "unknown";
}

typedef struct layout {
    size_t columns; /* of a panel */
    size_t padded;  /* outputs, whole panels */
    size_t weights; /* bytes */
    size_t total;   /* bytes */
} layout;

static bool lay_out(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, layout *out)
{
    const size_t columns = kernels->linear_columns, arrays = format == MR_LINEAR_INT8 ? 3 : 1;
    size_t words, bytes;
    if (n == 0 || k == 0 || n > SIZE_MAX - columns) return false;
    out->columns = columns;
    out->padded = (n + columns - 1) / columns * columns;
    if (!mr_checked_mul(out->padded, mr_linear_words(format, k), &words) || !mr_checked_mul(words, 4, &bytes)) return false;
    if (!mr_checked_align(bytes, 64, &out->weights) || !mr_checked_mul(out->padded, 4 * arrays, &bytes)) return false;
    return mr_checked_add(out->weights, bytes, &bytes) && mr_checked_align(bytes, 64, &out->total);
}

size_t mr_linear_packed_bytes(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k)
{
    layout size;
    return lay_out(kernels, format, n, k, &size) ? size.total : 0;
}

/* The scale of an int8 output; false when a weight is not finite. */
static bool scale_of(const float *weight, size_t k, float *scale)
{
    float largest = 0.0f;
    for (size_t p = 0; p < k; p++) {
        const float size = fabsf(weight[p]);
        if (!(size <= FLT_MAX)) return false;
        if (size > largest) largest = size;
    }
    *scale = largest / 127.0f;
    return true;
}

/* GROUP outputs are packed at a time, CHUNK inputs of each: 64 bytes are written at once to every word of the panel. */
enum { GROUP = 16, CHUNK = 64 };

/* Inputs of one output as they are stored; returns the sum of int8 ones. */
static int32_t encode(const mr_kernels *kernels, mr_linear_format format, const float *weight, size_t count, float scale, void *out)
{
    int32_t sum = 0;
    if (format == MR_LINEAR_F32) {
        memcpy(out, weight, count * sizeof *weight);
    } else if (format == MR_LINEAR_BF16) {
        kernels->f32_to_bf16(weight, out, count);
    } else {
        /* A scale that underflowed to 0 or near it: the weights are 0 for all that f32 can tell. */
        for (size_t p = 0; p < count && scale > 1e-36f; p++) {
            const int32_t value = (int32_t)lrintf(weight[p] / scale);
            ((int8_t *)out)[p] = (int8_t)value;
            sum += value;
        }
    }
    return sum;
}

/* The writable side of an mr_linear under construction. */
typedef struct packing {
    const mr_kernels *kernels;
    mr_linear_format format;
    layout size;
    size_t k;
    uint32_t *weights;
    float *bias, *scales; /* scales and sums NULL but for int8 */
    int32_t *sums;
    size_t row;                   /* the first of the group in the making */
    const float *group[GROUP];    /* its rows of W; NULL = beyond n */
    size_t filled;
} packing;

static packing packing_of(const mr_kernels *kernels, mr_linear_format format, const layout *size, size_t k, void *memory)
{
    packing p = {.kernels = kernels, .format = format, .size = *size, .k = k, .weights = memory};
    p.bias = (float *)((char *)memory + size->weights);
    if (format == MR_LINEAR_INT8) {
        p.scales = p.bias + size->padded;
        p.sums = (int32_t *)(p.scales + size->padded);
    }
    return p;
}

/* The group's rows become GROUP columns of their panel. */
static void pack_group(const packing *p)
{
    const size_t columns = p->size.columns, inputs = mr_linear_word_inputs(p->format);
    uint32_t *panel = p->weights + p->row / columns * columns * mr_linear_words(p->format, p->k) + p->row % columns;
    for (size_t first = 0; first < p->k; first += CHUNK) {
        const size_t count = p->k - first < CHUNK ? p->k - first : CHUNK, words = mr_linear_words(p->format, count);
        uint32_t chunk[GROUP][CHUNK] = {{0}}; /* also the inputs beyond k of a last word */
        for (size_t r = 0; r < GROUP; r++) {
            if (p->group[r] == NULL) continue;
            const float scale = p->scales != NULL ? p->scales[p->row + r] : 1.0f;
            const int32_t sum = encode(p->kernels, p->format, p->group[r] + first, count, scale, chunk[r]);
            if (p->sums != NULL) p->sums[p->row + r] += sum;
        }
        for (size_t w = 0; w < words; w++) {
            uint32_t *line = panel + (first / inputs + w) * columns;
            for (size_t r = 0; r < GROUP; r++) line[r] = chunk[r][w];
        }
    }
}

/* Takes the next row of W; NULL for the padding. */
static mr_status pack_row(packing *p, const float *weight, float bias, mr_error *error)
{
    const size_t row = p->row + p->filled;
    float scale = 0.0f;
    if (p->scales != NULL && weight != NULL && !scale_of(weight, p->k, &scale)) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: row %zu holds a weight that is not finite", row);
    }
    p->bias[row] = bias;
    if (p->scales != NULL) p->scales[row] = scale;
    if (p->sums != NULL) p->sums[row] = 0;
    p->group[p->filled++] = weight;
    if (p->filled == GROUP) {
        pack_group(p);
        p->row += GROUP;
        p->filled = 0;
    }
    return MR_OK;
}

static mr_status check_sizes(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, const void *memory, size_t bytes,
                             layout *size, mr_error *error)
{
    if (!lay_out(kernels, format, n, k, size) || (format == MR_LINEAR_INT8 && k > MR_LINEAR_INT8_K_MAX)) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: impossible size [%zu, %zu] for %s", n, k,
                            mr_linear_format_text(format));
    }
    if (bytes < size->total || (uintptr_t)memory % 64 != 0) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer [%zu, %zu]: needs %zu bytes at a multiple of 64, got %zu", n, k,
                            size->total, bytes);
    }
    return MR_OK;
}

static mr_linear linear_over(const packing *p, size_t n)
{
    return (mr_linear){.kernels = p->kernels, .format = p->format, .n = n, .k = p->k, .weights = p->weights, .bias = p->bias,
                       .scales = p->scales, .sums = p->sums};
}

mr_status mr_linear_prepare(const mr_kernels *kernels, mr_linear_format format, const mr_linear_source *sources, size_t count, size_t k,
                            void *memory, size_t bytes, mr_linear *out, mr_error *error)
{
    size_t n = 0;
    layout size = {0};
    for (size_t i = 0; i < count; i++) {
        if (!mr_checked_add(n, sources[i].rows, &n)) return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: too many rows");
    }
    MR_TRY(check_sizes(kernels, format, n, k, memory, bytes, &size, error));
    packing p = packing_of(kernels, format, &size, k, memory);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sources[i].rows; j++) {
            MR_TRY(pack_row(&p, sources[i].weight + j * sources[i].ld, sources[i].bias != NULL ? sources[i].bias[j] : 0.0f, error));
        }
    }
    for (size_t row = n; row < size.padded; row++) MR_TRY(pack_row(&p, NULL, 0.0f, error)); /* whole panels: the last group is full */
    *out = linear_over(&p, n);
    return MR_OK;
}

mr_status mr_linear_attach(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, const void *memory, size_t bytes,
                           mr_linear *out, mr_error *error)
{
    layout size = {0};
    MR_TRY(check_sizes(kernels, format, n, k, memory, bytes, &size, error));
    const packing p = packing_of(kernels, format, &size, k, (void *)(uintptr_t)memory);
    *out = linear_over(&p, n);
    return MR_OK;
}

size_t mr_linear_scratch_bytes(const mr_linear *linear, size_t rows)
{
    if (linear->format == MR_LINEAR_F32) return 0;
    if (rows > MR_LINEAR_BLOCK_ROWS) rows = MR_LINEAR_BLOCK_ROWS;
    return rows * (mr_linear_row_words(linear->format, linear->k) * 4 + sizeof(mr_linear_row_scale));
}

void mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                   void *scratch)
{
    static const mr_epilogue bias_only = {.activation = MR_ACTIVATION_NONE};
    linear->kernels->linear[linear->format](linear, x, ldx, y, ldy, rows, epilogue != NULL ? epilogue : &bias_only, scratch);
}
