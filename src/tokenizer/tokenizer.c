#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/file_digest.h"
#include "core/mem.h"
#include "tokenizer/component.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/model_image.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer_scratch.h"
#include "tokenizer/vocab_files.h"

#define MAX_FILE_BYTES (128u << 20) /* the largest published tokenizer.json has 33 MB */

/* ---------------------------------------------------------------- scratch */

mr_status mr_tokenizer_scratch_create(mr_tokenizer_scratch **out, mr_error *error)
{
    mr_tokenizer_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for tokenizer scratch");
    mr_status status = mr_regex_scratch_prepare(&scratch->regex, error);
    if (status != MR_OK) return mr_tokenizer_scratch_destroy(scratch), status;
    *out = scratch;
    return MR_OK;
}

void mr_tokenizer_scratch_destroy(mr_tokenizer_scratch *scratch)
{
    if (!scratch) return;
    for (size_t i = 0; i < 2; i++) {
        mr_buf_fini(&scratch->normal[i]);
        mr_buf_fini(&scratch->spaced[i]);
        free(scratch->pieces[i].items);
        free(scratch->ids[i].items);
        free(scratch->ids[i].spans);
    }
    mr_marks_fini(&scratch->marks);
    mr_offsets_fini(&scratch->offsets);
    mr_regex_scratch_fini(&scratch->regex);
    mr_bpe_scratch_fini(&scratch->bpe);
    mr_unigram_scratch_fini(&scratch->unigram);
    mr_word_cache_fini(&scratch->cache);
    free(scratch);
}

/* ---------------------------------------------------------------- open */

/* A BERT class's settings win over the normalizer's in the file, as in its own library (tokenization_bert_fast.py). */
static mr_status apply_bert_settings(mr_json_value config, mr_normalizer *normalizer, mr_error *error)
{
    mr_str class;
    MR_TRY(mr_json_get_str(config, "tokenizer_class", MR_STR(""), &class, error));
    if (!mr_type_is(class, "BertTokenizer") && !mr_type_is(class, "BertTokenizerFast")) return MR_OK;
    for (size_t i = 0; i < normalizer->count; i++) {
        if (normalizer->steps[i].type != MR_NORMALIZER_BERT) continue;
        mr_bert_normalizer *bert = &normalizer->steps[i].bert;
        bool lowercase = bert->lowercase, follows = bert->strip_accents == lowercase;
        MR_TRY(mr_json_get_bool(config, "do_lower_case", lowercase, &bert->lowercase, error));
        MR_TRY(mr_json_get_bool(config, "strip_accents", follows ? bert->lowercase : bert->strip_accents, &bert->strip_accents, error));
        MR_TRY(mr_json_get_bool(config, "tokenize_chinese_chars", bert->handle_chinese_chars, &bert->handle_chinese_chars, error));
        mr_bert_normalizer_prepare(bert);
    }
    return MR_OK;
}

/* Sentinels for "unbounded" are 1e30 as an integer or a float, and 2^31. */
static size_t read_max_length(mr_json_value config)
{
    size_t length;
    return mr_json_to_size(mr_json_get(config, "model_max_length"), INT32_MAX, &length) ? length : 0;
}

static mr_status read_added(mr_json_value list, mr_tokenizer *tokenizer, mr_error *error)
{
    mr_tokenizer_scratch *scratch = NULL;
    MR_TRY(mr_tokenizer_scratch_create(&scratch, error));
    mr_status status = mr_added_tokens_open(list, &tokenizer->normalizer, scratch, &tokenizer->added, error);
    mr_tokenizer_scratch_destroy(scratch);
    if (status != MR_OK) return status;
    size_t vocabulary = tokenizer->model.vocabulary.size;
    tokenizer->vocab_size = vocabulary > tokenizer->added.size ? vocabulary : tokenizer->added.size;
    return MR_OK;
}

