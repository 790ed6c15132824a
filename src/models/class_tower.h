/* Vision towers whose embedding is their class row: a class token before the patches, positions added, pre-norm layers, the class row
 * normalised and perhaps projected. An architecture's file says what the tensors are called and what config.json means. */
#ifndef MR_MODELS_CLASS_TOWER_H
#define MR_MODELS_CLASS_TOWER_H

#include "models/vision_tower.h"
#include "nn/pre_norm.h"

typedef struct mr_class_tower {
    mr_patch_embedding patches;
    mr_norm pre_norm; /* before the first layer; n = 0: none */
    mr_norm post_norm;
    mr_linear projection; /* n = 0: none */
    mr_pre_norm_stack stack;
    mr_pre_norm_layer layers[];
} mr_class_tower;

/* Zeroed but for the stack, whose layers are to be opened. */
mr_status mr_class_tower_create(mr_params *params, const mr_transformer_sizes *sizes, mr_class_tower **out, mr_error *error);

/* class_token [hidden] and positions [1 + trained_grid * trained_grid, hidden], that of the class token first, become those of
 * tower->patches, resampled where its grid is another. Both NULL when measuring. */
mr_status mr_class_tower_set_positions(mr_class_tower *tower, mr_params *params, const float *class_token, const float *positions, size_t trained_grid,
                                       mr_error *error);

/* mr_vision_architecture.forward of an mr_class_tower. */
void mr_class_tower_forward(const void *tower, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch, float *embeddings,
                            const mr_layer_trace *trace);

#endif
