/* Do the goldens notice? One thing at a time is made wrong in a copy of a case's model (a config value, a tensor zeroed, the pooling),
 * and its vectors must leave the tolerance. A golden that accepts one of these would accept the same mistake in the code. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"
#include "embed/sentence_config.h"
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
} mutation;

#define CONFIG "config.json"
#define POOLING "1_Pooling/config.json"

static const mutation mutations[] = {
    { .golden = "minilm", .file = CONFIG, .key = "hidden_act", .value = "\"gelu_new\"" },
    { .golden = "minilm", .file = CONFIG, .key = "hidden_act", .value = "\"relu\"" },
    { .golden = "minilm", .file = CONFIG, .key = "layer_norm_eps", .value = "1e-5" },
    { .golden = "minilm", .file = CONFIG, .key = "num_attention_heads", .value = "2" },
    { .golden = "minilm", .file = CONFIG, .key = "num_hidden_layers", .value = "2" },
    { .golden = "minilm", .file = POOLING, .key = "pooling_mode", .value = "\"cls\"" },
    { .golden = "minilm", .file = POOLING, .key = "pooling_mode", .value = "\"lasttoken\"" },
    { .golden = "minilm", .zero = "embeddings.token_type_embeddings.weight" },
    { .golden = "minilm", .zero = "embeddings.position_embeddings.weight" },
    { .golden = "minilm", .zero = "embeddings.LayerNorm.bias" },
    { .golden = "minilm", .zero = "encoder.layer.0.attention.self.query.bias" },
    { .golden = "minilm", .zero = "encoder.layer.1.attention.self.value.bias" },
    { .golden = "minilm", .zero = "encoder.layer.0.attention.output.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.intermediate.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.output.dense.bias" },
    { .golden = "minilm", .zero = "encoder.layer.2.output.LayerNorm.bias" },
    { .golden = "bge", .file = POOLING, .key = "pooling_mode", .value = "\"mean\"" },
    { .golden = "modules", .file = "2_Dense/config.json", .key = "activation_function", .value = "\"torch.nn.Identity\"" },
    { .golden = "modules", .file = POOLING, .key = "pooling_mode", .value = "[\"cls\",\"max\",\"mean\",\"mean_sqrt_len_tokens\",\"lasttoken\",\"weightedmean\"]" },
    { .golden = "no-prompt", .file = POOLING, .key = "include_prompt", .value = "true" },
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
    { .golden = "nv-embed-v2", .file = POOLING, .key = "include_prompt", .value = "true" },
};

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static char *join(const char *directory, const char *name)
{
    char *path = mr_path_join(directory, name);
    assert_non_null(path);
    return path;
}

static void write_bytes(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Links every file of a model into `copy`, which has no folders yet. */
static void link_model(const char *from, const char *copy)
{
    static const char *const names[] = { "config.json", "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors", "modules.json", "sentence_bert_config.json",
                                         "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json",
                                         "2_Dense/config.json", "2_Dense/model.safetensors", "3_LayerNorm/config.json",
                                         "3_LayerNorm/model.safetensors", "2_Dense_48/config.json", "2_Dense_48/model.safetensors",
                                         "2_Dense_1024/config.json", "2_Dense_1024/model.safetensors" };
    static const char *const folders[] = { "1_Pooling", "2_Dense", "3_LayerNorm", "2_Dense_48", "2_Dense_1024" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = join(copy, folders[i]);
        assert_int_equal(mr_path_make_directories(path, NULL), MR_OK);
        free(path);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *source = join(from, names[i]), *target = join(copy, names[i]);
        if (mr_path_exists(source)) assert_int_equal(symlink(source, target), 0);
        free(source);
        free(target);
    }
}

