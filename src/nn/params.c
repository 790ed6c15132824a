#include "nn/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/mem.h"
#include "core/str.h"
#include "nn/packed_image.h"

#define NAME_MAX_BYTES 256
#define SCOPE_TENSORS_MAX 64 /* a layer of one model family has at most some twenty */

typedef struct block {
    struct block *next;
    void *memory;
} block;

struct mr_params {
    const mr_checkpoint *checkpoint;
    const mr_kernels *kernels;
    mr_params_options options;
    const char *prefix; /* one of the caller's literals */
    char scope[NAME_MAX_BYTES];
    const mr_tensor *in_scope[SCOPE_TENSORS_MAX]; /* what was asked for since it was set */
    size_t in_scope_count;
    float norm_offset;
    block *blocks;
    mr_packed_image image; /* of the linear layers; data NULL: each has a block of its own */
    mr_buf recipe;         /* when measuring: see mr_packed_image_open */
    size_t packed_bytes;   /* when measuring: of the image */
    size_t bytes;
    mr_work work;
    float *decoded; /* [decoded_capacity], while layers are being opened */
    size_t decoded_capacity;
};

static mr_status create(const mr_checkpoint *checkpoint, const mr_params_options *options, mr_params **out, mr_error *error)
{
    mr_params *params = mr_mem_calloc(1, sizeof *params, MR_MEM_WEIGHTS);
    if (!params) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a model");
    params->checkpoint = checkpoint;
    params->kernels = mr_kernels_get();
    params->options = *options;
    params->prefix = "";
    *out = params;
    return MR_OK;
}

/* Gives back working memory once the last layer is opened. */
static void trim(mr_params *params)
{
    mr_mem_free(params->decoded);
    params->decoded = NULL;
    params->decoded_capacity = 0;
}

static void free_blocks(mr_params *params)
{
    while (params->blocks) {
        block *next = params->blocks->next;
        mr_mem_free(params->blocks->memory);
        mr_mem_free(params->blocks);
        params->blocks = next;
    }
}

void mr_params_destroy(mr_params *params)
{
    if (!params) return;
    trim(params);
    mr_packed_image_close(&params->image);
    mr_buf_fini(&params->recipe);
    free_blocks(params);
    mr_mem_free(params);
}

static mr_status create_filled(const mr_checkpoint *checkpoint, const mr_params_options *options, const mr_params *measured, mr_params_taker *take,
                               void *context, mr_params **out, mr_error *error)
{
    mr_params *params = NULL;
    MR_TRY(create(checkpoint, options, &params, error));
    mr_status status = MR_OK;
    if (measured && measured->packed_bytes > 0)
        status = mr_packed_image_open(checkpoint, options->cache, options->format, measured->recipe.data, measured->packed_bytes, &params->image, error);
    if (status == MR_OK) status = take(context, params, error);
    if (status != MR_OK) {
        mr_params_destroy(params);
        return status;
    }
    trim(params);
    mr_packed_image_keep(&params->image);
    *out = params;
    return MR_OK;
}

mr_status mr_params_open(const mr_checkpoint *checkpoint, const mr_params_options *options, mr_params_taker *take, void *context, mr_params **out,
                         mr_error *error)
{
    mr_params_options measuring = *options;
    mr_params *measured = NULL;
    measuring.measure = true;
    MR_TRY(create_filled(checkpoint, &measuring, NULL, take, context, &measured, error));
    if (options->measure) {
        *out = measured;
        return MR_OK;
    }
    mr_status status = create_filled(checkpoint, options, measured, take, context, out, error);
    mr_params_destroy(measured);
    return status;
}

size_t mr_params_bytes(const mr_params *params)
{
    return params->bytes;
}

const mr_work *mr_params_work(const mr_params *params)
{
    return &params->work;
}

/* ---------------------------------------------------------------- names */