/* `config`: tokenizer_config.json; may be absent. Its list of added tokens counts where `root` was made from older files. */
static mr_status read_components(mr_json_value root, mr_json_value config, bool made, mr_tokenizer *tokenizer, mr_error *error)
{
    const mr_model *model = &tokenizer->model; /* there already when it came from an image */
    MR_TRY(mr_json_expect(root, MR_JSON_OBJECT, "the file", error));
    MR_TRY(mr_normalizer_open(mr_json_get(root, "normalizer"), &tokenizer->normalizer, error));
    MR_TRY(apply_bert_settings(config, &tokenizer->normalizer, error));
    MR_TRY(mr_pre_tokenizer_open(mr_json_get(root, "pre_tokenizer"), &tokenizer->pre_tokenizer, error));
    if (!model->serial) MR_TRY(mr_model_open(mr_json_get(root, "model"), tokenizer->pre_tokenizer.bytes, &tokenizer->model, error));
    else if ((model->type == MR_MODEL_BPE && model->bpe.bytes) != tokenizer->pre_tokenizer.bytes) return mr_error_set(error, MR_MODEL_CORRUPT, "the image of a tokenizer is damaged");
    MR_TRY(mr_post_processor_open(mr_json_get(root, "post_processor"), &tokenizer->post_processor, error));
    MR_TRY(mr_decoder_open(mr_json_get(root, "decoder"), &tokenizer->decoder, error));
    mr_json_value listed = mr_json_get(config, "added_tokens_decoder");
    return read_added(made && mr_json_present(listed) ? listed : mr_json_get(root, "added_tokens"), tokenizer, error);
}

/* A tiktoken.model says nothing but ranks. Kimi's class is the only one known to publish it with its own pattern. */
static mr_status read_tiktoken(const char *path, mr_json_value config, mr_tokenizer *tokenizer, mr_error *error)
{
    char *data;
    size_t length;
    mr_str class;
    MR_TRY(mr_json_get_str(config, "tokenizer_class", MR_STR(""), &class, error));
    if (!mr_type_is(class, "TikTokenTokenizer"))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: which pattern splits the text is known for the tokenizer_class \"TikTokenTokenizer\" only; tokenizer_config.json says \"%.*s\"",
                            path, (int)(class.length < 64 ? class.length : 64), class.data);
    if (!tokenizer->model.serial) {
        MR_TRY(mr_file_read(path, MAX_FILE_BYTES, &data, &length, error));
        mr_status status = mr_tiktoken_open(data, length, path, &tokenizer->model, error);
        free(data);
        if (status != MR_OK) return status;
    }
    MR_TRY(mr_pre_tokenizer_open_pattern(mr_pattern_kimi, &tokenizer->pre_tokenizer, error));
    MR_TRY(mr_post_processor_open((mr_json_value){ 0 }, &tokenizer->post_processor, error));
    MR_TRY(mr_decoder_open_byte_level(&tokenizer->decoder, error));
    return read_added(mr_json_get(config, "added_tokens_decoder"), tokenizer, error);
}

/* From tokenizer.json (`root`; `made` from older files?), or else from tiktoken.model at `path`. `model`: from an image, which then belongs
 * to the tokenizer; NULL: from the same file. Taken over in any case. */
static mr_status open_any(mr_json_value root, bool made, const char *path, mr_json_value config, mr_model *model, mr_tokenizer **out, mr_error *error)
{
    size_t before = mr_mem_used(MR_MEM_TOKENIZER);
    mr_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) {
        if (model) mr_model_fini(model);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    if (model) tokenizer->model = *model;
    tokenizer->model_max_length = read_max_length(config);
    mr_status status = root.tree ? read_components(root, config, made, tokenizer, error) : read_tiktoken(path, config, tokenizer, error);
    if (status != MR_OK) {
        mr_tokenizer_close(tokenizer);
        return status;
    }
    size_t after = mr_mem_used(MR_MEM_TOKENIZER);
    tokenizer->bytes = sizeof *tokenizer + (after > before ? after - before : 0);
    *out = tokenizer;
    return MR_OK;
}

