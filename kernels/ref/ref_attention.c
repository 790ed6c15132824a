#include <math.h>

#include "kernels/attention_tiles.h"
#include "kernels/ref/ref.h"

/* The value as attention of this precision sees it. */
static inline float seen(const mr_attention *a, float x)
{
    return a->bf16 ? round_bf16(x) : x;
}

static float score(const mr_attention *a, const float *q, const float *k, size_t head, size_t query, size_t key)
{
    const size_t position = a->query_position + query, distance = key > position ? key - position : position - key;
    if ((a->causal && key > position) || (a->window > 0 && distance > a->window)) return -INFINITY;
    float sum = 0.0f;
    for (size_t i = 0; i < a->head_dim; i++) sum += seen(a, q[i]) * seen(a, k[i]);
    sum *= a->scale;
    if (a->softcap > 0.0f) sum = a->softcap * tanhf(sum / a->softcap);
    if (a->alibi != NULL) sum -= a->alibi[head] * (float)distance;
    if (a->bias != NULL) sum += a->bias[head * (2 * a->bias_reach + 1) + a->bias_reach + key - position];
    return sum;
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
            const float weight = seen(a, expf(scores[j] - top));
            sum += weight;
            if (weight == 0.0f) continue; /* a masked key's value may be anything */
            for (size_t i = 0; i < a->head_dim; i++) out[i] += weight * seen(a, a->v[(first + j) * a->ldv + kv + i]);
        }
        largest = top;
    }
    for (size_t i = 0; sum != 0.0f && i < a->head_dim; i++) out[i] /= sum;
}

static void attend_all(const mr_attention *attention, float *scores)
{
    for (size_t head = attention->first_head; head < attention->last_head; head++) {
        for (size_t query = 0; query < attention->queries; query++) attend(attention, head, query, scores);
    }
}

void mr_attention_f32__ref(const mr_attention *attention, void *scratch)
{
    attend_all(attention, scratch);
}

void mr_attention_bf16__ref(const mr_attention *attention, void *scratch)
{
    attend_all(attention, scratch);
}
