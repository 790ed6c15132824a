/* Packing of linear layers and the call through the table. */
#include "kernels/gemm.h"

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
        if (!isfinite(weight[p])) return false;
        largest = fmaxf(largest, fabsf(weight[p]));
    }
    *scale = largest / 127.0f;
    return true;
}

/* Up to CHUNK inputs as they are stored; the sum of int8 ones. */
enum { CHUNK = 256 };

static int32_t encode(const mr_kernels *kernels, mr_linear_format format, const float *weight, size_t count, float scale, void *out)
{
    int32_t sum = 0;
    if (format == MR_LINEAR_F32) {
        memcpy(out, weight, count * sizeof *weight);
    } else if (format == MR_LINEAR_BF16) {
        kernels->f32_to_bf16(weight, out, count);
    } else {
        for (size_t p = 0; p < count; p++) {
            /* A scale that underflowed to 0 or near it: the weights are 0 for all that f32 can tell. */
            const long value = scale > 1e-36f ? lrintf(weight[p] / scale) : 0;
            ((int8_t *)out)[p] = (int8_t)value;
            sum += (int32_t)value;
        }
    }
    return sum;
}

/* One output's weights become one column of its panel. Returns their sum for int8. */
static int32_t pack_column(const mr_kernels *kernels, mr_linear_format format, const float *weight, size_t k, float scale, uint32_t *column,
                           size_t columns)
{
    int32_t sum = 0;
    const size_t inputs = mr_linear_word_inputs(format);
    for (size_t p = 0; p < k; p += CHUNK) {
        const size_t count = k - p < CHUNK ? k - p : CHUNK, words = mr_linear_words(format, count);
        uint32_t chunk[CHUNK];
        chunk[words - 1] = 0; /* inputs beyond k */
        sum += encode(kernels, format, weight + p, count, scale, chunk);
        for (size_t w = 0; w < words; w++) column[(p / inputs + w) * columns] = chunk[w];
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

static mr_status pack_row(const packing *p, size_t row, const float *weight, float bias, mr_error *error)
{
    const size_t columns = p->size.columns;
    uint32_t *column = p->weights + row / columns * columns * mr_linear_words(p->format, p->k) + row % columns;
    float scale = 1.0f;
    if (p->format == MR_LINEAR_INT8 && !scale_of(weight, p->k, &scale)) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: row %zu holds a weight that is not finite", row);
    }
    const int32_t sum = pack_column(p->kernels, p->format, weight, p->k, scale, column, columns);
    p->bias[row] = bias;
    if (p->scales != NULL) p->scales[row] = scale;
    if (p->sums != NULL) p->sums[row] = sum;
    return MR_OK;
}

/* Outputs row .. padded - 1, which nobody reads, give 0. */
static void pack_padding(const packing *p, size_t row)
{
    const size_t columns = p->size.columns, words = mr_linear_words(p->format, p->k);
    for (; row < p->size.padded; row++) {
        for (size_t w = 0; w < words; w++) p->weights[(row / columns * words + w) * columns + row % columns] = 0;
        p->bias[row] = 0.0f;
        if (p->scales != NULL) p->scales[row] = 0.0f;
        if (p->sums != NULL) p->sums[row] = 0;
    }
}

mr_status mr_linear_prepare(const mr_kernels *kernels, mr_linear_format format, const mr_linear_source *sources, size_t count, size_t k,
                            void *memory, size_t bytes, mr_linear *out, mr_error *error)
{
    size_t n = 0, row = 0;
    layout size;
    for (size_t i = 0; i < count; i++) {
        if (!mr_checked_add(n, sources[i].rows, &n)) return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: too many rows");
    }
    if (!lay_out(kernels, format, n, k, &size) || (format == MR_LINEAR_INT8 && k > MR_LINEAR_INT8_K_MAX)) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: impossible size [%zu, %zu] for %s", n, k,
                            mr_linear_format_text(format));
    }
    if (bytes < size.total || (uintptr_t)memory % 64 != 0) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer [%zu, %zu]: needs %zu bytes at a multiple of 64, got %zu", n, k,
                            size.total, bytes);
    }
    const packing p = packing_of(kernels, format, &size, k, memory);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sources[i].rows; j++, row++) {
            MR_TRY(pack_row(&p, row, sources[i].weight + j * sources[i].ld, sources[i].bias != NULL ? sources[i].bias[j] : 0.0f, error));
        }
    }
    pack_padding(&p, row);
    *out = (mr_linear){.kernels = kernels, .format = format, .n = n, .k = k, .weights = p.weights, .bias = p.bias, .scales = p.scales,
                       .sums = p.sums};
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
