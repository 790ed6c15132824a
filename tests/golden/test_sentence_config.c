/* The sentence-transformers files: defaults, historical names, limits, prompts, and everything that is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "embed/sentence_config.h"
#include "safetensors_writer.h"

static char folder[512];

static const char *in_folder(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    char directory[256];
    snprintf(directory, sizeof directory, "%s", name);
    char *slash = strrchr(directory, '/');
    if (slash) {
        *slash = '\0';
        assert_int_equal(mr_path_make_directories(in_folder(directory), NULL), MR_OK);
    }
    write_text(in_folder(name), text);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", fresh_folder("sentence"));
    put("config.json", "{\"model_type\":\"bert\",\"hidden_size\":24,\"num_attention_heads\":3,\"max_position_embeddings\":128}");
    return 0;
}

#define TRANSFORMER "{\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"}"
#define POOLING "{\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"}"
#define DENSE "{\"path\":\"2_Dense\",\"type\":\"sentence_transformers.models.Dense\"}"
#define NORMALIZE "{\"path\":\"3_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}"

static mr_sentence_config *open_with(const mr_embed_options *options)
{
    mr_sentence_config *config = NULL;
    mr_error error = { 0 };
    if (mr_sentence_config_open(folder, options, &config, &error) != MR_OK) fail_msg("%s", error.text);
    return config;
}

static void expect_refused(const mr_embed_options *options, mr_status status, const char *message)
{
    mr_sentence_config *config = NULL;
    mr_error error = { 0 };
    mr_status got = mr_sentence_config_open(folder, options, &config, &error);
    if (got != status || !strstr(error.text, message)) fail_msg("%s: \"%s\", wanted \"%s\"", mr_status_name(got), error.text, message);
    assert_null(config);
}

static void expect_max_tokens(size_t expected)
{
    mr_sentence_config *config = open_with(NULL);
    assert_int_equal(config->max_tokens, expected);
    mr_sentence_config_close(config);
}

static void a_bare_transformer_gets_the_mean(void **state)
{
    (void)state;
    mr_sentence_config *config = open_with(NULL);
    assert_int_equal(config->pooling_count, 1);
    assert_int_equal(config->poolings[0], MR_POOLING_MEAN);
    assert_int_equal(config->module_count, 0);
    assert_int_equal(config->dimension, 24);
    assert_int_equal(config->max_tokens, 128);
    assert_true(config->include_prompt);
    assert_false(config->normalize_at_end);
    assert_null(config->default_prompt);
    assert_int_equal(config->similarity, MR_SIMILARITY_COSINE);
    mr_sentence_config_close(config);
}

static void the_limit_comes_from_the_right_file(void **state)
{
    (void)state;
    put("tokenizer_config.json", "{\"model_max_length\":100}");
    expect_max_tokens(100);
    put("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
    expect_max_tokens(128);
    put("tokenizer_config.json", "{\"model_max_length\":2147483648}");
    expect_max_tokens(128);
    put("sentence_roberta_config.json", "{\"max_seq_length\":90}");
    expect_max_tokens(90);
    put("sentence_bert_config.json", "{\"max_seq_length\":null}");
    expect_max_tokens(128);
    put("sentence_bert_config.json", "{\"max_seq_length\":512}"); /* more than the weights have positions for */
    expect_max_tokens(128);
    put("sentence_bert_config.json", "{\"max_seq_length\":64}");
    expect_max_tokens(64);
    mr_sentence_config *config = open_with(&(mr_embed_options){ .max_tokens = 32 });
    assert_int_equal(config->max_tokens, 32);
    mr_sentence_config_close(config);
    expect_refused(&(mr_embed_options){ .max_tokens = 65 }, MR_CONFIG, "65 tokens are more than the model's 64");
}

static void lower_casing_must_be_the_tokenizers_own(void **state)
{
    (void)state;
    put("sentence_bert_config.json", "{\"max_seq_length\":64,\"do_lower_case\":true}");
    put("tokenizer.json", "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true}}");
    expect_max_tokens(64);
    put("tokenizer.json", "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"Lowercase\"}]}}");
    expect_max_tokens(64);
    put("tokenizer.json", "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":false}}");
    expect_refused(NULL, MR_MODEL_UNSUPPORTED, "do_lower_case");
    put("tokenizer.json", "{\"normalizer\":null}");
    expect_refused(NULL, MR_MODEL_UNSUPPORTED, "do_lower_case");
}

