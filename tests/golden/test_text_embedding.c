/* test_text_embedding CASE [minilm]: a text embedder against the reference's vectors, layer by layer, and its invariances.
 *
 * CASE is a folder with expect/ (or cases.json itself) and the model. "minilm": the model is the real all-MiniLM-L6-v2, from
 * $MILLRACE_TEST_MINILM or where `millrace fetch` puts it; skipped, and said so, when it is nowhere. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "allocation_count.h"
#include "core/file.h"
#include "core/str.h"
#include "embed/prepare_text.h"
#include "embed/text_embedder.h"
#include "golden_case.h"

#define SKIPPED 77 /* CTest's SKIP_RETURN_CODE */
/* int8 promises a mean; a text of two special tokens alone may fall below it (docs/precision.md). */
#define LEAST_INT8_COSINE 0.98

/* The longest texts of the run golden.reference_error is from. */
#define REFERENCE_TOKENS 1000

static const char *model_directory;
static golden_case golden;
static size_t dimension;
static void *model;
static mr_precision precision = MR_PRECISION_F32;
static bool tracing; /* the trace's own callback allocates */
static long faults;  /* pages the forward passes so far touched for the first time */
static float *single; /* [count, dimension] */
static float *pooled; /* [count, width of the stored tensor], where one is stored */

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static mr_model_options options_for(size_t threads)
{
    size_t tokens = 0;
    for (size_t i = 0; i < golden.count; i++) tokens += golden.inputs[i].count;
    return (mr_model_options){ .precision = precision, .threads_per_worker = threads, .max_batch_tokens = tokens, .max_batch_inputs = golden.count };
}

static void *worker_for(size_t threads)
{
    mr_error error = { 0 };
    void *worker = NULL;
    const mr_model_options options = options_for(threads);
    must(mr_text_embedder.worker_create(model, &options, &worker, &error), &error);
    return worker;
}

static long minor_faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/* Vectors [count, dimension] of the given rows as one request; free() them. */
static float *embed_rows(void *worker, const size_t *rows, size_t count)
{
    mr_error error = { 0 };
    mr_text_embedding_input *inputs = calloc(count, sizeof *inputs);
    mr_status *statuses = calloc(count, sizeof *statuses);
    float *vectors = calloc(count * dimension, sizeof *vectors);
    assert_true(inputs && statuses && vectors);
    for (size_t i = 0; i < count * dimension; i++) vectors[i] = NAN; /* and touched: no fault of the forward pass */
    for (size_t i = 0; i < count; i++) {
        const golden_input *input = &golden.inputs[rows[i]];
        inputs[i] = (mr_text_embedding_input){ .ids = input->ids, .count = input->count, .prompt_tokens = input->prompt_length };
    }
    const mr_text_embedding_request request = { .inputs = inputs, .count = count };
    mr_text_embedding_response response = { .vectors = vectors, .dimension = dimension, .statuses = statuses };
    size_t before = allocation_count();
    const long touched = minor_faults();
    must(mr_text_embedder.run_batch(worker, &request, &response, &error), &error);
    faults += minor_faults() - touched;
    if (!tracing) assert_int_equal(allocation_count(), before); /* a forward pass lives in the worker's arena */
    for (size_t i = 0; i < count; i++) assert_int_equal(statuses[i], MR_OK);
    free(inputs);
    free(statuses);
    return vectors;
}

/* Every row, one request each: what the reference is compared with, and what every other way of running must give bit for bit. */
static void embed_singly(void)
{
    size_t width = 0, rows = 0;
    free(mr_checkpoint_find(golden.expected, "pooled") ? golden_tensor(golden.expected, "pooled", &rows, &width) : NULL);
    single = calloc(golden.count * dimension, sizeof *single);
    pooled = calloc(golden.count * width + 1, sizeof *pooled);
    assert_true(single && pooled);
    void *worker = worker_for(1);
    for (size_t row = 0; row < golden.count; row++) {
        mr_text_embedder_set_trace(worker, NULL, width ? pooled + row * width : NULL);
        float *one = embed_rows(worker, &row, 1);
        memcpy(single + row * dimension, one, dimension * sizeof *one);
        free(one);
    }
    mr_text_embedder.worker_destroy(worker);
}

static int open_model(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_sentence_config *config = NULL;
    const mr_model_options options = { .precision = precision, .threads_per_worker = 1, .max_batch_tokens = 1, .max_batch_inputs = 1 };
    must(mr_sentence_config_open(model_directory, NULL, &config, &error), &error);
    dimension = config->dimension;
    mr_sentence_config_close(config);
    must(mr_text_embedder.open(model_directory, &options, &model, &error), &error);
    embed_singly();
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    mr_text_embedder.close(model);
    free(single);
    free(pooled);
    return 0;
}

