/* A text embedder on hand-made models: how files are named, what is refused, what one bad input costs, the caller's settings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "embed/text_embedder.h"
#include "safetensors_writer.h"
#include "tiny_bert.h"

#define MAX_INPUTS 4

static char folder[512];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", fresh_folder("embedder"));
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static mr_model_options options_with(const mr_embed_options *embed)
{
    return (mr_model_options){ .precision = MR_PRECISION_AUTO, .threads_per_worker = 1, .max_batch_tokens = 64, .max_batch_inputs = MAX_INPUTS,
                               .capability_options = embed };
}

static const int32_t ids_a[] = { 1, 7, 9, 2 }, ids_b[] = { 1, 30, 2 };

/* Runs inputs through the model in `folder`; vectors [count, dimension]. */
static mr_status embed(const mr_embed_options *embed_options, const mr_text_embedding_input *inputs, size_t count, size_t dimension, float *vectors,
                       mr_status *statuses, mr_error *error)
{
    void *model = NULL, *worker = NULL;
    const mr_model_options options = options_with(embed_options);
    const mr_text_embedding_request request = { .inputs = inputs, .count = count };
    mr_text_embedding_response response = { .vectors = vectors, .dimension = dimension, .statuses = statuses };
    mr_status status = mr_text_embedder.open(folder, &options, &model, error);
    if (status == MR_OK) status = mr_text_embedder.worker_create(model, &options, &worker, error);
    if (status == MR_OK) status = mr_text_embedder.run_batch(worker, &request, &response, error);
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    return status;
}

static void embed_a(const mr_embed_options *embed_options, size_t dimension, float *vector)
{
    const mr_text_embedding_input input = { .ids = ids_a, .count = 4 };
    mr_status status;
    mr_error error = { 0 };
    if (embed(embed_options, &input, 1, dimension, vector, &status, &error) != MR_OK) fail_msg("%s", error.text);
    assert_int_equal(status, MR_OK);
}

static void expect_refused(mr_status status, const char *message)
{
    void *model = NULL;
    mr_error error = { 0 };
    mr_memory_estimate estimate;
    const mr_model_options options = options_with(NULL);
    mr_status got = mr_text_embedder.open(folder, &options, &model, &error);
    if (got != status || !strstr(error.text, message)) fail_msg("%s: \"%s\", wanted \"%s\"", mr_status_name(got), error.text, message);
    assert_null(model);
    /* The plan finds the same without reading weights. */
    assert_int_equal(mr_text_embedder.estimate(folder, &options, &estimate, &error), status);
}

static void file_variants_are_the_same_model(void **state)
{
    (void)state;
    static const tiny_bert variants[] = { { 0 }, { .prefix = "bert." }, { .old_norm_names = true }, { .with_extras = true } };
    float first[TINY_HIDDEN], other[TINY_HIDDEN];
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        make_folder(state);
        write_tiny_bert(folder, &variants[i]);
        embed_a(NULL, TINY_HIDDEN, i == 0 ? first : other);
        if (i > 0) assert_memory_equal(first, other, sizeof first);
    }
}

