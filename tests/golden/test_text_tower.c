/* test_text_tower CASE: texts -> vectors of a model that embeds images too, against the reference's; and that both kinds of vectors meet. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json.h"
#include "embed/prepare_text.h"
#include "embed/text_embedder.h"
#include "golden_case.h"

static const char *directory;
static json_t *document;
static mr_checkpoint *expected;
static size_t count; /* of texts */
static const mr_embed_options options = {.normalize = MR_CHOICE_NO};

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static const char *below(const char *name)
{
    static char path[2048];
    snprintf(path, sizeof path, "%s/expect/%s", directory, name);
    return path;
}

/* SigLIP's cases have no tokenizer: ids alone. */
static const json_t *texts(void) { return json_object_get(document, "texts"); }

static const json_t *ids_of(size_t i)
{
    return texts() ? json_object_get(json_array_get(texts(), i), "ids") : json_array_get(json_object_get(document, "token_ids"), i);
}

static int set_up(void **state)
{
    (void)state;
    mr_error error;
    must(mr_json_load(below("cases.json"), 1 << 24, &document, &error), &error);
    must(mr_checkpoint_open(below("expected.safetensors"), &expected, &error), &error);
    count = json_array_size(texts() ? texts() : json_object_get(document, "token_ids"));
    assert_true(count > 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mr_checkpoint_close(expected);
    json_decref(document);
    return 0;
}

/* The reference's ids, up to the token that ends the text: what comes behind it has no part in the result. */
static void texts_give_the_references_ids(void **state)
{
    (void)state;
    if (!texts()) skip();
    mr_error error;
    mr_text_preparer *preparer = NULL;
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = {0};
    must(mr_text_preparer_create(directory, &options, NULL, &preparer, &error), &error);
    must(mr_tokenizer_scratch_create(&scratch, &error), &error);
    for (size_t i = 0; i < count; i++) {
        size_t prompt;
        bool truncated;
        const json_t *text = json_object_get(json_array_get(texts(), i), "text");
        const mr_str string = {json_string_value(text), json_string_length(text)};
        must(mr_text_preparer_run(preparer, scratch, string, &encoding, &prompt, &truncated, &error), &error);
        assert_true(encoding.count >= 2 && encoding.count <= json_array_size(ids_of(i)));
        for (size_t t = 0; t < encoding.count; t++) assert_int_equal(encoding.ids[t], json_integer_value(json_array_get(ids_of(i), t)));
        for (size_t t = encoding.count; t < json_array_size(ids_of(i)); t++)
            assert_true(json_integer_value(json_array_get(ids_of(i), t)) <= encoding.ids[encoding.count - 1]);
    }
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_text_preparer_destroy(preparer);
}

/* The vector of ids as the preparer would have cut them. */
static void embed_ids(void *worker, const mr_sentence_config *config, size_t i, float *vector)
{
    int32_t ids[128];
    size_t n = json_array_size(ids_of(i)), end = 0;
    assert_true(n <= 128);
    for (size_t t = 0; t < n; t++) ids[t] = (int32_t)json_integer_value(json_array_get(ids_of(i), t));
    for (size_t t = 1; t < n; t++)
        if (ids[t] > ids[end]) end = t;
    if (config->tower.has_end) n = end + 1;
    const mr_text_embedding_input input = {.ids = ids, .count = n};
    const mr_text_embedding_request request = {.inputs = &input, .count = 1};
    mr_status status;
    mr_text_embedding_response response = {.vectors = vector, .dimension = config->dimension, .statuses = &status};
    mr_error error;
    must(mr_text_embedder.run_batch(worker, &request, &response, &error), &error);
    assert_int_equal(status, MR_OK);
}

static void check_vectors(mr_precision precision)
{
    mr_error error;
    mr_sentence_config *config = NULL;
    void *model = NULL, *worker = NULL;
    const mr_model_options model_options = {.precision = precision, .threads_per_worker = 1, .max_batch_tokens = 128, .max_batch_inputs = 1,
                                            .capability_options = &options};
    must(mr_sentence_config_open(directory, &options, &config, &error), &error);
    must(mr_text_embedder.open(directory, &model_options, &model, &error), &error);
    must(mr_text_embedder.worker_create(model, &model_options, &worker, &error), &error);
    size_t rows, width;
    float *wanted = golden_tensor(expected, "text_embeds", &rows, &width), *vector = calloc(config->dimension, sizeof *vector);
    assert_int_equal(rows, count);
    assert_int_equal(width, config->dimension);
    const json_t *bounds = json_object_get(json_object_get(document, "tolerance"), mr_precision_text(precision));
    const json_t *own = json_object_get(bounds, "text_cosine");
    const double cosine = json_number_value(own ? own : json_object_get(bounds, "cosine"));
    double largest = 0;
    for (size_t i = 0; i < rows * width; i++) largest = fmax(largest, fabs((double)wanted[i]));
    for (size_t i = 0; i < count; i++) {
        const double max_abs = precision == MR_PRECISION_F32 ? json_number_value(json_object_get(bounds, "rel_max_abs")) * largest : INFINITY;
        embed_ids(worker, config, i, vector);
        golden_compare(mr_precision_text(precision), vector, wanted + i * width, width, cosine, max_abs);
    }
    free(wanted);
    free(vector);
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    mr_sentence_config_close(config);
}

static void f32_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors(MR_PRECISION_F32);
}

static void bf16_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors(MR_PRECISION_BF16);
}

static void int8_vectors_match_the_reference(void **state)
{
    (void)state;
    check_vectors(MR_PRECISION_INT8);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    directory = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_give_the_references_ids),
        cmocka_unit_test(f32_vectors_match_the_reference),
        cmocka_unit_test(bf16_vectors_match_the_reference),
        cmocka_unit_test(int8_vectors_match_the_reference),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