static void vectors_match_the_reference(void **state)
{
    (void)state;
    size_t rows, width;
    float *expected = golden_tensor(golden.expected, "embedding", &rows, &width);
    assert_int_equal(rows, golden.count);
    assert_int_equal(width, dimension);
    double mean = 0, least = 1, largest = 0;
    for (size_t row = 0; row < rows; row++) {
        const float *got = single + row * width, *wanted = expected + row * width;
        double cosine = golden_cosine(got, wanted, width);
        mean += cosine / (double)rows;
        least = fmin(least, cosine);
        for (size_t i = 0; i < width && golden.inputs[row].count <= REFERENCE_TOKENS; i++) largest = fmax(largest, fabs((double)got[i] - (double)wanted[i]));
        if (precision == MR_PRECISION_F32) golden_compare(golden.inputs[row].name, got, wanted, width, golden.min_cosine, golden.max_abs);
        else golden_compare(golden.inputs[row].name, got, wanted, width, precision == MR_PRECISION_BF16 ? golden.bf16_cosine : LEAST_INT8_COSINE, INFINITY);
    }
    printf("  cosine: mean %.9f, least %.9f; largest difference %.3g, of the reference in f32 %.3g\n", mean, least, largest, golden.reference_error);
    if (precision == MR_PRECISION_F32 && golden.reference_error > 0 && !(largest <= 2 * golden.reference_error))
        fail_msg("the largest difference is more than twice the reference's");
    if (precision == MR_PRECISION_INT8 && !(mean >= golden.int8_cosine)) fail_msg("mean cosine %.6f, at least %.6f is promised", mean, golden.int8_cosine);
    free(expected);
}

static void pooled_values_match_the_reference(void **state)
{
    (void)state;
    size_t rows, width;
    if (!mr_checkpoint_find(golden.expected, "pooled")) skip();
    float *expected = golden_tensor(golden.expected, "pooled", &rows, &width);
    double allowed = golden_tolerance(expected, rows * width);
    for (size_t row = 0; row < rows; row++)
        golden_compare(golden.inputs[row].name, pooled + row * width, expected + row * width, width, golden.min_cosine, allowed);
    free(expected);
}

/* "embedding.2_Dense_256" and the like: the same texts through the head for another length. */
static void compare_head(const char *name)
{
    mr_error error = { 0 };
    size_t rows, full = dimension;
    void *whole = model;
    float *expected = golden_tensor(golden.expected, name, &rows, &dimension);
    const mr_embed_options embed = { .dimension = dimension };
    mr_model_options options = options_for(1);
    options.capability_options = &embed;
    must(mr_text_embedder.open(model_directory, &options, &model, &error), &error);
    void *worker = worker_for(1);
    double allowed = golden_tolerance(expected, rows * dimension);
    for (size_t row = 0; row < rows; row += 7) {
        float *got = embed_rows(worker, &row, 1);
        golden_compare(name, got, expected + row * dimension, dimension, golden.min_cosine, allowed);
        free(got);
    }
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    free(expected);
    model = whole;
    dimension = full;
}

static void heads_match_the_reference(void **state)
{
    (void)state;
    size_t heads = 0;
    for (size_t i = 0; i < mr_checkpoint_count(golden.expected); i++) {
        const char *name = mr_checkpoint_at(golden.expected, i)->name;
        if (strncmp(name, "embedding.", 10) != 0) continue;
        compare_head(name);
        heads++;
    }
    if (heads == 0) skip();
}

static size_t layers_seen;

static void check_layer(void *context, size_t k, const float *x, size_t tokens, size_t hidden)
{
    (void)context;
    char name[32];
    size_t rows, width;
    snprintf(name, sizeof name, "hidden.%zu", k);
    float *expected = golden_tensor(golden.trace, name, &rows, &width);
    assert_int_equal(rows, tokens);
    assert_int_equal(width, hidden);
    golden_compare(name, x, expected, rows * width, golden.min_cosine, golden_tolerance(expected, rows * width));
    free(expected);
    layers_seen++;
}

static void layers_match_the_reference(void **state)
{
    (void)state;
    size_t stored = 0;
    for (size_t i = 0; i < mr_checkpoint_count(golden.trace); i++) stored += strncmp(mr_checkpoint_at(golden.trace, i)->name, "hidden.", 7) == 0;
    const mr_layer_trace trace = { .layer = check_layer };
    void *worker = worker_for(1);
    mr_text_embedder_set_trace(worker, &trace, NULL);
    layers_seen = 0;
    tracing = true;
    free(embed_rows(worker, &golden.trace_row, 1));
    tracing = false;
    assert_int_equal(layers_seen, stored);
    assert_true(stored >= 2);
    mr_text_embedder.worker_destroy(worker);
}

