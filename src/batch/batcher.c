#include "batch/batcher.h"

double mr_batch_cost(const mr_batch_budget *budget, size_t tokens)
{
    double length = (double)tokens;
    return budget->attention_length ? length * (1.0 + length / (double)budget->attention_length) : length;
}

/* The budget in cost units: max_tokens made of texts so short that attention is free. Long texts therefore come in
 * batches of fewer tokens and about the same time. */
bool mr_batch_fits(const mr_batch_budget *budget, const mr_batch_fill *fill, size_t tokens)
{
    if (fill->inputs == 0) return true;
    return fill->inputs < budget->max_inputs && fill->tokens + tokens <= budget->max_tokens &&
           fill->cost + mr_batch_cost(budget, tokens) <= (double)budget->max_tokens;
}

void mr_batch_add(const mr_batch_budget *budget, mr_batch_fill *fill, size_t tokens)
{
    fill->inputs++;
    fill->tokens += tokens;
    fill->cost += mr_batch_cost(budget, tokens);
}
