/* Packing of linear layers, the same for every instruction set: panels of `columns` outputs, k-major inside. */
#include "kernels/gemm.h"

#include <string.h>

#include "core/checked.h"
#include "kernels/kernels.h"

const char *mr_activation_text(mr_activation kind)
{
    static const char *const texts[] = {
#define ACTIVATION_TEXT(name, text, formula) [MR_ACTIVATION_##name] = text,
        MR_ACTIVATION_LIST(ACTIVATION_TEXT)
#undef ACTIVATION_TEXT
    };
    return (size_t)kind < sizeof texts / sizeof *texts ? texts[kind] : "unknown";
}

/* Outputs rounded up to whole panels; bytes of the packed weights, then of weights and bias. */
static bool packed_size(size_t columns, size_t n, size_t k, size_t *padded, size_t *weights, size_t *total)
{
    size_t values;
    if (n == 0 || k == 0 || n > SIZE_MAX - columns) return false;
    *padded = (n + columns - 1) / columns * columns;
    if (!mr_checked_mul(*padded, k, &values) || !mr_checked_mul(values, sizeof(float), weights)) return false;
    if (!mr_checked_align(*weights, 64, weights)) return false;
    return mr_checked_add(*weights, *padded * sizeof(float), total) && mr_checked_align(*total, 64, total);
}

size_t mr_linear_packed_bytes(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k)
{
    (void)format;
    size_t padded, weights, total;
    return packed_size(kernels->linear_columns_f32, n, k, &padded, &weights, &total) ? total : 0;
}

/* Row `row` of W becomes one column of its panel. */
static void pack_row(float *packed, size_t columns, size_t row, const float *weight, size_t k)
{
    float *column = packed + row / columns * columns * k + row % columns;
    for (size_t p = 0; p < k; p++) column[p * columns] = weight != NULL ? weight[p] : 0.0f;
}

mr_status mr_linear_prepare(const mr_kernels *kernels, mr_linear_format format, const mr_linear_source *sources, size_t count, size_t k,
                            void *memory, size_t bytes, mr_linear *out, mr_error *error)
{
    size_t n = 0, padded, weights, total;
    const size_t columns = kernels->linear_columns_f32;
    for (size_t i = 0; i < count; i++) {
        if (!mr_checked_add(n, sources[i].rows, &n)) return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: too many rows");
    }
    if (!packed_size(columns, n, k, &padded, &weights, &total)) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer: impossible size [%zu, %zu]", n, k);
    }
    if (bytes < total || (uintptr_t)memory % 64 != 0) {
        return mr_error_set(error, MR_INVALID_ARGUMENT, "linear layer [%zu, %zu]: needs %zu bytes at a multiple of 64, got %zu", n, k, total,
                            bytes);
    }
    float *packed = memory;
    float *bias = (float *)((char *)memory + weights);
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sources[i].rows; j++, row++) {
            pack_row(packed, columns, row, sources[i].weight + j * sources[i].ld, k);
            bias[row] = sources[i].bias != NULL ? sources[i].bias[j] : 0.0f;
        }
    }
    for (; row < padded; row++) {
        pack_row(packed, columns, row, NULL, k);
        bias[row] = 0.0f;
    }
    *out = (mr_linear){.kernels = kernels, .format = format, .n = n, .k = k, .weights = packed, .bias = bias};
    return MR_OK;
}

size_t mr_linear_scratch_bytes(const mr_linear *linear, size_t rows)
{
    (void)linear;
    (void)rows;
    return 0;
}

void mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                   void *scratch)
{
    (void)scratch;
    static const mr_epilogue bias_only = {.activation = MR_ACTIVATION_NONE};
    linear->kernels->linear_f32(linear, x, ldx, y, ldy, rows, epilogue != NULL ? epilogue : &bias_only);
}
