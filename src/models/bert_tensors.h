/* Parts of a layer under the names BERT gave them, which its descendants kept. The params' scope is the layer ("encoder.layer.N."). */
#ifndef MR_MODELS_BERT_TENSORS_H
#define MR_MODELS_BERT_TENSORS_H

#include "models/transformer_config.h"
#include "nn/params.h"
#include "nn/post_norm.h"

/* attention.self.{query,key,value}, attention.output.dense [H, H] with biases; attention.output.LayerNorm [H]. */
mr_status mr_bert_open_attention(mr_params *params, const mr_transformer_sizes *sizes, mr_post_norm_layer *layer, mr_error *error);
/* intermediate.dense [I, H], output.dense [H, I] with biases; output.LayerNorm [H]. */
mr_status mr_bert_open_ffn(mr_params *params, const mr_transformer_sizes *sizes, mr_post_norm_layer *layer, mr_error *error);

#endif