mr_status mr_tokenizer_open_bytes(const void *json, size_t length, mr_tokenizer **out, mr_error *error)
{
    mr_json_tree tree;
    char *copy = mr_strndup(json, length);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "tokenizer.json: out of memory");
    MR_TRY(mr_json_tree_parse(copy, length, "tokenizer.json", &tree, error));
    mr_status status = open_any(mr_json_root(&tree), false, NULL, (mr_json_value){ 0 }, NULL, out, error);
    mr_json_tree_fini(&tree);
    return status;
}

/* The paths of a model directory's tokenizer files. */
typedef struct paths {
    char *json, *tiktoken, *vocab_txt, *vocab_json, *merges, *config;
} paths;

/* The tokenizer.json, there or made; no tree when tiktoken.model is all there is. */
static mr_status read_tree(const char *directory, const paths *p, mr_json_value config, mr_json_tree *tree, mr_error *error)
{
    if (mr_path_exists(p->json)) return mr_json_tree_read(p->json, MAX_FILE_BYTES, tree, error);
    if (mr_path_exists(p->tiktoken)) return MR_OK;
    bool text = mr_path_exists(p->vocab_txt);
    if (!text && !(mr_path_exists(p->vocab_json) && mr_path_exists(p->merges)))
        return mr_error_set(error, MR_MODEL_FILES_MISSING, "%s: no tokenizer.json, tiktoken.model, vocab.txt, or vocab.json with merges.txt; fetch the model again or convert its tokenizer", directory);
    mr_buf json = { 0 };
    mr_status status = text ? mr_vocab_txt_convert(p->vocab_txt, MAX_FILE_BYTES, config, &json, error)
                            : mr_vocab_merges_convert(p->vocab_json, p->merges, MAX_FILE_BYTES, config, &json, error);
    if (status != MR_OK) {
        mr_buf_fini(&json);
        return status;
    }
    return mr_json_tree_parse(json.data, json.length, text ? p->vocab_txt : p->merges, tree, error);
}

static mr_status open_files(const char *directory, const paths *p, mr_json_value config, const mr_cache *cache, const char *key, mr_tokenizer **out, mr_error *error)
{
    mr_json_tree tree = { 0 };
    mr_buf rest = { 0 }, image = { 0 };
    mr_status status = read_tree(directory, p, config, &tree, error);
    mr_json_value root = tree.nodes ? mr_json_root(&tree) : (mr_json_value){ 0 };
    if (status == MR_OK) status = open_any(root, !mr_path_exists(p->json), p->tiktoken, config, NULL, out, error);
    if (status == MR_OK && key && (!tree.nodes || mr_json_append_value(&rest, root, "model")) &&
        mr_model_image_write(&(*out)->model, (mr_str){ rest.data, rest.length }, &image))
        mr_cache_store(cache, key, image.data, image.length);
    mr_buf_fini(&rest);
    mr_buf_fini(&image);
    mr_json_tree_fini(&tree);
    return status;
}

/* False when there is no image, or none that is good: then the files tell. */
static bool open_image(const paths *p, mr_json_value config, const mr_cache *cache, const char *key, mr_tokenizer **out)
{
    mr_cache_entry entry;
    mr_json_tree tree = { 0 };
    mr_model model;
    mr_str rest;
    if (!mr_cache_find(cache, key, &entry)) return false;
    mr_status status = mr_model_image_read(entry.data, entry.length, &rest, &model, NULL);
    if (status == MR_OK) {
        char *text = rest.length ? mr_strndup(rest.data, rest.length) : NULL;
        if (text) status = mr_json_tree_parse(text, rest.length, p->json, &tree, NULL);
        else if (rest.length) status = MR_OUT_OF_MEMORY;
        if (status != MR_OK) mr_model_fini(&model);
    }
    if (status == MR_OK) status = open_any(tree.nodes ? mr_json_root(&tree) : (mr_json_value){ 0 }, false, p->tiktoken, config, &model, out, NULL);
    mr_json_tree_fini(&tree);
    if (status != MR_OK) return mr_cache_release(&entry), false;
    (*out)->image = entry;
    (*out)->bytes += entry.length;
    return true;
}