static void expect_same_bits(const char *what, void *worker, const size_t *rows, size_t count)
{
    float *got = embed_rows(worker, rows, count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(got + i * dimension, single + rows[i] * dimension, dimension * sizeof *got) != 0)
            fail_msg("%s: row %zu (%s) differs from its single run", what, rows[i], golden.inputs[rows[i]].name);
    free(got);
}

/* The rows of the invariance tests: at most SAMPLE, spread over the case. Long texts run in f32 only, and not in every test: few passes
 * over 8,000 tokens are enough. */
#define SAMPLE 32
#define LONG_TEXT 1024

static size_t sample[SAMPLE], sample_count;

static void choose_sample(bool with_long_texts)
{
    size_t step = golden.count / SAMPLE + 1;
    sample_count = 0;
    for (size_t row = 0; row < golden.count; row += step)
        if (with_long_texts || golden.inputs[row].count <= LONG_TEXT) sample[sample_count++] = row;
}

static void batch_mates_change_no_bit(void **state)
{
    (void)state;
    void *worker = worker_for(1);
    const json_t *batches = json_object_get(golden.document, "ragged_batches");
    for (size_t b = 0; b < json_array_size(batches); b++) {
        const json_t *batch = json_array_get(batches, b);
        size_t rows[64], count = json_array_size(batch);
        assert_true(count <= 64);
        for (size_t i = 0; i < count; i++) rows[i] = (size_t)json_integer_value(json_array_get(batch, i));
        expect_same_bits("ragged batch", worker, rows, count);
    }
    choose_sample(precision == MR_PRECISION_F32);
    expect_same_bits("many at once", worker, sample, sample_count);
    mr_text_embedder.worker_destroy(worker);
}

/* The first batch touches the worker's memory, the next ones no more of it: fewer than a page each, whatever the kernel does meanwhile. */
static void later_batches_touch_no_new_page(void **state)
{
    (void)state;
    enum { WARM = 3, COUNTED = 16 };
    void *worker = worker_for(1);
    choose_sample(false);
    for (int i = 0; i < WARM + COUNTED; i++) {
        if (i == WARM) faults = 0;
        free(embed_rows(worker, sample, sample_count));
    }
    if (faults >= COUNTED) fail_msg("%ld page faults in %d batches", faults, COUNTED);
    mr_text_embedder.worker_destroy(worker);
}

static void thread_counts_change_no_bit(void **state)
{
    (void)state;
    choose_sample(precision == MR_PRECISION_F32);
    for (size_t threads = 2; threads <= 3; threads++) {
        void *worker = worker_for(threads);
        expect_same_bits("team", worker, sample, sample_count);
        expect_same_bits("team, few inputs", worker, sample, sample_count < 3 ? sample_count : 3); /* too few sequences for the team: the heads are split instead */
        expect_same_bits("team, one input", worker, &golden.trace_row, 1);
        mr_text_embedder.worker_destroy(worker);
    }
}

/* A pool's life: workers in threads of their own, at once, on the same model. cmocka's checks belong to the main thread. */
typedef struct concurrent_worker {
    pthread_t thread;
    void *worker;
    float *vectors;
    mr_status status;
} concurrent_worker;

static void *run_concurrently(void *opaque)
{
    concurrent_worker *self = opaque;
    for (size_t i = 0; self->status == MR_OK && i < sample_count; i++) {
        const golden_input *from = &golden.inputs[sample[i]];
        const mr_text_embedding_input input = { .ids = from->ids, .count = from->count, .prompt_tokens = from->prompt_length };
        const mr_text_embedding_request request = { .inputs = &input, .count = 1 };
        mr_status status = MR_OK;
        mr_text_embedding_response response = { .vectors = self->vectors + i * dimension, .dimension = dimension, .statuses = &status };
        self->status = mr_text_embedder.run_batch(self->worker, &request, &response, NULL);
    }
    return NULL;
}

static void workers_at_once_change_no_bit(void **state)
{
    (void)state;
    concurrent_worker workers[3];
    choose_sample(false);
    for (size_t i = 0; i < 3; i++) {
        workers[i] = (concurrent_worker){ .worker = worker_for(1 + i % 2), .vectors = calloc(SAMPLE * dimension, sizeof(float)) };
        assert_non_null(workers[i].vectors);
    }
    for (size_t i = 0; i < 3; i++) assert_int_equal(pthread_create(&workers[i].thread, NULL, run_concurrently, &workers[i]), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].status, MR_OK);
        for (size_t s = 0; s < sample_count; s++)
            assert_memory_equal(workers[i].vectors + s * dimension, single + sample[s] * dimension, dimension * sizeof(float));
        free(workers[i].vectors);
        mr_text_embedder.worker_destroy(workers[i].worker);
    }
}

