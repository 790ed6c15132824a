/* Linear layers and attention. */
#include <math.h>

#include "kernels/attention_tiles.h"
#include "kernels/ref/ref.h"

void mr_linear_f32__ref(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                        const mr_epilogue *epilogue)
{
    enum { COLUMNS = 16 }; /* linear_columns_f32 of this variant */
    const float *weights = linear->weights;
    for (size_t j = 0; j < linear->n; j += COLUMNS) {
        const size_t live = linear->n - j < COLUMNS ? linear->n - j : COLUMNS;
        for (size_t r = 0; r < rows; r++) {
            float sum[COLUMNS] = {0};
            for (size_t p = 0; p < linear->k; p++) {
                const float *w = weights + j * linear->k + p * COLUMNS, value = x[r * ldx + p];
                for (size_t c = 0; c < COLUMNS; c++) sum[c] += value * w[c];
            }
            for (size_t c = 0; c < live; c++) {
                const size_t column = j + c;
                float value = mr_activate__ref(epilogue->activation, sum[c] + linear->bias[column]);
                if (epilogue->multiplier != NULL) value *= epilogue->multiplier[r * epilogue->ld_multiplier + column];
                if (epilogue->residual != NULL) value += epilogue->residual[r * epilogue->ld_residual + column];
                y[r * ldy + column] = value;
            }
        }
    }
}

static float score(const mr_attention *a, const float *q, const float *k, size_t head, size_t query, size_t key)
{
    const size_t position = a->query_position + query, distance = key > position ? key - position : position - key;
    if ((a->causal && key > position) || (a->window > 0 && distance > a->window)) return -INFINITY;
    float sum = 0.0f;
    for (size_t i = 0; i < a->head_dim; i++) sum += q[i] * k[i];
    sum *= a->scale;
    if (a->softcap > 0.0f) sum = a->softcap * tanhf(sum / a->softcap);
    return a->alibi != NULL ? sum - a->alibi[head] * (float)distance : sum;
}

static void attend(const mr_attention *a, size_t head, size_t query, float *scores)
{
    const size_t kv = head / (a->heads / a->kv_heads) * a->head_dim, tile = MR_ATTENTION_KEYS;
    const float *q = a->q + query * a->ldq + head * a->head_dim;
    float *out = a->out + query * a->ldout + head * a->head_dim;
    float largest = -INFINITY, sum = 0.0f;
    for (size_t i = 0; i < a->head_dim; i++) out[i] = 0.0f;
    for (size_t first = 0; first < a->keys; first += tile) {
        const size_t count = a->keys - first < tile ? a->keys - first : tile;
        float top = largest;
        for (size_t j = 0; j < count; j++) {
            scores[j] = score(a, q, a->k + (first + j) * a->ldk + kv, head, query, first + j);
            if (!(scores[j] <= top)) top = scores[j];
        }
        if (top == -INFINITY) continue;
        const float shrink = expf(largest - top);
        sum *= shrink;
        for (size_t i = 0; i < a->head_dim; i++) out[i] *= shrink;
        for (size_t j = 0; j < count; j++) {
            const float weight = expf(scores[j] - top);
            sum += weight;
            if (weight == 0.0f) continue; /* a masked key's value may be anything */
            for (size_t i = 0; i < a->head_dim; i++) out[i] += weight * a->v[(first + j) * a->ldv + kv + i];
        }
        largest = top;
    }
    for (size_t i = 0; sum != 0.0f && i < a->head_dim; i++) out[i] /= sum;
}

void mr_attention_f32__ref(const mr_attention *attention, void *scratch)
{
    for (size_t head = attention->first_head; head < attention->last_head; head++) {
        for (size_t query = 0; query < attention->queries; query++) attend(attention, head, query, scratch);
    }
}