static void full_name(const mr_params *params, const char *name, const char *suffix, char out[NAME_MAX_BYTES])
{
    int length = snprintf(out, NAME_MAX_BYTES, "%s%s%s%s", params->prefix, params->scope, name, suffix);
    if (length < 0 || length >= NAME_MAX_BYTES) out[0] = '\0'; /* longer than any name: finds nothing */
}

mr_status mr_params_set_prefix(mr_params *params, const char *const *prefixes, const char *name, mr_error *error)
{
    for (const char *const *prefix = prefixes; *prefix; prefix++) {
        params->prefix = *prefix;
        if (mr_params_has(params, name)) return MR_OK;
    }
    const mr_tensor *any = mr_checkpoint_at(params->checkpoint, 0);
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: missing tensor \"%s\", also with the prefixes this architecture is stored under",
                        any ? any->file : "weights", name);
}

void mr_params_set_scope(mr_params *params, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(params->scope, sizeof params->scope, format, arguments);
    va_end(arguments);
    params->in_scope_count = 0;
}

static bool was_asked_for(const mr_params *params, const mr_tensor *tensor)
{
    for (size_t i = 0; i < params->in_scope_count; i++)
        if (params->in_scope[i] == tensor) return true;
    return false;
}

/* Tables that are computed, not trained: older releases stored them. */
static bool is_computed(const mr_tensor *tensor)
{
    return mr_str_ends_with(mr_str_of(tensor->name), ".inv_freq") || mr_str_ends_with(mr_str_of(tensor->name), ".position_ids");
}

mr_status mr_params_finish_scope(const mr_params *params, mr_error *error)
{
    char scope[NAME_MAX_BYTES];
    full_name(params, "", "", scope);
    for (size_t i = 0; i < mr_checkpoint_count(params->checkpoint); i++) {
        const mr_tensor *tensor = mr_checkpoint_at(params->checkpoint, i);
        if (strncmp(tensor->name, scope, strlen(scope)) != 0 || was_asked_for(params, tensor) || is_computed(tensor)) continue;
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: tensor \"%s\" has no place in this architecture, as config.json describes it", tensor->file,
                            tensor->name);
    }
    return MR_OK;
}

void mr_params_set_norm_offset(mr_params *params, float offset)
{
    params->norm_offset = offset;
}

bool mr_params_has(const mr_params *params, const char *name)
{
    char full[NAME_MAX_BYTES];
    full_name(params, name, "", full);
    return mr_checkpoint_find(params->checkpoint, full) != NULL;
}

static mr_status require(mr_params *params, const char *name, const char *suffix, size_t rank, const size_t *shape, const mr_tensor **out,
                         mr_error *error)
{
    char full[NAME_MAX_BYTES];
    full_name(params, name, suffix, full);
    MR_TRY(mr_checkpoint_require(params->checkpoint, full, rank, shape, out, error));
    if (params->in_scope_count < SCOPE_TENSORS_MAX) params->in_scope[params->in_scope_count++] = *out;
    return MR_OK;
}

/* ---------------------------------------------------------------- memory */

static mr_status count_bytes(mr_params *params, size_t bytes, mr_error *error)
{
    if (mr_checked_add(params->bytes, bytes, &params->bytes)) return MR_OK;
    return mr_error_set(error, MR_MODEL_CORRUPT, "the model's size overflows");
}

static mr_status own_memory(mr_params *params, size_t bytes, void **out, mr_error *error)
{
    MR_TRY(count_bytes(params, bytes, error));
    block *entry = mr_mem_calloc(1, sizeof *entry, MR_MEM_WEIGHTS);
    if (entry) entry->memory = mr_mem_alloc(bytes, MR_MEM_WEIGHTS);
    if (!entry || !entry->memory) {
        mr_mem_free(entry);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes of weights", bytes);
    }
    entry->next = params->blocks;
    params->blocks = entry;
    *out = entry->memory;
    return MR_OK;
}

