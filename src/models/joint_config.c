#include "models/joint_config.h"

#include <stdlib.h>

#include "core/json.h"
#include "core/str.h"

/* Four times the side of any published tower's images. */
#define IMAGE_SIZE_MAX ((size_t)4096)

mr_status mr_config_half(const json_t *config, const char *key, const char *own_type, json_t **out, const char *where, mr_error *error)
{
    if (mr_config_is(config, "model_type", own_type)) {
        *out = json_copy((json_t *)(uintptr_t)config);
    } else {
        char *older = mr_strf("%s_dict", key);
        const json_t *half = json_object_get(config, key), *overrides = older ? json_object_get(config, older) : NULL;
        free(older);
        if (!json_is_object(half) && !json_is_object(overrides)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: no \"%s\"", where, key);
        *out = json_is_object(half) ? json_copy((json_t *)(uintptr_t)half) : json_object();
        if (*out && json_is_object(overrides)) json_object_update(*out, (json_t *)(uintptr_t)overrides);
    }
    return *out ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its \"%s\"", where, key);
}

mr_status mr_vision_shape_read(const json_t *half, const char *where, const mr_vision_shape *defaults, mr_vision_shape *out, mr_error *error)
{
    mr_vision_shape shape = { 0 };
    size_t channels = 0;
    MR_TRY(mr_config_sizes(half, where, &defaults->sizes, &shape.sizes, error));
    MR_TRY(mr_config_size(half, "image_size", defaults->image_size, IMAGE_SIZE_MAX, &shape.image_size, where, error));
    MR_TRY(mr_config_size(half, "patch_size", defaults->patch, shape.image_size, &shape.patch, where, error));
    MR_TRY(mr_config_size(half, "num_channels", 3, 3, &channels, where, error));
    if (channels != 3) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"num_channels\" is %zu, only 3 is supported", where, channels);
    shape.grid = shape.image_size / shape.patch;
    *out = shape;
    return MR_OK;
}
