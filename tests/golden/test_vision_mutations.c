/* Do the goldens of vision towers notice? As test_mutations.c for texts: one thing at a time is made wrong, in a copy of a case's files, in the
 * blocks all models share (deviation.h), or in what only towers do; the vectors must leave the tolerance. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "changed_model.h"
#include "core/str.h"
#include "deviation.h"
#include "golden_case.h"
#include "nn/patch_embedding.h"
#include "nn/position_grid.h"
#include "nn/pre_norm.h"
#include "safetensors_writer.h"
#include "vision_case.h"

#define NOTICED 2.0 /* times the tolerance */

static const char *const cases[] = { "clip-legacy", "clip-open", "siglip", "dinov2", "dinov2-gated" };

/* Either `file` gets `key` (a path with dots) set to the JSON `value`, or the tensor `zero` of model.safetensors becomes 0. */
static const struct { const char *golden, *file, *key, *value, *zero; } mutations[] = {
    { "clip-legacy", .file = "config.json", .key = "vision_config.hidden_act", .value = "\"gelu\"" },
    { "clip-legacy", .file = "config.json", .key = "vision_config.layer_norm_eps", .value = "1e-3" },
    { "clip-legacy", .file = "config.json", .key = "vision_config.num_attention_heads", .value = "1" },
    { "clip-legacy", .file = "config.json", .key = "vision_config.num_hidden_layers", .value = "1" },
    { "clip-legacy", .file = "preprocessor_config.json", .key = "image_mean", .value = "[0.5,0.5,0.5]" },
    { "clip-legacy", .file = "preprocessor_config.json", .key = "image_std", .value = "[0.5,0.5,0.5]" },
    { "clip-legacy", .zero = "vision_model.embeddings.class_embedding" },
    { "clip-legacy", .zero = "vision_model.embeddings.position_embedding.weight" },
    { "clip-legacy", .zero = "vision_model.pre_layrnorm.bias" },
    { "clip-legacy", .zero = "vision_model.post_layernorm.bias" },
    { "clip-legacy", .zero = "vision_model.encoder.layers.0.self_attn.q_proj.bias" },
    { "clip-legacy", .zero = "vision_model.encoder.layers.1.self_attn.v_proj.bias" },
    { "clip-legacy", .zero = "vision_model.encoder.layers.0.mlp.fc1.bias" },
    { "clip-legacy", .zero = "vision_model.encoder.layers.1.mlp.fc2.bias" },
    { "clip-legacy", .zero = "visual_projection.weight" },
    { "clip-open", .file = "config.json", .key = "vision_config.hidden_act", .value = "\"quick_gelu\"" },
    { "clip-open", .file = "config.json", .key = "vision_config.hidden_act", .value = "\"gelu_new\"" },
    { "siglip", .file = "config.json", .key = "vision_config.hidden_act", .value = "\"gelu\"" },
    { "siglip", .file = "config.json", .key = "vision_config.layer_norm_eps", .value = "1e-4" },
    { "siglip", .zero = "vision_model.embeddings.patch_embedding.bias" },
    { "siglip", .zero = "vision_model.post_layernorm.bias" },
    { "siglip", .zero = "vision_model.head.probe" },
    { "siglip", .zero = "vision_model.head.attention.in_proj_bias" },
    { "siglip", .zero = "vision_model.head.attention.out_proj.bias" },
    { "siglip", .zero = "vision_model.head.layernorm.bias" },
    { "siglip", .zero = "vision_model.head.mlp.fc1.bias" },
    { "siglip", .zero = "vision_model.head.mlp.fc2.bias" },
    { "dinov2", .file = "config.json", .key = "hidden_act", .value = "\"gelu_new\"" },
    { "dinov2", .file = "config.json", .key = "layer_norm_eps", .value = "1e-3" },
    { "dinov2", .zero = "embeddings.cls_token" },
    { "dinov2", .zero = "embeddings.position_embeddings" },
    { "dinov2", .zero = "embeddings.patch_embeddings.projection.bias" },
    { "dinov2", .zero = "encoder.layer.0.layer_scale1.lambda1" },
    { "dinov2", .zero = "encoder.layer.1.layer_scale2.lambda1" },
    { "dinov2", .zero = "encoder.layer.1.attention.o_proj.bias" },
    { "dinov2", .zero = "layernorm.bias" },
    { "dinov2-gated", .zero = "encoder.layer.0.mlp.weights_in.bias" },
    { "dinov2-gated", .zero = "encoder.layer.2.mlp.weights_out.bias" },
    { "dinov2-gated", .zero = "encoder.layer.2.layer_scale1.lambda1" },
};

/* ---------------------------------------------------------------- what only towers do */

