/* test_image_embedding CASE: image files -> vectors against the reference's, layer by layer, and the invariances. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocation_count.h"
#include "golden_case.h"
#include "models/vision_tower.h"
#include "safetensors_writer.h"
#include "vision_case.h"

static const char *directory;
static vision_case golden;
static mr_cache *cache; /* of packed weights; NULL: none */

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static int set_up(void **state)
{
    (void)state;
    vision_case_load(directory, &golden);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vision_case_free(&golden);
    return 0;
}

/* Vectors [count, dimension] of all images, `together` in a request; free() them. */
static float *embed(mr_precision precision, mr_choice normalize, size_t threads, size_t together)
{
    mr_error error;
    const mr_embed_options embed_options = {.normalize = normalize};
    const mr_model_options options = {.precision = precision, .threads_per_worker = threads, .max_batch_inputs = together,
                                      .capability_options = &embed_options, .cache = cache};
    void *model = NULL, *worker = NULL;
    float *vectors = calloc(golden.count * golden.shape.dimension, sizeof *vectors);
    mr_status *statuses = calloc(golden.count, sizeof *statuses);
    must(mr_image_embedder.open(directory, &options, &model, &error), &error);
    must(mr_image_embedder.worker_create(model, &options, &worker, &error), &error);
    for (size_t first = 0; first < golden.count; first += together) {
        const mr_image_embedding_request request = {golden.images + first, golden.count - first < together ? golden.count - first : together};
        mr_image_embedding_response response = {vectors + first * golden.shape.dimension, golden.shape.dimension, statuses + first};
        const size_t before = allocation_count();
        must(mr_image_embedder.run_batch(worker, &request, &response, &error), &error);
        if (threads == 1) assert_int_equal(allocation_count(), before);
    }
    for (size_t i = 0; i < golden.count; i++) assert_int_equal(statuses[i], MR_OK);
    mr_image_embedder.worker_destroy(worker);
    mr_image_embedder.close(model);
    free(statuses);
    return vectors;
}

static void check_vectors(const char *name, mr_precision precision, mr_choice normalize)
{
    size_t rows, width;
    float *wanted = golden_tensor(golden.expected, name, &rows, &width), *got = embed(precision, normalize, 1, golden.count);
    assert_int_equal(rows, golden.count);
    assert_int_equal(width, golden.shape.dimension);
    const char *class = mr_precision_text(precision);
    double largest = 0, least = 1;
    for (size_t i = 0; i < rows * width; i++) largest = fmax(largest, fabs((double)wanted[i]));
    for (size_t i = 0; i < rows; i++) {
        const double max_abs = precision == MR_PRECISION_F32 ? vision_case_tolerance(&golden, class, "rel_max_abs") * largest : INFINITY;
        const char *file = json_string_value(json_array_get(json_object_get(golden.document, "images"), i));
        golden_compare(file, got + i * width, wanted + i * width, width, vision_case_tolerance(&golden, class, "cosine"), max_abs);
        least = fmin(least, golden_cosine(got + i * width, wanted + i * width, width));
    }
    printf("  %s %s: least cosine %.9f\n", name, class, least);
    free(wanted);
    free(got);
}

static void f32_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors("image_embeds", MR_PRECISION_F32, MR_CHOICE_NO);
    if (mr_checkpoint_find(golden.expected, "image_embeds_normalized")) check_vectors("image_embeds_normalized", MR_PRECISION_F32, MR_CHOICE_MODEL);
}

static void bf16_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors("image_embeds", MR_PRECISION_BF16, MR_CHOICE_NO);
}

static void int8_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors("image_embeds", MR_PRECISION_INT8, MR_CHOICE_NO);
}

/* k = 0 is what goes into the first layer. Of the last one a tower may give the class row alone. */
static void check_layer(void *context, size_t k, const float *x, size_t tokens, size_t hidden)
{
    size_t *seen = context;
    const bool clip = mr_checkpoint_find(golden.trace, "v.embeddings") != NULL, has_norm = mr_checkpoint_find(golden.trace, "v.pre_layrnorm") != NULL;
    char name[64];
    if (k > 0) snprintf(name, sizeof name, "%slayer.%zu", clip ? "v." : "encoder.", k - 1);
    else snprintf(name, sizeof name, "%s", has_norm ? "v.pre_layrnorm" : clip ? "v.embeddings" : "embeddings");
    const mr_tensor *tensor = mr_checkpoint_find(golden.trace, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->elements, (tokens == 1 ? golden.shape.tokens : tokens) * hidden);
    float *wanted = calloc(tensor->elements, sizeof *wanted);
    mr_tensor_to_f32(tensor, wanted);
    golden_compare(name, x, wanted, tokens * hidden, 0.999999, 10 * golden_tolerance(wanted, tokens * hidden));
    free(wanted);
    ++*seen;
}