/* Memory for weight values: only counted, and NULL, when measuring. */
static mr_status own_values(mr_params *params, size_t bytes, void **out, mr_error *error)
{
    if (!params->options.measure) return own_memory(params, bytes, out, error);
    *out = NULL;
    return count_bytes(params, bytes, error);
}

mr_status mr_params_alloc(mr_params *params, size_t count, size_t size, void **out, mr_error *error)
{
    size_t bytes;
    if (!mr_checked_mul(count, size, &bytes)) return mr_error_set(error, MR_MODEL_CORRUPT, "the model's size overflows");
    MR_TRY(own_memory(params, bytes, out, error));
    memset(*out, 0, bytes);
    return MR_OK;
}

mr_status mr_params_values(mr_params *params, size_t count, float **out, mr_error *error)
{
    size_t bytes;
    void *values = NULL;
    if (!mr_checked_mul(count, sizeof **out, &bytes)) return mr_error_set(error, MR_MODEL_CORRUPT, "the model's size overflows");
    MR_TRY(own_values(params, bytes, &values, error));
    *out = values;
    return MR_OK;
}

/* ---------------------------------------------------------------- vectors, tables */

static mr_status load_array(mr_params *params, const char *name, const char *suffix, size_t rank, const size_t *shape, float **out,
                            mr_error *error)
{
    const mr_tensor *tensor = NULL;
    MR_TRY(require(params, name, suffix, rank, shape, &tensor, error));
    void *values = NULL;
    MR_TRY(own_values(params, tensor->elements * sizeof(float), &values, error)); /* they exist in the file: no overflow */
    if (values) mr_tensor_to_f32(tensor, values);
    *out = values;
    return MR_OK;
}

mr_status mr_params_array(mr_params *params, const char *name, size_t rank, const size_t *shape, const float **out, mr_error *error)
{
    float *values = NULL;
    MR_TRY(load_array(params, name, "", rank, shape, &values, error));
    *out = values;
    return MR_OK;
}

static bool has_suffixed(const mr_params *params, const char *name, const char *suffix)
{
    char full[NAME_MAX_BYTES];
    full_name(params, name, suffix, full);
    return mr_checkpoint_find(params->checkpoint, full) != NULL;
}

mr_status mr_params_norm(mr_params *params, const char *name, size_t n, double eps, bool has_bias, mr_norm *out, mr_error *error)
{
    mr_norm norm = { .n = n, .eps = (float)eps };
    bool old = !has_suffixed(params, name, ".weight") && has_suffixed(params, name, ".gamma");
    float *weight = NULL, *bias = NULL;
    MR_TRY(load_array(params, name, old ? ".gamma" : ".weight", 1, &n, &weight, error));
    for (size_t i = 0; weight && params->norm_offset != 0 && i < n; i++) weight[i] += params->norm_offset;
    if (has_bias) MR_TRY(load_array(params, name, old ? ".beta" : ".bias", 1, &n, &bias, error));
    norm.weight = weight;
    norm.bias = bias;
    *out = norm;
    return MR_OK;
}

mr_status mr_params_table(mr_params *params, const char *name, size_t rows, size_t columns, const mr_tensor **out, mr_error *error)
{
    const mr_tensor *tensor = NULL;
    MR_TRY(require(params, name, "", 2, (size_t[]){ rows, columns }, &tensor, error));
    MR_TRY(count_bytes(params, tensor->bytes, error));
    *out = tensor;
    return MR_OK;
}

/* ---------------------------------------------------------------- linear layers */

static bool usable_in_place(const mr_tensor *tensor)
{
    return tensor->dtype == MR_DTYPE_F32 && (uintptr_t)tensor->data % _Alignof(float) == 0;
}

/* What a part is made of; NULL: not there. */
typedef struct part_tensors {
    const mr_tensor *weight, *bias, *scale;
} part_tensors;