/* What the estimate from the headers says is what model and worker take. */
static void memory_is_as_estimated(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_memory_estimate estimate;
    const mr_model_options options = options_for(2);
    must(mr_text_embedder.estimate(model_directory, &options, &estimate, &error), &error);
    assert_int_equal(estimate.shared_bytes, mr_text_embedder.model_bytes(model));
    void *worker = worker_for(2);
    assert_int_equal(estimate.worker_bytes, mr_text_embedder.worker_bytes(worker));
    mr_text_embedder.worker_destroy(worker);
}

/* The whole way: text -> ids -> vector. */
static void texts_give_the_same_ids(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = { 0 };
    must(mr_tokenizer_scratch_create(&scratch, &error), &error);
    mr_text_preparer *preparer = NULL;
    const char *last_prompt = NULL;
    for (size_t row = 0; row < golden.count; row++) {
        const golden_input *input = &golden.inputs[row];
        bool same_prompt = preparer && (last_prompt == input->prompt || (last_prompt && input->prompt && strcmp(last_prompt, input->prompt) == 0));
        if (!same_prompt) {
            const mr_embed_options options = { .prompt_text = input->prompt };
            mr_text_preparer_destroy(preparer);
            preparer = NULL;
            must(mr_text_preparer_create(model_directory, &options, NULL, &preparer, &error), &error);
            last_prompt = input->prompt;
        }
        size_t prompt_tokens = 0;
        bool truncated = false;
        must(mr_text_preparer_run(preparer, scratch, (mr_str){ input->text, input->text_length }, &encoding, &prompt_tokens, &truncated, &error), &error);
        if (encoding.count != input->count || memcmp(encoding.ids, input->ids, input->count * sizeof *encoding.ids) != 0)
            fail_msg("%s: other ids than the reference (%zu, expected %zu)", input->name, encoding.count, input->count);
        if (input->truncated >= 0) assert_int_equal(truncated, input->truncated);
        assert_int_equal(prompt_tokens, input->prompt_length);
    }
    mr_text_preparer_destroy(preparer);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
}

static char *find_real_minilm(void)
{
    const char *given = getenv("MILLRACE_TEST_MINILM"), *home = getenv("MILLRACE_HOME"), *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    if (given) return mr_strdup(given);
    if (home) return mr_strf("%s/models/sentence-transformers/all-MiniLM-L6-v2", home);
    if (data) return mr_strf("%s/millrace/models/sentence-transformers/all-MiniLM-L6-v2", data);
    return mr_strf("%s/.local/share/millrace/models/sentence-transformers/all-MiniLM-L6-v2", user ? user : "");
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    char *expect = mr_path_join(argv[1], "expect"), *minilm = NULL;
    model_directory = argv[1];
    if (argc > 2 && strcmp(argv[2], "minilm") == 0) {
        model_directory = minilm = find_real_minilm();
        if (!mr_path_is_directory(minilm)) {
            printf("skipped: all-MiniLM-L6-v2 is not at %s; get it with `millrace fetch sentence-transformers/all-MiniLM-L6-v2` "
                   "or name its folder in MILLRACE_TEST_MINILM\n", minilm);
            free(minilm);
            free(expect);
            return SKIPPED;
        }
    }
    golden_case_load(mr_path_is_directory(expect) ? expect : argv[1], &golden);
    const struct CMUnitTest model_tests[] = {
        cmocka_unit_test(layers_match_the_reference), cmocka_unit_test(pooled_values_match_the_reference),
        cmocka_unit_test(vectors_match_the_reference), cmocka_unit_test(heads_match_the_reference),
        cmocka_unit_test(batch_mates_change_no_bit),
        cmocka_unit_test(thread_counts_change_no_bit), cmocka_unit_test(workers_at_once_change_no_bit),
        cmocka_unit_test(memory_is_as_estimated), cmocka_unit_test(later_batches_touch_no_new_page),
    };
    const struct CMUnitTest precision_tests[] = {
        cmocka_unit_test(vectors_match_the_reference), cmocka_unit_test(batch_mates_change_no_bit), cmocka_unit_test(thread_counts_change_no_bit),
        cmocka_unit_test(memory_is_as_estimated), cmocka_unit_test(later_batches_touch_no_new_page),
    };
    const struct CMUnitTest text_tests[] = { cmocka_unit_test(texts_give_the_same_ids) };
    int failed = cmocka_run_group_tests(model_tests, open_model, close_model);
    static const mr_precision lower[] = { MR_PRECISION_BF16, MR_PRECISION_INT8 };
    for (size_t i = 0; i < 2; i++) {
        precision = lower[i];
        printf("precision %s\n", mr_precision_text(precision));
        failed += cmocka_run_group_tests(precision_tests, open_model, close_model);
    }
    failed += cmocka_run_group_tests(text_tests, NULL, NULL);
    golden_case_free(&golden);
    free(expect);
    free(minilm);
    return failed;
}
