/* Vision towers: the pixels of an image -> one embedding. One file tower_<name>.c per architecture, each defining
 * `const mr_vision_architecture mr_tower_<name>`; the build makes the table of all of them from the file names. */
#ifndef MR_MODELS_VISION_TOWER_H
#define MR_MODELS_VISION_TOWER_H

#include <jansson.h>

#include "models/layer_tensors.h"
#include "nn/layer_buffers.h"
#include "nn/params.h"
#include "nn/patch_embedding.h"

/* What config.json alone says. */
typedef struct mr_vision_limits {
    size_t image_size; /* side of the square images it takes, pixels */
    size_t tokens;     /* rows an image becomes */
    size_t dimension;  /* of the embedding */
} mr_vision_limits;

/* What a tower is read from. */
typedef struct mr_vision_config {
    const json_t *json;  /* config.json */
    const char *where;   /* its path */
    size_t image_size;   /* side of the images there will be, pixels; counts where a tower takes several sizes */
} mr_vision_config;

typedef struct mr_vision_architecture {
    const char *name;
    bool (*matches)(const json_t *config);
    /* MODEL_CORRUPT or MODEL_UNSUPPORTED, naming `where` and the key. */
    mr_status (*limits)(const mr_vision_config *config, mr_vision_limits *out, mr_error *error);
    /* Check and take every tensor, in two parts: the layers in the format asked for; the patches and what sees one row per image in f32.
     * They are 3 % of the work, and rounding pixels costs more cosine than all else (bf16, 5 layers: 1.5e-4 against 7e-5).
     * *model lives in the layers' params; a part holds sizes only when its params measure. */
    mr_status (*open_layers)(const mr_vision_config *config, mr_params *params, void **model, mr_error *error);
    mr_status (*open_ends)(const mr_vision_config *config, mr_params *params, void *model, mr_error *error);
    /* embeddings [batch->count, dimension], not normalised. With scratch->arena NULL it only counts, and only batch->count is read. */
    void (*forward)(const void *model, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch, float *embeddings,
                    const mr_layer_trace *trace);
} mr_vision_architecture;

extern const mr_layer_names mr_clip_layer_names; /* tower_clip.c: of CLIP's layers, which its successors kept */

/* NULL-terminated, by name. */
extern const mr_vision_architecture *const mr_vision_architectures[];

typedef struct mr_vision_tower mr_vision_tower; /* immutable once open */

/* True when the directory's config.json is of a model with a vision tower. */
bool mr_vision_tower_is_known(const char *directory);
bool mr_vision_tower_matches(const json_t *config); /* the same of its contents */

/* Opens config.json and the weights of a directory, for images of image_size pixels a side; the limits tell whether it takes such.
 * With options->measure only headers are read: then bytes and scratch can be asked for, forward not. MODEL_FILES_MISSING,
 * MODEL_CORRUPT, MODEL_UNSUPPORTED naming what is known. */
mr_status mr_vision_tower_open(const char *directory, size_t image_size, const mr_params_options *options, mr_vision_tower **out, mr_error *error);
void mr_vision_tower_close(mr_vision_tower *tower);

const mr_vision_limits *mr_vision_tower_limits(const mr_vision_tower *tower);
size_t mr_vision_tower_bytes(const mr_vision_tower *tower); /* weights, shared by all workers */
void mr_vision_tower_work(const mr_vision_tower *tower, mr_work *out); /* of a row; layers that see one row per image are left out */

/* Arena capacity for one forward pass of at most `images` images. */
size_t mr_vision_tower_scratch_bytes(const mr_vision_tower *tower, size_t images, size_t threads);

/* embeddings [batch->count, dimension], caller's memory. Everything else comes from `scratch`'s arena. MEMORY_EXHAUSTED when
 * that is too small. trace may be NULL. */
mr_status mr_vision_tower_forward(const mr_vision_tower *tower, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch,
                                  float *embeddings, const mr_layer_trace *trace, mr_error *error);

#endif