static mr_status find_part(mr_params *params, const mr_linear_part *part, size_t k, part_tensors *out, mr_error *error)
{
    size_t stored = part->stored_rows ? part->stored_rows : part->rows;
    const size_t *kernel = part->kernel, matrix[] = { stored, k }, convolution[] = { stored, kernel[0], kernel[1], kernel[2] };
    bool convolves = kernel[0] > 0, joined = !has_suffixed(params, part->name, ".weight") && has_suffixed(params, part->name, "_weight");
    *out = (part_tensors){ 0 };
    MR_TRY(require(params, part->name, joined ? "_weight" : ".weight", convolves ? 4 : 2, convolves ? convolution : matrix, &out->weight, error));
    if (part->has_bias) MR_TRY(require(params, part->name, joined ? "_bias" : ".bias", 1, &stored, &out->bias, error));
    return part->scale ? require(params, part->scale, "", 1, &part->rows, &out->scale, error) : MR_OK;
}

/* Room for `count` decoded values, kept from layer to layer: fresh memory for each would cost more than the decoding. */
static mr_status reserve_decoded(mr_params *params, size_t count, mr_error *error)
{
    if (count <= params->decoded_capacity) return MR_OK;
    mr_mem_free(params->decoded);
    params->decoded_capacity = 0;
    params->decoded = mr_mem_alloc_array(count, sizeof(float), MR_MEM_OTHER);
    if (!params->decoded) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu values to decode weights", count);
    params->decoded_capacity = count;
    return MR_OK;
}

/* The part as the kernels read it, in the file or decoded at `room`; returns the room left. */
static float *decode_part(const mr_linear_part *part, size_t k, const part_tensors *from, float *room, mr_linear_source *out)
{
    float *bias = room, *weight = bias + (from->bias ? part->rows : 0);
    *out = (mr_linear_source){ .ld = k, .rows = part->rows, .weight = weight, .bias = from->bias ? bias : NULL };
    if (from->bias) mr_tensor_slice_to_f32(from->bias, part->first, part->rows, bias);
    if (!from->scale && usable_in_place(from->weight)) {
        out->weight = (const float *)(const void *)from->weight->data + part->first * k;
        return weight;
    }
    float *scale = weight + part->rows * k;
    mr_tensor_slice_to_f32(from->weight, part->first * k, part->rows * k, weight);
    if (!from->scale) return scale;
    mr_tensor_to_f32(from->scale, scale);
    for (size_t row = 0; row < part->rows; row++) {
        if (from->bias) bias[row] *= scale[row];
        for (size_t i = 0; i < k; i++) weight[row * k + i] *= scale[row];
    }
    return scale + part->rows;
}

/* One line of the image's recipe. */
static mr_status note_layer(mr_params *params, const mr_linear_part *parts, size_t count, const part_tensors *tensors, size_t n, size_t k,
                            size_t bytes, mr_error *error)
{
    mr_buf *recipe = &params->recipe;
    bool done = mr_checked_add(params->packed_bytes, bytes, &params->packed_bytes) && mr_buf_printf(recipe, "%zu x %zu:", n, k);
    for (size_t i = 0; done && i < count; i++)
        done = mr_buf_printf(recipe, " %s from %zu, %zu%s%s%s", tensors[i].weight->name, parts[i].first, parts[i].rows,
                             parts[i].has_bias ? " and bias" : "", tensors[i].scale ? " times " : "", tensors[i].scale ? tensors[i].scale->name : "");
    return done && mr_buf_append_str(recipe, "\n") ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of layers");
}

static mr_status take_packed(mr_params *params, size_t bytes, void **out, mr_error *error)
{
    if (!params->image.data) return own_memory(params, bytes, out, error);
    *out = mr_packed_image_take(&params->image, bytes);
    return *out ? count_bytes(params, bytes, error) : mr_error_set(error, MR_INTERNAL, "a model asks for more layers than it did before");
}

