#include "cli/bench_model.h"

#include <stdlib.h>

#include "embed/image_embedder.h"
#include "embed/prepare_text.h"
#include "embed/text_embedder.h"
#include "models/vision_tower.h"
#include "registry/model_store.h"

#define BATCH_TEXTS 128 /* as a job has it */

struct mr_bench_model {
    char *path;
    const mr_model_vtable *vtable;
    mr_work work;
    size_t dimension, max_tokens, count;
    size_t image_tokens;
    mr_text_embedding_input texts[MR_BENCH_LENGTHS_MAX];
    int32_t *ids;       /* of the longest text; the others are its beginnings */
    mr_image *images;   /* [count], all of the same pixels: none is cheaper than another */
    uint8_t *pixels;
};

static mr_status no_memory(mr_error *error) { return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory"); }

static mr_status resolve(const char *key, char **path, mr_error *error)
{
    mr_model_store *store;
    MR_TRY(mr_model_store_open(&store, error));
    mr_status status = mr_model_store_resolve(store, key, path, error);
    mr_model_store_close(store);
    return status;
}

/* Ids that the vocabulary has come from tokenizing a text over and over. */
static mr_status fill_ids(const mr_text_preparer *preparer, const char *text, int32_t *ids, size_t count, mr_error *error)
{
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = { 0 };
    size_t prompt;
    bool truncated;
    MR_TRY(mr_tokenizer_scratch_create(&scratch, error));
    mr_status status = mr_text_preparer_run(preparer, scratch, mr_str_of(text), &encoding, &prompt, &truncated, error);
    if (status == MR_OK && encoding.count == 0) status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "its tokenizer makes no token of \"%s\"", text);
    for (size_t i = 0; status == MR_OK && i < count; i++) ids[i] = encoding.ids[i % encoding.count];
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    return status;
}

static mr_status make_texts(mr_bench_model *model, const mr_text_preparer *preparer, const size_t *lengths, const char *text, mr_error *error)
{
    size_t most = model->max_tokens, longest = 0;
    if (most == 0 || most > MR_BENCH_BATCH_TOKENS) most = MR_BENCH_BATCH_TOKENS;
    for (size_t i = 0; i < model->count; i++)
        if (lengths[i] > longest) longest = lengths[i];
    model->ids = malloc((longest + 1) * sizeof *model->ids);
    if (!model->ids) return no_memory(error);
    for (size_t i = 0; i < model->count; i++) model->texts[i] = (mr_text_embedding_input){ .ids = model->ids, .count = lengths[i] < most ? lengths[i] : most };
    return fill_ids(preparer, text, model->ids, longest, error);
}

static mr_status open_texts(mr_bench_model *model, const size_t *lengths, size_t count, const char *text, mr_error *error)
{
    mr_text_preparer *preparer = NULL;
    MR_TRY(mr_text_preparer_create(model->path, NULL, NULL, &preparer, error));
    const mr_sentence_config *config = mr_text_preparer_config(preparer);
    model->vtable = &mr_text_embedder;
    model->dimension = config->dimension;
    model->max_tokens = config->max_tokens;
    model->count = count;
    mr_status status = make_texts(model, preparer, lengths, text, error);
    mr_text_preparer_destroy(preparer);
    return status;
}

static mr_status open_images(mr_bench_model *model, mr_error *error)
{
    mr_image_embedding_shape shape;
    MR_TRY(mr_image_embedding_shape_read(model->path, &shape, error));
    const size_t width = shape.processor.width, height = shape.processor.height, bytes = 3 * width * height;
    model->vtable = &mr_image_embedder;
    model->dimension = shape.dimension;
    model->max_tokens = model->image_tokens = shape.tokens;
    model->count = shape.tokens < MR_BENCH_BATCH_TOKENS ? MR_BENCH_BATCH_TOKENS / shape.tokens : 1; /* one batch */
    model->pixels = malloc(bytes);
    model->images = calloc(model->count, sizeof *model->images);
    if (!model->pixels || !model->images) return no_memory(error);
    for (size_t i = 0; i < bytes; i++) model->pixels[i] = (uint8_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 56);
    for (size_t i = 0; i < model->count; i++) model->images[i] = (mr_image){ .pixels = model->pixels, .width = width, .height = height };
    return MR_OK;
}

static mr_status note_work(mr_bench_model *model, mr_error *error)
{
    mr_memory_estimate estimate;
    mr_bench_forward_job job = mr_bench_model_job(model);
    MR_TRY(model->vtable->estimate(model->path, &job.options, &estimate, error));
    model->work = estimate.work;
    return MR_OK;
}

mr_status mr_bench_model_open(const char *key, mr_bench_tower tower, const size_t *lengths, size_t count, const char *ids_text,
                              mr_bench_model **out, mr_error *error)
{
    mr_bench_model *model = calloc(1, sizeof *model);
    if (!model) return no_memory(error);
    mr_status status = resolve(key, &model->path, error);
    if (status == MR_OK && tower == MR_BENCH_TOWER_ANY) tower = mr_vision_tower_is_known(model->path) ? MR_BENCH_TOWER_IMAGE : MR_BENCH_TOWER_TEXT;
    if (status == MR_OK) status = tower == MR_BENCH_TOWER_IMAGE ? open_images(model, error) : open_texts(model, lengths, count, ids_text, error);
    if (status == MR_OK) status = note_work(model, error);
    if (status != MR_OK) {
        mr_bench_model_close(model);
        return status;
    }
    *out = model;
    return MR_OK;
}

void mr_bench_model_close(mr_bench_model *model)
{
    if (!model) return;
    free(model->ids);
    free(model->images);
    free(model->pixels);
    free(model->path);
    free(model);
}

mr_bench_forward_job mr_bench_model_job(const mr_bench_model *model)
{
    const size_t inputs = model->images ? model->count : BATCH_TEXTS;
    return (mr_bench_forward_job){
        .vtable = model->vtable, .path = model->path, .texts = model->texts, .images = model->images, .count = model->count, .image_tokens = model->image_tokens,
        .dimension = model->dimension,
        .options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_tokens = MR_BENCH_BATCH_TOKENS, .max_batch_inputs = inputs },
    };
}

const mr_work *mr_bench_model_work(const mr_bench_model *model) { return &model->work; }
size_t mr_bench_model_max_tokens(const mr_bench_model *model) { return model->max_tokens; }