/* X(name, what is different) */
#define MISTAKES(X)                                      \
    X(NONE, "nothing")                                   \
    X(BGR, "blue for red")                               \
    X(TRANSPOSED, "rows for columns of the image")       \
    X(CLASS_LAST, "the class row behind the patches")    \
    X(POSITIONS, "positions one patch too high")         \
    X(POOLING, "the first patch's row for the class row")\
    X(LAYER, "the last layer left out")                  \
    X(NEAREST, "the nearest position for a resampled one")

#define X(name, text) MISTAKE_##name,
typedef enum mistake { MISTAKES(X) MISTAKE_COUNT } mistake;
#undef X

static mistake current;
static bool happened;

static bool goes_wrong(mistake kind, bool possible)
{
    if (current != kind || !possible) return false;
    happened = true;
    return true;
}

void __real_mr_patch_embedding_run(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const mr_patch_buffers *buffers, size_t threads,
                                   float *x);
void __wrap_mr_patch_embedding_run(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const mr_patch_buffers *buffers, size_t threads,
                                   float *x);
void __real_mr_pre_norm_run(const mr_pre_norm_stack *stack, const mr_token_batch *batch, const mr_pre_norm_buffers *buffers, float *x,
                            const mr_layer_trace *trace);
void __wrap_mr_pre_norm_run(const mr_pre_norm_stack *stack, const mr_token_batch *batch, const mr_pre_norm_buffers *buffers, float *x,
                            const mr_layer_trace *trace);
void __real_mr_position_grid_resample(const float *from, size_t from_side, float *to, size_t to_side, size_t width);
void __wrap_mr_position_grid_resample(const float *from, size_t from_side, float *to, size_t to_side, size_t width);

/* The image with rows for columns, or blue for red; free() it. */
static uint8_t *redrawn(const uint8_t *image, size_t side, bool transposed, bool bgr)
{
    uint8_t *out = malloc(3 * side * side);
    assert_non_null(out);
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            for (size_t c = 0; c < 3; c++) out[3 * (y * side + x) + c] = image[3 * (transposed ? x * side + y : y * side + x) + (bgr ? 2 - c : c)];
    return out;
}

/* Rows [count, width], each one place further, the last one first; free() them. */
static float *turned(const float *rows, size_t count, size_t width)
{
    float *out = malloc(count * width * sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++) memcpy(out + (i + 1) % count * width, rows + i * width, width * sizeof *out);
    return out;
}

/* Batches here are of one image. */
void __wrap_mr_patch_embedding_run(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const mr_patch_buffers *buffers, size_t threads,
                                   float *x)
{
    mr_patch_embedding changed = *embedding;
    mr_pixel_batch pixels = *batch;
    float *positions = NULL;
    uint8_t *image = NULL;
    size_t hidden = embedding->linear.n, tokens = mr_patch_embedding_tokens(embedding);
    bool flipped = goes_wrong(MISTAKE_TRANSPOSED, true), bgr = goes_wrong(MISTAKE_BGR, true);
    if (flipped || bgr) image = redrawn(batch->images[0], embedding->width, flipped, bgr);
    if (image) pixels.images = (const uint8_t *const *)&image;
    if (goes_wrong(MISTAKE_POSITIONS, true)) changed.positions = positions = turned(embedding->positions, embedding->rows * embedding->columns, hidden);
    __real_mr_patch_embedding_run(&changed, &pixels, buffers, threads, x);
    if (goes_wrong(MISTAKE_CLASS_LAST, embedding->leading_rows > 0)) {
        float class_row[4096];
        memcpy(class_row, x, hidden * sizeof *x);
        memmove(x, x + hidden, (tokens - 1) * hidden * sizeof *x);
        memcpy(x + (tokens - 1) * hidden, class_row, hidden * sizeof *x);
    }
    free(positions);
    free(image);
}

void __wrap_mr_pre_norm_run(const mr_pre_norm_stack *stack, const mr_token_batch *batch, const mr_pre_norm_buffers *buffers, float *x,
                            const mr_layer_trace *trace)
{
    mr_pre_norm_stack changed = *stack;
    bool pooling = goes_wrong(MISTAKE_POOLING, stack->first_rows);
    if (pooling) changed.first_rows = false;
    if (goes_wrong(MISTAKE_LAYER, true)) changed.layer_count--;
    __real_mr_pre_norm_run(&changed, batch, buffers, x, trace);
    if (pooling) memcpy(x, x + stack->hidden, stack->hidden * sizeof *x);
}

void __wrap_mr_position_grid_resample(const float *from, size_t from_side, float *to, size_t to_side, size_t width)
{
    if (!goes_wrong(MISTAKE_NEAREST, true)) {
        __real_mr_position_grid_resample(from, from_side, to, to_side, width);
        return;
    }
    for (size_t i = 0; i < to_side * to_side; i++)
        memcpy(to + i * width, from + (i / to_side * from_side / to_side * from_side + i % to_side * from_side / to_side) * width, width * sizeof *to);
}

