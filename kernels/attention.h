/* Attention of one sequence: out = softmax(mask(q k^T * scale)) v, per head, in tiles with a running softmax.
 *
 * Scratch does not grow with the length of the sequence. A query row's result is the same bits whatever other queries,
 * heads or sequences are computed with it. A NaN or infinity in v may spoil queries that
 * do not see it, of the same sequence and head only. Split a batch over a team by sequences and, within one, by heads. */
#ifndef MR_KERNELS_ATTENTION_H
#define MR_KERNELS_ATTENTION_H

#include "core/error.h"

struct mr_kernels;

/* Pointers are to the sequence's first row and to head 0; head h is at + h * head_dim (kv head at + (h / group) * head_dim,
 * group = heads / kv_heads). Strides: floats between rows, so q, k and v may lie in one packed [tokens, q|k|v] matrix. */
typedef struct mr_attention {
    const float *q, *k, *v;
    float *out;
    size_t ldq, ldk, ldv, ldout;
    size_t queries, keys;      /* rows; keys 0: the output is 0 */
    size_t heads, kv_heads;    /* heads a multiple of kv_heads */
    size_t first_head, last_head; /* this call computes heads first_head .. last_head - 1 */
    size_t head_dim;           /* >= 1 */
    float scale;               /* 1 / sqrt(head_dim) as a rule */
    float softcap;             /* > 0: s = softcap * tanh(s / softcap) before masking; 0 = off */
    const float *alibi;        /* [heads] slopes, s -= slope * |key - query position|; NULL = off */
    const float *bias;         /* [heads, 2 * bias_reach + 1], s += bias[head][bias_reach + key - query position]; NULL = off */
    size_t bias_reach;         /* no key is farther from a query than this */
    size_t query_position;     /* position of query row 0 on the keys' axis: 0, or keys - queries with a cache */
    bool causal;               /* keys after the query are masked */
    bool bf16;                 /* q, k, v and the softmax's weights round to bf16 (nearest even); sums stay f32 */
    size_t window;             /* keys with |key - query position| > window are masked; 0 = off */
} mr_attention;

/* Bytes for one call, 64-byte aligned; depends on head_dim only. */
size_t mr_attention_scratch_bytes(size_t head_dim);

/* A query with every key masked gets 0. */
void mr_attention_run(const struct mr_kernels *kernels, const mr_attention *attention, void *scratch);

#endif