/* The key of the image, malloc'ed: the files' content. NULL: none is kept, as there is no cache, or nothing slow to read. */
static char *image_key(const paths *p, const mr_cache *cache)
{
    char digest[MR_SHA256_HEX];
    const char *path = mr_path_exists(p->json) ? p->json : mr_path_exists(p->tiktoken) ? p->tiktoken : NULL;
    if (!cache || !path || mr_sha256_file_remembered(cache, path, digest, NULL) != MR_OK) return NULL;
    return mr_strf("tokenizer %s %s", path == p->json ? "json" : "tiktoken", digest);
}

static mr_status open_paths(const char *directory, const paths *p, const mr_cache *cache, mr_tokenizer **out, mr_error *error)
{
    mr_json_tree config_tree = { 0 };
    mr_json_value config = { 0 };
    if (mr_path_exists(p->config)) {
        MR_TRY(mr_json_tree_read(p->config, MAX_FILE_BYTES, &config_tree, error));
        config = mr_json_root(&config_tree);
    }
    char *key = image_key(p, cache);
    mr_status status = MR_OK;
    if (!key || !open_image(p, config, cache, key, out)) status = open_files(directory, p, config, cache, key, out, error);
    free(key);
    mr_json_tree_fini(&config_tree);
    return status;
}

static mr_status open_directory(const char *directory, const mr_cache *cache, mr_tokenizer **out, mr_error *error)
{
    paths p = { mr_path_join(directory, "tokenizer.json"), mr_path_join(directory, "tiktoken.model"), mr_path_join(directory, "vocab.txt"),
                mr_path_join(directory, "vocab.json"), mr_path_join(directory, "merges.txt"), mr_path_join(directory, "tokenizer_config.json") };
    mr_status status = MR_OUT_OF_MEMORY;
    if (p.json && p.tiktoken && p.vocab_txt && p.vocab_json && p.merges && p.config) status = open_paths(directory, &p, cache, out, error);
    else mr_error_set(error, status, "%s: out of memory", directory);
    free(p.json);
    free(p.tiktoken);
    free(p.vocab_txt);
    free(p.vocab_json);
    free(p.merges);
    free(p.config);
    return status;
}

/* What the converted text cannot say: a Unigram model's scores to the last bit, and how long a text the model takes. */
static mr_status add_gguf_facts(const mr_gguf *gguf, mr_tokenizer *tokenizer, mr_error *error)
{
    const mr_gguf_value *scores;
    mr_str architecture;
    char key[128];
    MR_TRY(mr_gguf_get_floats(gguf, "tokenizer.ggml.scores", &scores, error));
    if (tokenizer->model.type == MR_MODEL_UNIGRAM && scores) mr_unigram_set_scores(&tokenizer->model.unigram, scores, tokenizer->model.vocabulary.size);
    MR_TRY(mr_gguf_get_str(gguf, "general.architecture", MR_STR(""), &architecture, error));
    if (architecture.length > 64) return MR_OK;
    snprintf(key, sizeof key, "%.*s.context_length", (int)architecture.length, architecture.data);
    return mr_gguf_get_size(gguf, key, INT32_MAX, 0, &tokenizer->model_max_length, error);
}

static mr_status open_parsed_gguf(const mr_gguf *gguf, mr_tokenizer **out, mr_error *error)
{
    mr_buf json = { 0 };
    mr_json_tree tree;
    mr_tokenizer *tokenizer = NULL;
    mr_status status = mr_gguf_vocabulary_convert(gguf, &json, error);
    if (status != MR_OK) {
        mr_buf_fini(&json);
        return status;
    }
    MR_TRY(mr_json_tree_parse(json.data, json.length, gguf->file, &tree, error));
    status = open_any(mr_json_root(&tree), false, NULL, (mr_json_value){ 0 }, NULL, &tokenizer, error);
    mr_json_tree_fini(&tree);
    if (status == MR_OK) status = add_gguf_facts(gguf, tokenizer, error);
    if (status == MR_OK) *out = tokenizer;
    else mr_tokenizer_close(tokenizer);
    return status;
}

