#include "models/vision_tower.h"

#include "core/mem.h"
#include "core/str.h"
#include "models/config_file.h"

struct mr_vision_tower {
    const mr_vision_architecture *architecture;
    mr_vision_limits limits;
    mr_checkpoint *checkpoint;
    mr_params *layers, *ends;
    void *model; /* in the layers' params */
    bool measured_only;
};

static const mr_vision_architecture *find_architecture(const json_t *config)
{
    for (size_t i = 0; mr_vision_architectures[i]; i++)
        if (mr_vision_architectures[i]->matches(config)) return mr_vision_architectures[i];
    return NULL;
}

bool mr_vision_tower_matches(const json_t *config) { return find_architecture(config) != NULL; }

bool mr_vision_tower_is_known(const char *directory)
{
    mr_config_file file = { 0 };
    bool known = mr_config_file_read(directory, &file, NULL) == MR_OK && mr_vision_tower_matches(file.config);
    mr_config_file_free(&file);
    return known;
}

static mr_status unsupported(const mr_config_file *file, mr_error *error)
{
    const char *type = json_string_value(json_object_get(file->config, "model_type"));
    mr_buf known = { 0 };
    for (size_t i = 0; mr_vision_architectures[i]; i++) mr_buf_printf(&known, "%s%s", i > 0 ? ", " : "", mr_vision_architectures[i]->name);
    mr_status status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: model_type \"%s\" has no vision tower known here (known: %s)", file->path,
                                    type ? type : "", known.data ? known.data : "");
    mr_buf_fini(&known);
    return status;
}

typedef struct opening {
    const mr_vision_config *config;
    mr_vision_tower *tower;
} opening;

static mr_status take_layers(void *context, mr_params *params, mr_error *error)
{
    const opening *o = context;
    return o->tower->architecture->open_layers(o->config, params, &o->tower->model, error);
}

static mr_status take_ends(void *context, mr_params *params, mr_error *error)
{
    const opening *o = context;
    return o->tower->architecture->open_ends(o->config, params, o->tower->model, error);
}

static mr_status open_parts(const char *directory, const mr_config_file *file, size_t image_size, const mr_params_options *options,
                            mr_vision_tower *tower, mr_error *error)
{
    const mr_params_options exact = { .format = MR_LINEAR_F32, .measure = options->measure, .cache = options->cache };
    const mr_vision_config config = { .json = file->config, .where = file->path, .image_size = image_size };
    tower->architecture = find_architecture(file->config);
    if (!tower->architecture) return unsupported(file, error);
    MR_TRY(tower->architecture->limits(&config, &tower->limits, error));
    MR_TRY(mr_checkpoint_open(directory, &tower->checkpoint, error));
    opening context = { &config, tower };
    MR_TRY(mr_params_open(tower->checkpoint, options, take_layers, &context, &tower->layers, error));
    return mr_params_open(tower->checkpoint, &exact, take_ends, &context, &tower->ends, error);
}

mr_status mr_vision_tower_open(const char *directory, size_t image_size, const mr_params_options *options, mr_vision_tower **out, mr_error *error)
{
    mr_config_file file = { 0 };
    mr_vision_tower *tower = mr_mem_calloc(1, sizeof *tower, MR_MEM_WEIGHTS);
    if (!tower) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a vision tower", directory);
    tower->measured_only = options->measure;
    mr_status status = mr_config_file_read(directory, &file, error);
    if (status == MR_OK) status = open_parts(directory, &file, image_size, options, tower, error);
    mr_config_file_free(&file);
    if (status != MR_OK) {
        mr_vision_tower_close(tower);
        return status;
    }
    *out = tower;
    return MR_OK;
}

void mr_vision_tower_close(mr_vision_tower *tower)
{
    if (!tower) return;
    mr_params_destroy(tower->layers);
    mr_params_destroy(tower->ends);
    mr_checkpoint_close(tower->checkpoint);
    mr_mem_free(tower);
}

const mr_vision_limits *mr_vision_tower_limits(const mr_vision_tower *tower) { return &tower->limits; }

size_t mr_vision_tower_bytes(const mr_vision_tower *tower) { return mr_params_bytes(tower->layers) + mr_params_bytes(tower->ends); }

void mr_vision_tower_work(const mr_vision_tower *tower, mr_work *out)
{
    *out = *mr_params_work(tower->layers);
    mr_scratch scratch = { .work = out };
    const mr_pixel_batch batch = { .count = 1 };
    tower->architecture->forward(tower->model, &batch, 1, &scratch, NULL, NULL);
}

size_t mr_vision_tower_scratch_bytes(const mr_vision_tower *tower, size_t images, size_t threads)
{
    mr_scratch scratch = { 0 };
    const mr_pixel_batch batch = { .count = images };
    tower->architecture->forward(tower->model, &batch, threads, &scratch, NULL, NULL);
    return scratch.failed ? SIZE_MAX : scratch.bytes;
}

mr_status mr_vision_tower_forward(const mr_vision_tower *tower, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch,
                                  float *embeddings, const mr_layer_trace *trace, mr_error *error)
{
    if (tower->measured_only || !scratch->arena) return mr_error_set(error, MR_INTERNAL, "a forward pass without weights or memory");
    tower->architecture->forward(tower->model, batch, threads, scratch, embeddings, trace);
    return mr_scratch_check(scratch, error);
}