static void pooling_modes_are_read_in_both_forms(void **state)
{
    (void)state;
    put("modules.json", "[" TRANSFORMER "," POOLING "]");
    static const struct { const char *text; size_t count; mr_pooling modes[3]; bool include_prompt; } cases[] = {
        { "{}", 1, { MR_POOLING_MEAN }, true },
        { "{\"word_embedding_dimension\":512,\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", 1, { MR_POOLING_CLS }, true },
        { "{\"pooling_mode_lasttoken\":true,\"pooling_mode_max_tokens\":true,\"include_prompt\":false}", 2, { MR_POOLING_MAX, MR_POOLING_LAST }, false },
        { "{\"pooling_mode\":\"lasttoken\",\"pooling_mode_mean_tokens\":true}", 1, { MR_POOLING_LAST }, true },
        { "{\"pooling_mode\":[\"mean\",\"cls\",\"weightedmean\"]}", 3, { MR_POOLING_MEAN, MR_POOLING_CLS, MR_POOLING_WEIGHTED_MEAN }, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("1_Pooling/config.json", cases[i].text);
        mr_sentence_config *config = open_with(NULL);
        assert_int_equal(config->pooling_count, cases[i].count);
        for (size_t m = 0; m < cases[i].count; m++) assert_int_equal(config->poolings[m], cases[i].modes[m]);
        assert_int_equal(config->dimension, 24 * cases[i].count);
        assert_int_equal(config->include_prompt, cases[i].include_prompt);
        mr_sentence_config_close(config);
    }
    put("1_Pooling/config.json", "{\"pooling_mode\":\"median\"}");
    expect_refused(NULL, MR_MODEL_UNSUPPORTED, "\"median\"");
    put("1_Pooling/config.json", "{\"pooling_mode\":[]}");
    expect_refused(NULL, MR_MODEL_UNSUPPORTED, "0 entries");
    put("1_Pooling/config.json", "{\"pooling_mode_cls_token\":1}");
    expect_refused(NULL, MR_MODEL_CORRUPT, "\"pooling_mode_cls_token\" must be true or false");
}

static void expect_prompt(const mr_sentence_config *config, mr_embed_options options, const char *expected)
{
    mr_str prompt;
    mr_error error = { 0 };
    assert_int_equal(mr_sentence_config_prompt(config, &options, &prompt, &error), MR_OK);
    assert_true(mr_str_equal(prompt, mr_str_of(expected)));
}

static void prompts_resolve_in_order(void **state)
{
    (void)state;
    put("config_sentence_transformers.json",
        "{\"prompts\":{\"query\":\"q: \",\"document\":\"d: \",\"none\":\"\"},\"default_prompt_name\":\"document\",\"similarity_fn_name\":\"dot\"}");
    mr_sentence_config *config = open_with(NULL);
    mr_str prompt;
    mr_error error = { 0 };
    assert_int_equal(config->similarity, MR_SIMILARITY_DOT);
    assert_int_equal(mr_sentence_config_prompt(config, NULL, &prompt, &error), MR_OK);
    assert_true(mr_str_equal(prompt, MR_STR("d: ")));
    expect_prompt(config, (mr_embed_options){ 0 }, "d: ");
    expect_prompt(config, (mr_embed_options){ .prompt_name = "none" }, "");
    expect_prompt(config, (mr_embed_options){ .prompt_name = "query", .prompt_text = "mine " }, "mine ");
    expect_prompt(config, (mr_embed_options){ .prompt_text = "" }, "");
    expect_prompt(config, (mr_embed_options){ .is_query = true }, "q: ");
    expect_prompt(config, (mr_embed_options){ .is_query = true, .prompt_name = "document" }, "d: ");
    expect_prompt(config, (mr_embed_options){ .is_query = true, .prompt_text = "mine " }, "mine ");
    const mr_embed_options unknown = { .prompt_name = "passage" };
    assert_int_equal(mr_sentence_config_prompt(config, &unknown, &prompt, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "no prompt \"passage\" (it has: query, document, none)"));
    mr_sentence_config_close(config);
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"q: \"},\"default_prompt_name\":\"other\"}");
    expect_refused(NULL, MR_MODEL_CORRUPT, "\"other\" is not among its prompts");
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":3}}");
    expect_refused(NULL, MR_MODEL_CORRUPT, "prompt \"query\" must be a string");
    put("config_sentence_transformers.json", "{\"similarity_fn_name\":\"hamming\"}");
    expect_refused(NULL, MR_MODEL_UNSUPPORTED, "\"hamming\"");
}