static mr_status pack(mr_params *params, const mr_linear_part *parts, size_t count, size_t k, const part_tensors *tensors,
                      size_t values, void *memory, size_t bytes, mr_linear *out, mr_error *error)
{
    mr_linear_source sources[MR_LINEAR_PARTS_MAX] = { 0 };
    MR_TRY(reserve_decoded(params, values, error));
    float *room = params->decoded;
    for (size_t i = 0; i < count; i++) room = decode_part(&parts[i], k, &tensors[i], room, &sources[i]);
    mr_status status = mr_linear_prepare(params->kernels, params->options.format, sources, count, k, memory, bytes, out, error);
    if (status == MR_INVALID_ARGUMENT) { /* the kernels' word for weights they cannot take: not finite, too wide */
        mr_error_prefix(error, status, "%s: tensor \"%s\"", tensors[0].weight->file, tensors[0].weight->name);
        status = MR_MODEL_CORRUPT;
        if (error) error->status = status;
    }
    /* What was packed is not read again: keep it out of the resident set. */
    for (size_t i = 0; status == MR_OK && i < count; i++) mr_tensor_release_pages(tensors[i].weight);
    return status;
}

mr_status mr_params_linear(mr_params *params, const mr_linear_part *parts, size_t count, size_t k, mr_linear *out, mr_error *error)
{
    if (count > MR_LINEAR_PARTS_MAX) return mr_error_set(error, MR_INTERNAL, "a linear layer of %zu parts", count);
    part_tensors tensors[MR_LINEAR_PARTS_MAX];
    mr_linear_format format = params->options.format;
    size_t n = 0, values = 0;
    for (size_t i = 0; i < count; i++) {
        MR_TRY(find_part(params, &parts[i], k, &tensors[i], error));
        n += parts[i].rows;
        values += parts[i].rows * (k + 2); /* the file holds that many: no overflow */
    }
    size_t bytes = mr_linear_packed_bytes(params->kernels, format, n, k);
    if (bytes == 0) return mr_error_set(error, MR_MODEL_CORRUPT, "a linear layer of %zu x %zu is not possible", n, k);
    mr_work_add_linear(&params->work, (mr_work_linear){ .n = n, .k = k, .count = 1 });
    if (params->options.measure) {
        *out = (mr_linear){ .kernels = params->kernels, .format = format, .n = n, .k = k };
        MR_TRY(note_layer(params, parts, count, tensors, n, k, bytes, error));
        return count_bytes(params, bytes, error);
    }
    void *memory = NULL;
    MR_TRY(take_packed(params, bytes, &memory, error));
    if (params->image.is_packed) return mr_linear_attach(params->kernels, format, n, k, memory, bytes, out, error);
    return pack(params, parts, count, k, tensors, values, memory, bytes, out, error);
}

/* Rows of W packed at a time by mr_params_project: keeps the packed copy small beside the model. */
#define SLICE_ROWS ((size_t)4096)

mr_status mr_params_project(mr_params *params, const mr_linear_part *part, size_t k, const float *x, size_t rows, float *y, mr_error *error)
{
    size_t stored = part->stored_rows ? part->stored_rows : part->rows;
    for (size_t done = 0; done < part->rows; done += SLICE_ROWS) {
        size_t step = part->rows - done < SLICE_ROWS ? part->rows - done : SLICE_ROWS;
        const mr_linear_part slice = { .name = part->name, .rows = step, .has_bias = part->has_bias, .first = part->first + done, .stored_rows = stored };
        mr_params temporary = *params;
        mr_linear linear;
        temporary.blocks = NULL;
        temporary.image = (mr_packed_image){ 0 };
        temporary.recipe = (mr_buf){ 0 };
        temporary.decoded = NULL;
        temporary.decoded_capacity = 0;
        temporary.options.format = MR_LINEAR_F32;
        mr_status status = mr_params_linear(&temporary, &slice, 1, k, &linear, error);
        if (status == MR_OK && !params->options.measure) mr_linear_run(&linear, x, k, y + done, part->rows, rows, NULL, NULL);
        trim(&temporary);
        mr_buf_fini(&temporary.recipe);
        free_blocks(&temporary);
        if (status != MR_OK) return status;
    }
    return MR_OK;
}
