/* The steps behind the encoder: pooling, Dense, LayerNorm, Normalize, truncation. */
#ifndef MR_EMBED_MODULE_CHAIN_H
#define MR_EMBED_MODULE_CHAIN_H

#include "embed/sentence_config.h"
#include "nn/params.h"
#include "nn/scratch.h"

typedef struct mr_module_chain mr_module_chain; /* immutable once open */

/* `config` is borrowed until close. */
mr_status mr_module_chain_open(const mr_sentence_config *config, const mr_params_options *options, mr_module_chain **out, mr_error *error);
void mr_module_chain_close(mr_module_chain *chain);
size_t mr_module_chain_bytes(const mr_module_chain *chain);

typedef struct mr_module_buffers {
    float *from, *to; /* [widest step] */
    void *linear;
} mr_module_buffers;

void mr_module_chain_lay_out(const mr_module_chain *chain, mr_scratch *scratch, mr_module_buffers *out);

/* One input: hidden [tokens, hidden_size] -> vector [config->dimension]; the first prompt_tokens rows are left out of the pooling when
 * the config says so. `pooled` (or NULL) receives the value behind the pooling, [hidden_size * pooling_count]. */
void mr_module_chain_run(const mr_module_chain *chain, const mr_module_buffers *buffers, const float *hidden, size_t tokens, size_t prompt_tokens,
                         float *vector, float *pooled);

#endif