static void every_layer_matches_the_reference(void **state)
{
    (void)state;
    mr_error error;
    const mr_params_options options = {.format = MR_LINEAR_F32};
    mr_vision_tower *tower = NULL;
    must(mr_vision_tower_open(directory, golden.shape.processor.width, &options, &tower, &error), &error);
    mr_arena *arena = NULL;
    must(mr_arena_create(mr_vision_tower_scratch_bytes(tower, 1, 1), MR_MEM_SCRATCH, &arena, &error), &error);
    mr_scratch scratch = {.arena = arena};
    size_t seen = 0;
    const mr_layer_trace layers = {check_layer, &seen};
    const mr_pixel_batch batch = {&golden.images[0].pixels, 1, golden.shape.processor.values};
    float *vector = calloc(golden.shape.dimension, sizeof *vector);
    must(mr_vision_tower_forward(tower, &batch, 1, &scratch, vector, &layers, &error), &error);
    assert_true(seen >= 3);
    free(vector);
    mr_arena_destroy(arena);
    mr_vision_tower_close(tower);
}

static void bits_depend_neither_on_batch_nor_on_threads(void **state)
{
    (void)state;
    static const mr_precision classes[] = {MR_PRECISION_F32, MR_PRECISION_BF16, MR_PRECISION_INT8};
    for (size_t i = 0; i < 3; i++) {
        float *alone = embed(classes[i], MR_CHOICE_MODEL, 1, 1), *together = embed(classes[i], MR_CHOICE_MODEL, 2, golden.count);
        assert_memory_equal(alone, together, golden.count * golden.shape.dimension * sizeof *alone);
        free(alone);
        free(together);
    }
}

static void the_estimate_is_what_is_taken(void **state)
{
    (void)state;
    mr_error error;
    const mr_model_options options = {.precision = MR_PRECISION_BF16, .threads_per_worker = 2, .max_batch_inputs = 5};
    mr_memory_estimate estimate = {0};
    void *model = NULL, *worker = NULL;
    must(mr_image_embedder.estimate(directory, &options, &estimate, &error), &error);
    must(mr_image_embedder.open(directory, &options, &model, &error), &error);
    must(mr_image_embedder.worker_create(model, &options, &worker, &error), &error);
    assert_int_equal(mr_image_embedder.model_bytes(model), estimate.shared_bytes);
    assert_int_equal(mr_image_embedder.worker_bytes(worker), estimate.worker_bytes);
    mr_image_embedder.worker_destroy(worker);
    mr_image_embedder.close(model);
}

static void packed_weights_out_of_the_cache_are_the_same(void **state)
{
    (void)state;
    mr_error error;
    const char *folder = fresh_folder("vision-cache");
    mr_checkpoint *files = NULL;
    must(mr_checkpoint_open(directory, &files, &error), &error);
    const bool kept = mr_checkpoint_is_settled(files);
    mr_checkpoint_close(files);
    float *without = embed(MR_PRECISION_BF16, MR_CHOICE_MODEL, 1, golden.count);
    must(mr_cache_open(folder, 1 << 26, "test", &cache, &error), &error);
    for (size_t i = 0; i < 2; i++) {
        float *with = embed(MR_PRECISION_BF16, MR_CHOICE_MODEL, 1, golden.count);
        assert_memory_equal(with, without, golden.count * golden.shape.dimension * sizeof *with);
        assert_int_equal(mr_cache_folder_bytes(folder) > 0, kept);
        free(with);
    }
    mr_cache_close(cache);
    cache = NULL;
    free(without);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    directory = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_vectors_match_the_reference),
        cmocka_unit_test(bf16_vectors_match_the_reference),
        cmocka_unit_test(int8_vectors_match_the_reference),
        cmocka_unit_test(every_layer_matches_the_reference),
        cmocka_unit_test(bits_depend_neither_on_batch_nor_on_threads),
        cmocka_unit_test(the_estimate_is_what_is_taken),
        cmocka_unit_test(packed_weights_out_of_the_cache_are_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