/* ---------------------------------------------------------------- the tests */

/* How far the vectors are from the expected ones at most, in units of the tolerance. */
static double distance(const char *directory, const vision_case *golden)
{
    mr_error error = { 0 };
    void *model = NULL, *worker = NULL;
    size_t rows, width;
    double farthest = 0, largest = 0;
    const mr_embed_options embed = { .normalize = MR_CHOICE_NO };
    const mr_model_options options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_inputs = 1, .capability_options = &embed };
    float *expected = golden_tensor(golden->expected, "image_embeds", &rows, &width), *got = calloc(width, sizeof *got);
    assert_non_null(got);
    changed_model_must(mr_image_embedder.open(directory, &options, &model, &error), &error);
    changed_model_must(mr_image_embedder.worker_create(model, &options, &worker, &error), &error);
    for (size_t row = 0; row < rows; row++) {
        const mr_image_embedding_request request = { golden->images + row, 1 };
        mr_status status = MR_OK;
        mr_image_embedding_response response = { got, width, &status };
        changed_model_must(mr_image_embedder.run_batch(worker, &request, &response, &error), &error);
        for (size_t i = 0; i < width; i++) {
            const double wanted = (double)expected[row * width + i], difference = fabs((double)got[i] - wanted);
            if (!(difference <= farthest)) farthest = difference; /* a NaN is far away */
            largest = fmax(largest, fabs(wanted));
        }
    }
    mr_image_embedder.worker_destroy(worker);
    mr_image_embedder.close(model);
    free(expected);
    free(got);
    return farthest / (vision_case_tolerance(golden, "f32", "rel_max_abs") * largest);
}

static void changed_files_are_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        vision_case golden;
        char *original = changed_model_path(MR_TEST_DATA "/vision", mutations[i].golden), *copy = mr_strdup(fresh_folder("vision-mutation"));
        char *changed = changed_model_path(copy, mutations[i].file ? mutations[i].file : "model.safetensors");
        vision_case_load(original, &golden);
        changed_model_link(original, copy);
        if (mutations[i].file) changed_model_set(changed, mutations[i].key, mutations[i].value);
        else changed_model_zero(changed, mutations[i].zero);
        double far = distance(copy, &golden);
        if (!(far >= NOTICED))
            fail_msg("%s: %s is not noticed (%.2f times the tolerance)", mutations[i].golden, mutations[i].zero ? mutations[i].zero : mutations[i].key,
                     far);
        vision_case_free(&golden);
        free(original);
        free(copy);
        free(changed);
    }
}

/* Returns whether the model has what is done differently; then it must be noticed. */
static bool try_wrong(const char *directory, const vision_case *golden, deviation kind, mistake other, const char *text)
{
    deviation_set(kind);
    current = other;
    happened = false;
    double far = distance(directory, golden);
    bool different = deviation_happened() || happened;
    deviation_set(DEVIATION_NONE);
    current = MISTAKE_NONE;
    if (different && !(far >= NOTICED)) fail_msg("%s: %s is not noticed (%.2f times the tolerance)", directory, text, far);
    if (!different && !(far <= 1)) fail_msg("%s: wrong before anything is changed", directory);
    return different;
}

static void other_arithmetic_is_noticed(void **state)
{
    (void)state;
    static const char *const mistakes[] = {
#define X(name, text) text,
        MISTAKES(X)
#undef X
    };
    size_t shared[DEVIATION_COUNT] = { 0 }, own[MISTAKE_COUNT] = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vision_case golden;
        char *directory = changed_model_path(MR_TEST_DATA "/vision", cases[i]);
        vision_case_load(directory, &golden);
        for (deviation kind = DEVIATION_NONE; kind < DEVIATION_COUNT; kind++)
            shared[kind] += try_wrong(directory, &golden, kind, MISTAKE_NONE, deviation_text(kind));
        for (mistake kind = MISTAKE_NONE + 1; kind < MISTAKE_COUNT; kind++)
            own[kind] += try_wrong(directory, &golden, DEVIATION_NONE, kind, mistakes[kind]);
        vision_case_free(&golden);
        free(directory);
    }
    for (deviation kind = DEVIATION_NONE + 1; kind < DEVIATION_COUNT; kind++)
        if (shared[kind] > 0) printf("  %s: in %zu cases\n", deviation_text(kind), shared[kind]);
    for (mistake kind = MISTAKE_NONE + 1; kind < MISTAKE_COUNT; kind++) {
        printf("  %s: in %zu cases\n", mistakes[kind], own[kind]);
        assert_true(own[kind] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_files_are_noticed),
        cmocka_unit_test(other_arithmetic_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
