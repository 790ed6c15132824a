/* The two halves of models that see and read: config.json's vision_config and text_config, and what vision towers have in common. */
#ifndef MR_MODELS_JOINT_CONFIG_H
#define MR_MODELS_JOINT_CONFIG_H

#include "models/transformer_config.h"

typedef struct mr_vision_shape {
    mr_transformer_sizes sizes;
    size_t image_size; /* side, pixels */
    size_t patch;      /* side, pixels */
    size_t grid;       /* patches along a side */
} mr_vision_shape;

/* The object `key` of a joint model's config ("<key>_dict" of older files overrides it), or `config` itself when its model_type is
 * `own_type`. Owned by the caller; MODEL_CORRUPT when neither is there. */
mr_status mr_config_half(const json_t *config, const char *key, const char *own_type, json_t **out, const char *where, mr_error *error);

/* vision_config's own keys; `half` as of mr_config_half. */
mr_status mr_vision_shape_read(const json_t *half, const char *where, const mr_vision_shape *defaults, mr_vision_shape *out, mr_error *error);

#endif