static void refuses_wrong_tensors(void **state)
{
    (void)state;
    static const struct { tiny_bert how; const char *message; } cases[] = {
        { { .skip = "encoder.layer.1.output.dense.bias" }, "missing tensor \"encoder.layer.1.output.dense.bias\" [24]" },
        { { .skip = "embeddings.LayerNorm.weight" }, "missing tensor \"embeddings.LayerNorm.weight\"" },
        { { .skip = "embeddings.word_embeddings.weight" }, "missing tensor \"embeddings.word_embeddings.weight\"" },
        { { .reshape = "embeddings.word_embeddings.weight" }, "has shape [41, 24], expected [40, 24]" },
        { { .reshape = "encoder.layer.0.attention.self.key.weight" }, "has shape [25, 24], expected [24, 24]" },
        { { .reshape = "encoder.layer.0.intermediate.dense.bias", .prefix = "bert." }, "\"bert.encoder.layer.0.intermediate.dense.bias\" has shape [41]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_folder(state);
        write_tiny_bert(folder, &cases[i].how);
        expect_refused(MR_MODEL_CORRUPT, cases[i].message);
    }
}

static void refuses_configs_it_does_not_implement(void **state)
{
    (void)state;
    static const struct { const char *config; mr_status status; const char *message; } cases[] = {
        { "\"hidden_size\":0", MR_MODEL_UNSUPPORTED, "\"hidden_size\" is 0" },
        { "\"hidden_size\":99999999999", MR_MODEL_UNSUPPORTED, "\"hidden_size\"" },
        { "\"hidden_size\":-3", MR_MODEL_CORRUPT, "\"hidden_size\"" },
        { "\"hidden_size\":\"24\"", MR_MODEL_CORRUPT, "\"hidden_size\"" },
        { "\"num_hidden_layers\":1000000", MR_MODEL_UNSUPPORTED, "\"num_hidden_layers\"" },
        { "\"hidden_size\":25,\"num_attention_heads\":3", MR_MODEL_UNSUPPORTED, "not a multiple" },
        { "\"hidden_act\":\"mish\"", MR_MODEL_UNSUPPORTED, "\"hidden_act\" is \"mish\"" },
        { "\"layer_norm_eps\":-1", MR_MODEL_UNSUPPORTED, "\"layer_norm_eps\"" },
        { "\"position_embedding_type\":\"relative_key\"", MR_MODEL_UNSUPPORTED, "\"position_embedding_type\" is \"relative_key\"" },
        { "\"is_decoder\":true", MR_MODEL_UNSUPPORTED, "\"is_decoder\"" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_folder(state);
        write_tiny_bert(folder, &(tiny_bert){ .config = cases[i].config });
        expect_refused(cases[i].status, cases[i].message);
    }
    write_text(in_folder("config.json"), "{\"model_type\":\"gpt2\"}");
    expect_refused(MR_MODEL_UNSUPPORTED, "\"gpt2\" is no encoder known here (known: bert");
    write_text(in_folder("config.json"), "[1]");
    expect_refused(MR_MODEL_CORRUPT, "not a JSON object");
    make_folder(state);
    expect_refused(MR_MODEL_FILES_MISSING, "config.json");
    write_text(in_folder("config.json"), "{\"model_type\":\"bert\"}");
    expect_refused(MR_MODEL_FILES_MISSING, "model.safetensors");
}

static void a_bad_input_costs_only_itself(void **state)
{
    (void)state;
    write_tiny_bert(folder, &(tiny_bert){ .nan_word = 30 });
    const mr_text_embedding_input inputs[] = { { .ids = ids_a, .count = 4 }, { .ids = ids_b, .count = 3 }, { .ids = ids_a, .count = 4 } };
    float vectors[3 * TINY_HIDDEN], alone[TINY_HIDDEN];
    mr_status statuses[3];
    mr_error error = { 0 };
    assert_int_equal(embed(NULL, inputs, 3, TINY_HIDDEN, vectors, statuses, &error), MR_OK);
    assert_int_equal(statuses[0], MR_OK);
    assert_int_equal(statuses[1], MR_NON_FINITE);
    assert_int_equal(statuses[2], MR_OK);
    for (size_t i = 0; i < TINY_HIDDEN; i++) assert_true(isnan(vectors[TINY_HIDDEN + i]));
    embed_a(NULL, TINY_HIDDEN, alone);
    assert_memory_equal(alone, vectors, sizeof alone);
    assert_memory_equal(alone, vectors + 2 * TINY_HIDDEN, sizeof alone);
}

static void refuses_impossible_requests(void **state)
{
    (void)state;
    write_tiny_bert(folder, &(tiny_bert){ 0 });
    static const int32_t high[] = { 1, TINY_VOCAB }, negative[] = { -1 }, many[80] = { 0 };
    const struct { mr_text_embedding_input inputs[MAX_INPUTS + 1]; size_t count, dimension; const char *message; } cases[] = {
        { { { .ids = high, .count = 2 } }, 1, TINY_HIDDEN, "token id 40 is outside the model's vocabulary of 40" },
        { { { .ids = negative, .count = 1 } }, 1, TINY_HIDDEN, "token id -1" },
        { { { .ids = ids_a, .count = 4 }, { .ids = ids_a, .count = 0 } }, 2, TINY_HIDDEN, "input 1 has no tokens" },
        { { { .ids = many, .count = TINY_POSITIONS + 1 } }, 1, TINY_HIDDEN, "33 tokens, the model takes at most 32" },
        { { { .ids = many, .count = 80 } }, 1, TINY_HIDDEN, "more than 64 tokens" },
        { { { .ids = ids_a, .count = 1 }, { .ids = ids_a, .count = 1 }, { .ids = ids_a, .count = 1 }, { .ids = ids_a, .count = 1 },
            { .ids = ids_a, .count = 1 } }, 5, TINY_HIDDEN, "at most 4" },
        { { { .ids = ids_a, .count = 4 } }, 1, TINY_HIDDEN - 1, "room for vectors of 23" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float vectors[(MAX_INPUTS + 1) * TINY_HIDDEN];
        mr_status statuses[MAX_INPUTS + 1];
        mr_error error = { 0 };
        mr_status status = embed(NULL, cases[i].inputs, cases[i].count, cases[i].dimension, vectors, statuses, &error);
        if (status != MR_INVALID_ARGUMENT || !strstr(error.text, cases[i].message)) fail_msg("case %zu: %s", i, error.text);
    }
    mr_error error = { 0 };
    assert_int_equal(embed(NULL, NULL, 0, TINY_HIDDEN, NULL, NULL, &error), MR_OK);
}

static double length_of(const float *vector, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)vector[i] * (double)vector[i];
    return sqrt(sum);
}

static void the_caller_chooses_pooling_length_and_normalisation(void **state)
{
    (void)state;
    write_tiny_bert(folder, &(tiny_bert){ 0 });
    float mean[TINY_HIDDEN], other[TINY_HIDDEN], cut[10];
    embed_a(NULL, TINY_HIDDEN, mean); /* no modules.json: the mean, not normalised */
    assert_true(fabs(length_of(mean, TINY_HIDDEN) - 1) > 0.01);
    embed_a(&(mr_embed_options){ .override_pooling = true, .pooling = MR_POOLING_MEAN }, TINY_HIDDEN, other);
    assert_memory_equal(mean, other, sizeof mean);
    embed_a(&(mr_embed_options){ .override_pooling = true, .pooling = MR_POOLING_CLS }, TINY_HIDDEN, other);
    assert_memory_not_equal(mean, other, sizeof mean);
    embed_a(&(mr_embed_options){ .normalize = MR_CHOICE_YES }, TINY_HIDDEN, other);
    assert_true(fabs(length_of(other, TINY_HIDDEN) - 1) < 1e-6);
    embed_a(&(mr_embed_options){ .dimension = 10 }, 10, cut);
    assert_memory_equal(mean, cut, sizeof cut);
    embed_a(&(mr_embed_options){ .dimension = 10, .normalize = MR_CHOICE_YES }, 10, cut);
    assert_true(fabs(length_of(cut, 10) - 1) < 1e-6);

    write_text(in_folder("modules.json"), "[{\"idx\":0,\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},"
                                          "{\"idx\":1,\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"},"
                                          "{\"idx\":2,\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}]");
    assert_int_equal(mr_path_make_directories(in_folder("1_Pooling"), NULL), MR_OK);
    write_text(in_folder("1_Pooling/config.json"), "{\"pooling_mode_mean_tokens\":true}");
    embed_a(NULL, TINY_HIDDEN, other);
    assert_true(fabs(length_of(other, TINY_HIDDEN) - 1) < 1e-6);
    embed_a(&(mr_embed_options){ .normalize = MR_CHOICE_NO }, TINY_HIDDEN, other);
    assert_memory_equal(mean, other, sizeof mean);
    embed_a(&(mr_embed_options){ .dimension = 10 }, 10, cut); /* was unit length: stays so */
    assert_true(fabs(length_of(cut, 10) - 1) < 1e-6);
    embed_a(&(mr_embed_options){ .dimension = 10, .normalize = MR_CHOICE_NO }, 10, cut);
    assert_memory_equal(mean, cut, sizeof cut);
}

/* 2_Dense_8 and 2_Dense_16 side by side: the length asked for picks the head. */
static void the_length_picks_its_own_head(void **state)
{
    (void)state;
    static float weights[16 * TINY_HIDDEN], bias[16];
    for (size_t i = 0; i < 16 * TINY_HIDDEN; i++) weights[i] = (float)(i % 7) - 3;
    write_tiny_bert(folder, &(tiny_bert){ 0 });
    write_text(in_folder("modules.json"), "[{\"path\":\"\",\"type\":\"Transformer\"},{\"path\":\"1_Pooling\",\"type\":\"Pooling\"},"
                                          "{\"path\":\"2_Dense_16\",\"type\":\"sentence_transformers.models.Dense\"}]");
    static const char *const names[] = { "1_Pooling", "2_Dense_8", "2_Dense_16" };
    for (size_t i = 0; i < 3; i++) assert_int_equal(mr_path_make_directories(in_folder(names[i]), NULL), MR_OK);
    write_text(in_folder("1_Pooling/config.json"), "{}");
    for (size_t out = 8; out <= 16; out += 8) {
        char name[64], config[256];
        const written_tensor tensors[] = { { "linear.weight", MR_DTYPE_F32, 2, { out, TINY_HIDDEN }, weights + (16 - out) },
                                           { "linear.bias", MR_DTYPE_F32, 1, { out }, bias } };
        snprintf(name, sizeof name, "2_Dense_%zu/model.safetensors", out);
        write_safetensors(in_folder(name), tensors, 2);
        snprintf(name, sizeof name, "2_Dense_%zu/config.json", out);
        snprintf(config, sizeof config, "{\"in_features\":24,\"out_features\":%zu,\"activation_function\":\"torch.nn.modules.linear.Identity\"}", out);
        write_text(in_folder(name), config);
    }
    float wide[16], head[8], cut[4];
    embed_a(NULL, 16, wide);
    embed_a(&(mr_embed_options){ .dimension = 16 }, 16, wide);
    embed_a(&(mr_embed_options){ .dimension = 8 }, 8, head);
    assert_memory_not_equal(wide, head, sizeof head);
    embed_a(&(mr_embed_options){ .dimension = 4 }, 4, cut); /* no such head: the first values of the default one */
    assert_memory_equal(wide, cut, sizeof cut);
    const mr_model_options options = options_with(&(mr_embed_options){ .dimension = 17 });
    void *model;
    mr_error error = { 0 };
    assert_int_equal(mr_text_embedder.open(folder, &options, &model, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "16 values cannot be cut to 17"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(file_variants_are_the_same_model, make_folder),
        cmocka_unit_test_setup(refuses_wrong_tensors, make_folder),
        cmocka_unit_test_setup(refuses_configs_it_does_not_implement, make_folder),
        cmocka_unit_test_setup(a_bad_input_costs_only_itself, make_folder),
        cmocka_unit_test_setup(refuses_impossible_requests, make_folder),
        cmocka_unit_test_setup(the_caller_chooses_pooling_length_and_normalisation, make_folder),
        cmocka_unit_test_setup(the_length_picks_its_own_head, make_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