static void set_value(const char *path, const char *key, const char *value)
{
    mr_error error = { 0 };
    json_t *document = NULL, *new_value = json_loads(value, JSON_DECODE_ANY, NULL);
    char name[128];
    must(mr_json_load(path, (size_t)1 << 20, &document, &error), &error);
    json_t *object = document;
    const char *dot;
    for (; (dot = strchr(key, '.')) != NULL; key = dot + 1) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
        object = json_object_get(object, name);
        assert_non_null(object);
    }
    assert_false(json_equal(json_object_get(object, key), new_value)); /* else nothing is mutated */
    assert_int_equal(json_object_set_new(object, key, new_value), 0);
    char *text = json_dumps(document, 0);
    assert_non_null(text);
    assert_int_equal(unlink(path), 0);
    write_bytes(path, text, strlen(text));
    free(text);
    json_decref(document);
}

static void zero_tensor(const char *path, const char *name)
{
    mr_error error = { 0 };
    char *bytes = NULL;
    size_t length = 0;
    bool found = false;
    mr_safetensors parsed = { 0 };
    must(mr_file_read(path, (size_t)64 << 20, &bytes, &length, &error), &error);
    must(mr_safetensors_parse((const unsigned char *)bytes, length, path, &parsed, &error), &error);
    for (size_t i = 0; i < parsed.count; i++) {
        if (strcmp(parsed.tensors[i].name, name) != 0) continue;
        memset(bytes + (parsed.tensors[i].data - (const unsigned char *)bytes), 0, parsed.tensors[i].bytes);
        found = true;
    }
    assert_true(found);
    mr_safetensors_fini(&parsed);
    assert_int_equal(unlink(path), 0);
    write_bytes(path, bytes, length);
    free(bytes);
}

/* The largest difference from the expected vectors over all short inputs, in units of the tolerance. */
static double distance(const char *directory, const golden_case *golden)
{
    mr_error error = { 0 };
    void *model = NULL, *worker = NULL;
    size_t rows, width;
    double largest = 0;
    const mr_model_options options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_tokens = LONGEST, .max_batch_inputs = 1 };
    float *expected = golden_tensor(golden->expected, "embedding", &rows, &width);
    float *got = calloc(width, sizeof *got);
    assert_non_null(got);
    must(mr_text_embedder.open(directory, &options, &model, &error), &error);
    must(mr_text_embedder.worker_create(model, &options, &worker, &error), &error);
    for (size_t row = 0; row < golden->count; row++) {
        const golden_input *from = &golden->inputs[row];
        if (from->count > LONGEST) continue;
        const mr_text_embedding_input input = { .ids = from->ids, .count = from->count, .prompt_tokens = from->prompt_length };
        const mr_text_embedding_request request = { .inputs = &input, .count = 1 };
        mr_status status = MR_OK;
        mr_text_embedding_response response = { .vectors = got, .dimension = width, .statuses = &status };
        must(mr_text_embedder.run_batch(worker, &request, &response, &error), &error);
        for (size_t i = 0; i < width; i++) largest = fmax(largest, fabs((double)got[i] - (double)expected[row * width + i]));
    }
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    free(expected);
    free(got);
    return largest / golden->max_abs;
}

static void every_mutation_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        const mutation *m = &mutations[i];
        char *original = join(MR_TEST_DATA "/golden", m->golden), *expect = join(original, "expect");
        char *copy = mr_strdup(fresh_folder("mutation")), *changed = join(copy, m->file ? m->file : "model.safetensors");
        golden_case golden;
        golden_case_load(expect, &golden);
        link_model(original, copy);
        double before = distance(copy, &golden);
        if (m->file) set_value(changed, m->key, m->value);
        else zero_tensor(changed, m->zero);
        double after = distance(copy, &golden);
        printf("  %-22s %-44s %8.2f -> %.0f times the tolerance\n", m->golden, m->zero ? m->zero : m->key, before, after);
        if (!(before <= 1)) fail_msg("%s: wrong before anything was changed", m->golden);
        if (!(after > 2)) fail_msg("%s: %s is not noticed", m->golden, m->zero ? m->zero : m->key);
        golden_case_free(&golden);
        free(original);
        free(expect);
        free(copy);
        free(changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_mutation_is_noticed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
