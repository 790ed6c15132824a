/* What a forward pass is made of: its linear layers and attentions by size. For measuring and estimating; no model reads it. */
#ifndef MR_CORE_WORK_H
#define MR_CORE_WORK_H

#include <stdbool.h>
#include <stddef.h>

#define MR_WORK_LINEAR_MAX 24   /* distinct sizes, more than any model has; further ones are left out */
#define MR_WORK_ATTENTION_MAX 4

typedef struct mr_work_linear {
    size_t n, k;  /* outputs, inputs */
    size_t count; /* how many such layers a row goes through */
    bool f32;     /* in every precision: what is put in is too precise for less */
} mr_work_linear;

typedef struct mr_work_attention {
    size_t heads, kv_heads, head_dim;
    size_t window; /* keys farther away are not seen; 0 = all are */
    size_t keys;   /* of a fixed set, which every query sees; 0 = those of the sequence itself */
    bool causal;
    size_t count;
} mr_work_attention;

typedef struct mr_work {
    mr_work_linear linear[MR_WORK_LINEAR_MAX];
    size_t linear_count;
    mr_work_attention attention[MR_WORK_ATTENTION_MAX];
    size_t attention_count;
} mr_work;

/* One more of its size. `count` of the argument is how many. */
void mr_work_add_linear(mr_work *work, mr_work_linear layer);
void mr_work_add_attention(mr_work *work, mr_work_attention layer);

/* Multiplications and additions: of one row through all linear layers; of one sequence of `length` in all attentions. */
double mr_work_linear_flops(const mr_work *work);
double mr_work_f32_flops(const mr_work *work); /* of these, in layers that are always f32 */
double mr_work_attention_flops(const mr_work *work, size_t length);
/* The same for one attention: 4 * head_dim * heads for every pair of a query and a key it sees. */
double mr_work_one_attention_flops(const mr_work_attention *layer, size_t length);

#endif
