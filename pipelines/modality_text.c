#include "embed/text_embedder.h"
#include "pipelines/embed_attributes.h"
#include "pipelines/job_cache.h"
#include "pipelines/job_run.h"
#include "pipelines/modality.h"

#define CORES_PER_PREPARER 16   /* tokenizing is 50 and more times faster than the smallest encoder on the same core */
#define RECORD_BYTES 8192       /* text, ids, vector of an ordinary record */
#define LEAST_WINDOW_RECORDS 256

/* Also finds out now what would fail for every record: an unknown prompt, a limit above the model's. */
static mr_status plan_texts(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_cache *cache = NULL;
    MR_TRY(mr_job_cache_open(job, &cache, error));
    mr_status status = mr_text_preparer_create(plan->model_path, &plan->embed_options, cache, &plan->preparer, error);
    mr_cache_close(cache);
    MR_TRY(status);
    const mr_sentence_config *config = mr_text_preparer_config(plan->preparer);
    plan->dimension = config->dimension;
    plan->max_tokens = plan->embed_options.max_tokens ? plan->embed_options.max_tokens : config->max_tokens;
    plan->attention_length = 6 * config->hidden_size;
    plan->prepare_threads = 1 + (plan->cores - 1) / CORES_PER_PREPARER;
    plan->record_bytes = RECORD_BYTES + plan->dimension * sizeof(float);
    plan->least_window_records = LEAST_WINDOW_RECORDS;
    return MR_OK;
}

/* Ids: about one per 3 bytes of text, 4 bytes each. */
static size_t prepared_bytes(const mr_job_plan *plan, const mr_record *record)
{
    (void)plan;
    return record->text.length * 4 / 3;
}

static mr_status prepare(const mr_job *job, const mr_job_plan *plan, mr_tokenizer_scratch *scratch, const mr_record *record, mr_prepared *out,
                         mr_error *error)
{
    if (record->text.length == 0 && record->image.length > 0)
        return mr_error_set(error, MR_BAD_RECORD, "the record is an image without text; this model embeds text");
    size_t prompt_tokens = 0;
    MR_TRY(mr_text_preparer_run(plan->preparer, scratch, record->text, &out->encoding, &prompt_tokens, &out->truncated, error));
    if (out->truncated && !job->truncate)
        return mr_error_set(error, MR_BAD_RECORD, "text has %zu tokens, more than the %zu allowed (--no-truncate)", out->encoding.full_count, plan->max_tokens);
    if (plan->max_tokens == 0 && out->encoding.count > plan->model_options.max_batch_tokens) /* what scratch is made for then */
        return mr_error_set(error, MR_BAD_RECORD, "text has %zu tokens, more than a batch; the model names no limit, so raise --batch-tokens or cut with --max-tokens",
                            out->encoding.count);
    out->tokens = out->encoding.count;
    out->input.text = (mr_text_embedding_input){ .ids = out->encoding.ids, .count = out->encoding.count, .prompt_tokens = prompt_tokens };
    return MR_OK;
}

static void make_request(const void *inputs, size_t count, mr_modality_request *out)
{
    out->text = (mr_text_embedding_request){ .inputs = inputs, .count = count };
}

static bool is_normalized(const mr_sentence_config *config)
{
    if (config->normalize_at_end) return true;
    return config->truncate_dimension == 0 && config->module_count > 0 && config->modules[config->module_count - 1].kind == MR_SENTENCE_NORMALIZE;
}

static void describe(const mr_job_plan *plan, mr_embed_attributes *out)
{
    const mr_sentence_config *config = mr_text_preparer_config(plan->preparer);
    mr_str prompt = mr_text_preparer_prompt(plan->preparer);
    mr_buf pooling = { 0 };
    for (size_t i = 0; i < config->pooling_count; i++) mr_buf_printf(&pooling, "%s%s", i ? "+" : "", mr_pooling_text(config->poolings[i]));
    mr_embed_attributes_add(out, "pooling", mr_buf_detach(&pooling));
    mr_embed_attributes_add(out, "normalized", mr_strdup(is_normalized(config) ? "true" : "false"));
    mr_embed_attributes_add(out, "similarity", mr_strdup(mr_similarity_text(config->similarity)));
    mr_embed_attributes_add(out, "prompt", mr_strndup(prompt.data, prompt.length));
    mr_embed_attributes_add(out, "max_tokens", mr_strf("%zu", plan->max_tokens));
}

const mr_modality mr_modality_text = {
    .name = "text",
    .inputs = "texts",
    .preparing = "tokenize",
    .model = &mr_text_embedder,
    .input_bytes = sizeof(mr_text_embedding_input),
    .plan = plan_texts,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .make_request = make_request,
    .describe = describe,
};
