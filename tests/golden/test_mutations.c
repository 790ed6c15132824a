/* Do the goldens notice? One thing at a time is made wrong: in a copy of a case's files (a config value, a tensor zeroed), in the
 * arithmetic (deviation.h), in what follows the encoder. The vectors must leave the tolerance, or the ids differ: a golden that accepts
 * one of these would accept the same mistake in the code. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "changed_model.h"
#include "core/file.h"
#include "core/json.h"
#include "deviation.h"
#include "embed/prepare_text.h"
#include "embed/text_embedder.h"
#include "golden_case.h"
#include "safetensors_writer.h"
#include "weights/safetensors.h"

#define LONGEST 128 /* tokens: short texts are enough to see a mistake */

/* Either `file` gets `key` (a path with dots) set to the JSON `value`, or the tensor `zero` of model.safetensors becomes 0. */
typedef struct mutation {
    const char *golden;
    const char *file, *key, *value;
    const char *zero;
    bool ids; /* it is the ids that must differ, not the vectors */
} mutation;

#define CONFIG "config.json"
#define TOKENIZER "tokenizer_config.json"
#define POOLING "1_Pooling/config.json"

static const mutation mutations[] = {
    { .golden = "minilm", .file = CONFIG, .key = "hidden_act", .value = "\"gelu_new\"" },
    { .golden = "minilm", .file = CONFIG, .key = "hidden_act", .value = "\"relu\"" },
    { .golden = "minilm", .file = CONFIG, .key = "layer_norm_eps", .value = "1e-5" },
    { .golden = "minilm", .file = CONFIG, .key = "num_attention_heads", .value = "2" },
    { .golden = "minilm", .file = CONFIG, .key = "num_hidden_layers", .value = "2" },
    { .golden = "minilm", .zero = "embeddings.token_type_embeddings.weight" },
    { .golden = "minilm", .zero = "embeddings.position_embeddings.weight" },
    { .golden = "minilm", .zero = "embeddings.LayerNorm.bias" },
    { .golden = "minilm", .zero = "encoder.layer.0.attention.self.query.bias" },
    { .golden = "minilm", .zero = "encoder.layer.1.attention.self.value.bias" },
    { .golden = "minilm", .zero = "encoder.layer.0.attention.output.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.intermediate.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.output.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.output.LayerNorm.bias" },
    { .golden = "dense", .file = "2_Dense/config.json", .key = "use_residual", .value = "false" },
    { .golden = "dense", .file = "2_Dense/config.json", .key = "activation_function", .value = "\"torch.nn.GELU\"" },
    { .golden = "dense", .file = "3_Dense/config.json", .key = "use_residual", .value = "false" },
    { .golden = "dense", .file = "4_Dense/config.json", .key = "activation_function", .value = "\"torch.nn.ReLU\"" },
    { .golden = "dense", .file = "5_Dense/config.json", .key = "bias", .value = "false" },
    { .golden = "modules", .file = "2_Dense/config.json", .key = "activation_function", .value = "\"torch.nn.Identity\"" },
    { .golden = "modules", .file = POOLING, .key = "pooling_mode", .value = "[\"cls\",\"max\",\"mean\",\"mean_sqrt_len_tokens\",\"lasttoken\",\"weightedmean\"]" },
    { .golden = "jina", .file = CONFIG, .key = "feed_forward_type", .value = "\"reglu\"" },
    { .golden = "jina", .file = CONFIG, .key = "num_attention_heads", .value = "3" },
    { .golden = "jina-qk", .file = CONFIG, .key = "feed_forward_type", .value = "\"reglu\"" },
    { .golden = "stella400m", .file = CONFIG, .key = "rope_scaling", .value = "null" },
    { .golden = "stella400m", .file = CONFIG, .key = "rope_theta", .value = "10000" },
    { .golden = "stella400m", .file = CONFIG, .key = "hidden_act", .value = "\"gelu_new\"" },
    { .golden = "gte-options", .file = CONFIG, .key = "logn_attention_scale", .value = "false" },
    { .golden = "gte-options", .file = CONFIG, .key = "logn_attention_clip1", .value = "false" },
    { .golden = "gte-options", .file = CONFIG, .key = "rope_scaling.mixed_b", .value = "0" },
    { .golden = "gte-options", .file = CONFIG, .key = "rope_scaling.factor", .value = "4.0" },
    { .golden = "gte-options", .file = CONFIG, .key = "layer_norm_eps", .value = "1e-4" },
    { .golden = "nomic", .file = CONFIG, .key = "rotary_emb_base", .value = "10000" },
    { .golden = "modernbert", .file = CONFIG, .key = "global_attn_every_n_layers", .value = "2" },
    { .golden = "modernbert", .file = CONFIG, .key = "local_attention", .value = "14" },
    { .golden = "modernbert", .file = CONFIG, .key = "local_rope_theta", .value = "160000.0" },
    { .golden = "modernbert", .file = CONFIG, .key = "global_rope_theta", .value = "10000.0" },
    { .golden = "modernbert", .file = CONFIG, .key = "hidden_activation", .value = "\"gelu_new\"" },
    { .golden = "stella-1.5b", .file = CONFIG, .key = "is_causal", .value = "true" },
    { .golden = "stella-1.5b", .file = CONFIG, .key = "rope_theta", .value = "10000.0" },
    { .golden = "stella-1.5b", .file = CONFIG, .key = "rms_norm_eps", .value = "1e-4" },
    { .golden = "stella-1.5b", .zero = "model.layers.0.self_attn.q_proj.bias" },
    { .golden = "stella-1.5b", .zero = "model.layers.1.self_attn.v_proj.bias" },
    { .golden = "qwen3-embedding-0.6b", .file = CONFIG, .key = "is_causal", .value = "false" },
    { .golden = "qwen3-embedding-0.6b", .file = CONFIG, .key = "hidden_act", .value = "\"gelu\"" },
    { .golden = "nv-embed-v2", .file = CONFIG, .key = "latent_attention_config",
      .value = "{\"num_latents_value\":24,\"num_cross_heads\":8,\"cross_dim_head\":10,\"hidden_dim\":48,\"latent_dim\":48}" },
    { .golden = "nv-embed-v2", .file = CONFIG, .key = "text_config.rope_theta", .value = "20000.0" },
    { .golden = "xlmr", .file = CONFIG, .key = "pad_token_id", .value = "0" },
    { .golden = "bge-m3", .file = CONFIG, .key = "pad_token_id", .value = "2" },
    { .golden = "gemma", .file = CONFIG, .key = "query_pre_attn_scalar", .value = "24" },
    { .golden = "gemma", .file = CONFIG, .key = "sliding_window_pattern", .value = "2" },
    { .golden = "gemma", .file = CONFIG, .key = "rope_local_base_freq", .value = "1000000.0" },
    { .golden = "mpnet", .file = CONFIG, .key = "layer_norm_eps", .value = "1e-12" },
    { .golden = "minilm", .file = "sentence_bert_config.json", .key = "max_seq_length", .value = "128", .ids = true },
    { .golden = "gte-qwen2-1.5b", .file = TOKENIZER, .key = "add_eos_token", .value = "false", .ids = true },
    { .golden = "stella-1.5b", .file = TOKENIZER, .key = "add_eos_token", .value = "false", .ids = true },
    { .golden = "nv-embed-v2", .file = CONFIG, .key = "add_eos", .value = "false", .ids = true },
};