mr_status mr_tokenizer_open_gguf_bytes(const unsigned char *bytes, size_t length, const char *file, mr_tokenizer **out, mr_error *error)
{
    mr_gguf gguf;
    MR_TRY(mr_gguf_parse(bytes, length, file, &gguf, error));
    mr_status status = open_parsed_gguf(&gguf, out, error);
    mr_gguf_fini(&gguf);
    return status;
}

mr_status mr_tokenizer_open(const char *path, const mr_cache *cache, mr_tokenizer **out, mr_error *error)
{
    mr_mapping mapping;
    if (!mr_path_exists(path) || mr_path_is_directory(path)) return open_directory(path, cache, out, error);
    MR_TRY(mr_file_map(path, &mapping, error));
    mr_status status = mr_tokenizer_open_gguf_bytes(mapping.data, mapping.length, path, out, error);
    mr_file_unmap(&mapping);
    return status;
}

void mr_tokenizer_close(mr_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    mr_normalizer_fini(&tokenizer->normalizer);
    mr_added_tokens_fini(&tokenizer->added);
    mr_pre_tokenizer_fini(&tokenizer->pre_tokenizer);
    mr_model_fini(&tokenizer->model);
    mr_post_processor_fini(&tokenizer->post_processor);
    mr_decoder_fini(&tokenizer->decoder);
    mr_cache_release(&tokenizer->image);
    free(tokenizer);
}

/* ---------------------------------------------------------------- questions */

mr_str mr_tokenizer_piece(const mr_tokenizer *tokenizer, int32_t id)
{
    const mr_added_token *added = mr_added_tokens_of(&tokenizer->added, id);
    return added ? added->content : mr_vocabulary_text(&tokenizer->model.vocabulary, id);
}

int32_t mr_tokenizer_id(const mr_tokenizer *tokenizer, mr_str piece)
{
    for (size_t i = 0; i < tokenizer->added.count; i++)
        if (mr_str_equal(tokenizer->added.items[i].content, piece)) return tokenizer->added.items[i].id;
    return mr_vocabulary_id(&tokenizer->model.vocabulary, piece);
}

mr_str mr_tokenizer_decoded_piece(const mr_tokenizer *tokenizer, int32_t id)
{
    const mr_added_token *added = mr_added_tokens_of(&tokenizer->added, id);
    return added ? added->decoded : mr_vocabulary_text(&tokenizer->model.vocabulary, id);
}

bool mr_tokenizer_is_special(const mr_tokenizer *tokenizer, int32_t id)
{
    const mr_added_token *added = mr_added_tokens_of(&tokenizer->added, id);
    return added && added->special;
}

size_t mr_tokenizer_vocab_size(const mr_tokenizer *tokenizer)
{
    return tokenizer->vocab_size;
}

size_t mr_tokenizer_model_max_length(const mr_tokenizer *tokenizer)
{
    return tokenizer->model_max_length;
}

size_t mr_tokenizer_bytes(const mr_tokenizer *tokenizer)
{
    return tokenizer->bytes;
}

/* ---------------------------------------------------------------- decode */

mr_status mr_tokenizer_decode(const mr_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special_tokens,
                              mr_buf *out, mr_error *error)
{
    mr_text_list texts = { 0 }, spare = { 0 };
    bool done = true;
    for (size_t i = 0; i < count && done; i++) {
        if (skip_special_tokens && mr_tokenizer_is_special(tokenizer, ids[i])) continue;
        mr_str text = mr_tokenizer_decoded_piece(tokenizer, ids[i]);
        if (text.data) done = mr_text_list_add(&texts, text);
    }
    done = done && mr_decoder_run(&tokenizer->decoder, MR_DECODER_NONE, true, &texts, &spare, out);
    mr_text_list_fini(&texts);
    mr_text_list_fini(&spare);
    return done ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory decoding %zu ids", count);
}
