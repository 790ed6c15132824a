/* Fills batches by cost, not by document count.
 *
 * Rows are packed without padding, so a batch wants no sorting: inputs are taken in order until the budget is full, and
 * one long outlier costs only itself. The cost of an input of L tokens is L * (1 + L / attention_length): linear layers
 * are proportional to L, attention to L^2; attention_length is where both are equal (6 * hidden_size for a standard
 * transformer layer: 24 H^2 multiply-adds per token in the linear layers against 4 L H in attention). */
#ifndef MR_BATCH_BATCHER_H
#define MR_BATCH_BATCHER_H

#include "core/error.h"

typedef struct mr_batch_budget {
    size_t max_tokens;        /* tokens a worker's scratch is sized for; a single longer input goes alone */
    size_t max_inputs;
    size_t attention_length;  /* 0: attention costs nothing extra */
} mr_batch_budget;

typedef struct mr_batch_fill {
    size_t inputs;
    size_t tokens;
    double cost;
} mr_batch_fill;

double mr_batch_cost(const mr_batch_budget *budget, size_t tokens);

/* Does one more input of `tokens` fit? An empty batch takes anything. */
bool mr_batch_fits(const mr_batch_budget *budget, const mr_batch_fill *fill, size_t tokens);
void mr_batch_add(const mr_batch_budget *budget, mr_batch_fill *fill, size_t tokens);

#endif