/* How far the vectors of the short inputs are from the expected ones at most, in units of the tolerance; `enough` ends the search. */
static double distance(const char *directory, const golden_case *golden, const mr_embed_options *embed, bool forget_prompt, double enough)
{
    mr_error error = { 0 };
    void *model = NULL, *worker = NULL;
    size_t rows, width;
    double largest = 0;
    const mr_model_options options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_tokens = LONGEST, .max_batch_inputs = 1,
                                       .capability_options = embed };
    float *expected = golden_tensor(golden->expected, "embedding", &rows, &width);
    float *got = calloc(width, sizeof *got);
    assert_non_null(got);
    changed_model_must(mr_text_embedder.open(directory, &options, &model, &error), &error);
    changed_model_must(mr_text_embedder.worker_create(model, &options, &worker, &error), &error);
    for (size_t row = 0; row < golden->count && largest < enough * golden->max_abs; row++) {
        const golden_input *from = &golden->inputs[row];
        if (from->count > LONGEST) continue;
        const mr_text_embedding_input input = { .ids = from->ids, .count = from->count, .prompt_tokens = forget_prompt ? 0 : from->prompt_length };
        const mr_text_embedding_request request = { .inputs = &input, .count = 1 };
        mr_status status = MR_OK;
        mr_text_embedding_response response = { .vectors = got, .dimension = width, .statuses = &status };
        changed_model_must(mr_text_embedder.run_batch(worker, &request, &response, &error), &error);
        for (size_t i = 0; i < width; i++) {
            double difference = fabs((double)got[i] - (double)expected[row * width + i]);
            if (!(difference <= largest)) largest = difference; /* a NaN is far away */
        }
    }
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    free(expected);
    free(got);
    return largest / golden->max_abs;
}

