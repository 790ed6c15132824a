/* Row operations: activations, norms, softmax, pooling, gather, rope. */
#include <math.h>

#include "kernels/ref/ref.h"

float mr_activate__ref(mr_activation kind, float x)
{
    switch (kind) {
    case MR_ACTIVATION_NONE: break;
    case MR_ACTIVATION_GELU: return 0.5f * x * erfcf(x * -0.70710678f);
    case MR_ACTIVATION_GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case MR_ACTIVATION_QUICK_GELU: return x / (1.0f + expf(-1.702f * x));
    case MR_ACTIVATION_SILU: return x / (1.0f + expf(-x));
    case MR_ACTIVATION_RELU: return x < 0.0f ? 0.0f : x;
    case MR_ACTIVATION_TANH: return tanhf(x);
    }
    return x;
}

void mr_activation_f32__ref(mr_activation kind, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = mr_activate__ref(kind, x[i]);
}

/* y = z = x + residual, and the sum of z or of its squares about `center`. */
static double add_row(const float *x, const float *residual, float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        y[i] = residual != NULL ? x[i] + residual[i] : x[i];
        sum += y[i];
    }
    return sum;
}

static double sum_of_squares(const float *x, double center, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (x[i] - center) * (x[i] - center);
    return sum;
}

static void scale_row(const mr_norm *norm, double center, double scale, float *y)
{
    for (size_t i = 0; i < norm->n; i++) {
        double value = (y[i] - center) * scale;
        if (norm->weight != NULL) value *= norm->weight[i];
        if (norm->bias != NULL) value += norm->bias[i];
        y[i] = (float)value;
    }
}

void mr_layer_norm_f32__ref(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                            size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        const double n = (double)norm->n;
        const double mean = add_row(x + r * ldx, residual != NULL ? residual + r * ldr : NULL, y + r * ldy, norm->n) / n;
        const double variance = sum_of_squares(y + r * ldy, mean, norm->n) / n;
        scale_row(norm, mean, 1.0 / sqrt(variance + (double)norm->eps), y + r * ldy);
    }
}

void mr_rms_norm_f32__ref(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                          size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        add_row(x + r * ldx, residual != NULL ? residual + r * ldr : NULL, y + r * ldy, norm->n);
        const double mean = sum_of_squares(y + r * ldy, 0.0, norm->n) / (double)norm->n;
        scale_row(norm, 0.0, 1.0 / sqrt(mean + (double)norm->eps), y + r * ldy);
    }
}

void mr_gather_sum_f32__ref(const mr_gather *tables, size_t count, float *y, size_t ldy, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++) {
        float *out = y + r * ldy;
        for (size_t t = 0; t < count; t++) {
            const float *row = tables[t].table + (tables[t].ids != NULL ? (size_t)tables[t].ids[r] * tables[t].ld : 0);
            for (size_t i = 0; i < n; i++) out[i] = t == 0 ? row[i] : out[i] + row[i];
        }
    }
}

void mr_softmax_f32__ref(const float *x, float *y, size_t n)
{
    float largest = x[0];
    for (size_t i = 1; i < n; i++) {
        if (!(x[i] <= largest)) largest = x[i];
    }
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf(x[i] - largest);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++) y[i] = (float)(y[i] / sum);
}

size_t mr_argmax_f32__ref(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) best = i;
    }
    return isnan(x[best]) ? 0 : best;
}

bool mr_is_finite_f32__ref(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return false;
    }
    return true;
}

static float pool_column(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first)
{
    double sum = 0.0, weights = 0.0;
    float largest = x[first * ldx];
    for (size_t t = first; t < rows; t++) {
        const float value = x[t * ldx];
        const double weight = kind == MR_POOLING_WEIGHTED_MEAN ? (double)(t + 1) : 1.0;
        sum += weight * (double)value;
        weights += weight;
        if (value > largest || isnan(value)) largest = value;
    }
    switch (kind) {
    case MR_POOLING_CLS: return x[first * ldx];
    case MR_POOLING_LAST: return x[(rows - 1) * ldx];
    case MR_POOLING_MAX: return largest;
    case MR_POOLING_MEAN_SQRT_LEN: return (float)(sum / sqrt(weights));
    case MR_POOLING_MEAN:
    case MR_POOLING_WEIGHTED_MEAN: break;
    }
    return (float)(sum / weights);
}

void mr_pool_f32__ref(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++) y[i] = first < rows ? pool_column(kind, x + i, ldx, rows, first) : 0.0f;
}

void mr_l2_normalize_f32__ref(const float *x, float *y, size_t n)
{
    const float norm = fmaxf((float)sqrt(sum_of_squares(x, 0.0, n)), 1e-12f);
    for (size_t i = 0; i < n; i++) y[i] = x[i] / norm;
}

void mr_dot_rows_f32__ref(const float *q, const float *rows, size_t ld, size_t count, size_t n, float *scores)
{
    for (size_t r = 0; r < count; r++) {
        double sum = 0.0;
        for (size_t i = 0; i < n; i++) sum += (double)q[i] * (double)rows[r * ld + i];
        scores[r] = (float)sum;
    }
}

void mr_rope_f32__ref(float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, size_t half, const float *cosine,
                      const float *sine, const int32_t *positions, bool interleaved)
{
    const size_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : half;
    for (size_t r = 0; r < rows; r++) {
        const float *c = cosine + (size_t)positions[r] * half, *s = sine + (size_t)positions[r] * half;
        for (size_t h = 0; h < heads; h++) {
            float *head = x + r * ldx + h * head_dim;
            for (size_t j = 0; j < half; j++) {
                const float a = head[j * step], b = head[j * step + apart];
                head[j * step] = a * c[j] - b * s[j];
                head[j * step + apart] = b * c[j] + a * s[j];
            }
        }
    }
}