static void chains_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    put("1_Pooling/config.json", "{}");
    put("2_Dense/config.json", "{\"in_features\":24,\"out_features\":7}");
    put("modules.json", "[" TRANSFORMER "," POOLING "," DENSE "," NORMALIZE "]");
    mr_sentence_config *config = open_with(NULL);
    assert_int_equal(config->dimension, 7);
    assert_int_equal(config->modules[0].activation, MR_ACTIVATION_TANH);
    assert_true(config->modules[0].has_bias);
    mr_sentence_config_close(config);
    expect_refused(&(mr_embed_options){ .dimension = 8 }, MR_CONFIG, "7 values cannot be cut to 8");
    static const struct { const char *file, *text; mr_status status; const char *message; } cases[] = {
        { "2_Dense/config.json", "{\"in_features\":25,\"out_features\":7}", MR_MODEL_CORRUPT, "takes 25 values, the steps before give 24" },
        { "2_Dense/config.json", "{\"in_features\":24}", MR_MODEL_CORRUPT, "\"out_features\"" },
        { "2_Dense/config.json", "{\"in_features\":24,\"out_features\":7,\"use_residual\":1}", MR_MODEL_CORRUPT, "use_residual" },
        { "2_Dense/config.json", "{\"in_features\":24,\"out_features\":7,\"module_input_name\":\"token_embeddings\"}", MR_MODEL_UNSUPPORTED, "module_input_name" },
        { "2_Dense/config.json", "{\"in_features\":24,\"out_features\":7,\"activation_function\":\"torch.nn.Softplus\"}", MR_MODEL_UNSUPPORTED, "Softplus" },
        { "modules.json", "[" POOLING "]", MR_MODEL_UNSUPPORTED, "Pooling\" is not supported at this place" },
        { "modules.json", "[{\"path\":\"\",\"type\":\"sentence_transformers.models.StaticEmbedding\"}]", MR_MODEL_UNSUPPORTED, "StaticEmbedding\" is not supported" },
        { "modules.json", "[" TRANSFORMER "]", MR_MODEL_UNSUPPORTED, "without a Transformer and a Pooling" },
        { "modules.json", "[]", MR_MODEL_UNSUPPORTED, "without a Transformer and a Pooling" },
        { "modules.json", "[" TRANSFORMER "," NORMALIZE "]", MR_MODEL_UNSUPPORTED, "Normalize\" is not supported at this place" },
        { "modules.json", "[" TRANSFORMER "," POOLING "," POOLING "]", MR_MODEL_UNSUPPORTED, "Pooling\" is not supported at this place" },
        { "modules.json", "[" TRANSFORMER "," POOLING ",{\"path\":\"2_CNN\",\"type\":\"sentence_transformers.models.CNN\"}]", MR_MODEL_UNSUPPORTED, "CNN" },
        { "modules.json", "[{\"path\":\"../other\",\"type\":\"Transformer\"}]", MR_MODEL_CORRUPT, "leaves the model directory" },
        { "modules.json", "[{\"path\":\"a/../..\",\"type\":\"Transformer\"}]", MR_MODEL_CORRUPT, "leaves the model directory" },
        { "modules.json", "[{\"path\":\"/etc\",\"type\":\"Transformer\"}]", MR_MODEL_CORRUPT, "leaves the model directory" },
        { "modules.json", "[{\"path\":\"\"}]", MR_MODEL_CORRUPT, "lacks" },
        { "modules.json", "[3]", MR_MODEL_CORRUPT, "not an object" },
        { "modules.json", "{}", MR_MODEL_CORRUPT, "not a JSON array" },
        { "modules.json", "[", MR_MODEL_CORRUPT, "not valid JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].file, cases[i].text);
        expect_refused(NULL, cases[i].status, cases[i].message);
    }
    put("modules.json", "[{\"path\":\"0_Transformer\",\"type\":\"Transformer\"},{\"path\":\"9_Pooling\",\"type\":\"Pooling\"}]");
    expect_refused(NULL, MR_MODEL_FILES_MISSING, "9_Pooling/config.json does not exist");
    put("modules.json", "[{\"path\":\"0_Transformer\",\"type\":\"Transformer\"}," POOLING "]");
    expect_refused(NULL, MR_MODEL_FILES_MISSING, "0_Transformer/config.json does not exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_bare_transformer_gets_the_mean, make_folder),
        cmocka_unit_test_setup(the_limit_comes_from_the_right_file, make_folder),
        cmocka_unit_test_setup(lower_casing_must_be_the_tokenizers_own, make_folder),
        cmocka_unit_test_setup(pooling_modes_are_read_in_both_forms, make_folder),
        cmocka_unit_test_setup(prompts_resolve_in_order, make_folder),
        cmocka_unit_test_setup(chains_that_make_no_sense_are_refused, make_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