/* Texts whose ids are not the expected ones. */
static size_t other_ids(const char *directory, const golden_case *golden)
{
    mr_error error = { 0 };
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = { 0 };
    size_t others = 0;
    changed_model_must(mr_tokenizer_scratch_create(&scratch, &error), &error);
    for (size_t row = 0; row < golden->count; row++) {
        const golden_input *input = &golden->inputs[row];
        const mr_embed_options options = { .prompt_text = input->prompt };
        mr_text_preparer *preparer = NULL;
        size_t prompt_tokens = 0;
        bool truncated = false;
        changed_model_must(mr_text_preparer_create(directory, &options, NULL, &preparer, &error), &error);
        mr_status status = mr_text_preparer_run(preparer, scratch, (mr_str){ input->text, input->text_length }, &encoding, &prompt_tokens, &truncated, &error);
        others += status != MR_OK || encoding.count != input->count || memcmp(encoding.ids, input->ids, input->count * sizeof *encoding.ids) != 0;
        mr_text_preparer_destroy(preparer);
        if (others > 0) break;
    }
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    return others;
}

/* What no file in src/models/ implements, in a config that is good otherwise: refused by name, never ignored. */
static const struct { const char *golden, *key, *value; } refusals[] = {
    { "minilm", "model_type", "\"bert2\"" },
    { "minilm", "position_embedding_type", "\"relative_key\"" },
    { "minilm", "is_decoder", "true" },
    { "minilm", "hidden_act", "\"swiglu\"" },
    { "minilm", "num_attention_heads", "7" },
    { "xlmr", "pad_token_id", "99999" },
    { "mpnet", "relative_attention_num_buckets", "7" },
    { "jina", "feed_forward_type", "\"moe\"" },
    { "stella400m", "rope_scaling", "{\"type\":\"yarn\",\"factor\":2.0}" },
    { "stella400m", "layer_norm_type", "\"batch_norm\"" },
    { "stella400m", "position_embedding_type", "\"alibi\"" },
    { "nomic", "moe_every_n_layers", "2" },
    { "nomic", "activation_function", "\"gelu\"" },
    { "nomic", "rotary_emb_interleaved", "true" },
    { "nomic", "rotary_emb_fraction", "0.5" },
    { "nomic", "prenorm", "true" },
    { "modernbert", "layer_types", "[\"linear_attention\"]" },
    { "stella-1.5b", "use_sliding_window", "true" },
    { "qwen3-embedding-0.6b", "rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4.0}" },
    { "gemma", "use_bidirectional_attention", "false" },
    { "gemma", "attn_logit_softcapping", "50.0" },
    { "gemma", "attention_bias", "true" },
    { "gemma", "rope_scaling", "{\"rope_type\":\"linear\",\"factor\":8.0}" },
    { "nv-embed-v2", "mask_type", "\"causal\"" },
};

/* Opens the golden with one value of its config.json changed. */
static mr_status open_changed(const char *golden, const char *key, const char *value, mr_error *error)
{
    void *model = NULL;
    const mr_model_options options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_tokens = 1, .max_batch_inputs = 1 };
    char *original = changed_model_path(MR_TEST_DATA "/golden", golden), *copy = mr_strdup(fresh_folder("refusal")), *changed = changed_model_path(copy, CONFIG);
    changed_model_link(original, copy);
    changed_model_set(changed, key, value);
    mr_status status = mr_text_embedder.open(copy, &options, &model, error);
    free(original);
    free(copy);
    free(changed);
    return status;
}

static void what_is_not_implemented_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        mr_error error = { 0 };
        mr_status status = open_changed(refusals[i].golden, refusals[i].key, refusals[i].value, &error);
        if (status != MR_MODEL_UNSUPPORTED || !strstr(error.text, refusals[i].key) || !strstr(error.text, CONFIG))
            fail_msg("%s with %s %s: %s: %s", refusals[i].golden, refusals[i].key, refusals[i].value, mr_status_name(status), error.text);
    }
}

/* A layer holds what its config has no place for. */
static void tensors_left_over_are_refused(void **state)
{
    (void)state;
    mr_error error = { 0 };
    assert_int_equal(open_changed("stella-1.5b", "attention_bias", "false", &error), MR_MODEL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "layers.0.self_attn.k_proj.bias"));
}

#define NOTICED 2.0 /* times the tolerance */

static void load_case(const char *name, char **directory, golden_case *golden)
{
    *directory = changed_model_path(MR_TEST_DATA "/golden", name);
    char *expect = changed_model_path(*directory, "expect");
    golden_case_load(expect, golden);
    free(expect);
}

static void changed_files_are_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        const mutation *m = &mutations[i];
        golden_case golden;
        char *original, *copy = mr_strdup(fresh_folder("mutation")), *changed = changed_model_path(copy, m->file ? m->file : "model.safetensors");
        const char *what = m->zero ? m->zero : m->key;
        load_case(m->golden, &original, &golden);
        changed_model_link(original, copy);
        if (m->file) changed_model_set(changed, m->key, m->value);
        else changed_model_zero(changed, m->zero);
        if (m->ids && other_ids(copy, &golden) == 0) fail_msg("%s: %s is not noticed", m->golden, what);
        double after = m->ids ? NOTICED : distance(copy, &golden, NULL, false, NOTICED);
        if (!(after >= NOTICED)) fail_msg("%s: %s is not noticed (%.2f times the tolerance)", m->golden, what, after);
        golden_case_free(&golden);
        free(original);
        free(copy);
        free(changed);
    }
}

/* Runs `check` on every case but the real model's, whose weights are elsewhere. */
static void for_all_cases(void (*check)(const char *name, const char *directory, const golden_case *golden))
{
    DIR *folder = opendir(MR_TEST_DATA "/golden");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "minilm-real") == 0) continue;
        golden_case golden;
        char *directory;
        load_case(entry->d_name, &directory, &golden);
        check(entry->d_name, directory, &golden);
        golden_case_free(&golden);
        free(directory);
    }
    closedir(folder);
}

static size_t tried[DEVIATION_COUNT];

static void try_deviations(const char *name, const char *directory, const golden_case *golden)
{
    printf("  %s:", name);
    for (deviation kind = DEVIATION_NONE; kind < DEVIATION_COUNT; kind++) {
        deviation_set(kind);
        double far = distance(directory, golden, NULL, false, kind == DEVIATION_NONE ? INFINITY : NOTICED);
        bool happened = deviation_happened();
        deviation_set(DEVIATION_NONE);
        if (kind == DEVIATION_NONE && !(far <= 1)) fail_msg("%s: wrong before anything is changed", name);
        if (!happened) continue;
        if (!(far >= NOTICED)) fail_msg("%s: %s is not noticed (%.2f times the tolerance)", name, deviation_text(kind), far);
        tried[kind]++;
        printf(" %d", (int)kind);
    }
    printf("\n");
}

static void other_arithmetic_is_noticed(void **state)
{
    (void)state;
    for_all_cases(try_deviations);
    for (deviation kind = DEVIATION_NONE + 1; kind < DEVIATION_COUNT; kind++) {
        printf("  %2d %s: in %zu cases\n", (int)kind, deviation_text(kind), tried[kind]);
        assert_true(tried[kind] > 0);
    }
}

static void try_other_endings(const char *name, const char *directory, const golden_case *golden)
{
    static const mr_pooling poolings[] = { MR_POOLING_CLS, MR_POOLING_LAST, MR_POOLING_MEAN, MR_POOLING_MAX };
    mr_error error = { 0 };
    mr_sentence_config *config = NULL;
    changed_model_must(mr_sentence_config_open(directory, NULL, &config, &error), &error);
    for (size_t i = 0; config->pooling_count == 1 && i < sizeof poolings / sizeof *poolings; i++) {
        const mr_embed_options options = { .override_pooling = true, .pooling = poolings[i] };
        if (poolings[i] != config->poolings[0] && !(distance(directory, golden, &options, false, NOTICED) >= NOTICED))
            fail_msg("%s: pooling %s is not noticed", name, mr_pooling_text(poolings[i]));
    }
    bool unit = config->module_count > 0 && config->modules[config->module_count - 1].kind == MR_SENTENCE_NORMALIZE;
    const mr_embed_options options = { .normalize = unit ? MR_CHOICE_NO : MR_CHOICE_YES };
    if (!(distance(directory, golden, &options, false, NOTICED) >= NOTICED)) fail_msg("%s: normalisation is not noticed", name);
    if (!config->include_prompt && !(distance(directory, golden, NULL, true, NOTICED) >= NOTICED)) fail_msg("%s: the prompt is not noticed", name);
    mr_sentence_config_close(config);
}

static void other_endings_are_noticed(void **state)
{
    (void)state;
    for_all_cases(try_other_endings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_implemented_is_refused),
        cmocka_unit_test(tensors_left_over_are_refused),
        cmocka_unit_test(changed_files_are_noticed),
        cmocka_unit_test(other_arithmetic_is_noticed),
        cmocka_unit_test(other_endings_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
