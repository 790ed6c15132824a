#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "embed/image_embedder.h"
#include "image/decode.h"
#include "pipelines/embed_attributes.h"
#include "pipelines/job_run.h"
#include "pipelines/modality.h"

#define LEAST_WINDOW_RECORDS 16
#define FILE_BYTES ((size_t)256 << 10) /* of an ordinary image */
/* While an image of n pixels is decoded: 3 n of pixels, at worst 6 n of coefficients of a progressive JPEG. */
#define BYTES_PER_PIXEL 9
#define PHOTOGRAPH_PIXELS 24000000
#define DECODING_SHARE 4 /* images being decoded take this part of the memory limit at most */

static mr_status refuse_text_options(const mr_embed_options *options, mr_error *error)
{
    const char *name = options->dimension > 0 ? "dim" : options->max_tokens > 0 ? "max_tokens" : options->override_pooling ? "pooling"
                     : options->prompt_name || options->prompt_text ? "prompt" : NULL;
    return name ? mr_error_set(error, MR_CONFIG, "embedding.%s means nothing to a model of images", name) : MR_OK;
}

/* Where memory is short, rather fewer threads than photographs that do not fit. */
static void plan_decoding(uint64_t wanted, mr_job_plan *plan)
{
    const uint64_t pixels = plan->memory_limit / DECODING_SHARE / BYTES_PER_PIXEL;
    plan->prepare_threads = plan->cores;
    while (plan->prepare_threads > 1 && pixels / plan->prepare_threads < PHOTOGRAPH_PIXELS) plan->prepare_threads--;
    plan->max_pixels = wanted < pixels / plan->prepare_threads ? wanted : pixels / plan->prepare_threads;
    plan->prepare_bytes = plan->prepare_threads * plan->max_pixels * BYTES_PER_PIXEL;
}

/* The decoding threads compete with the model's for the same cores: whoever has work takes them, and the window keeps decoding from
 * running away. */
static mr_status plan_images(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_image_embedding_shape *shape = &plan->image;
    MR_TRY(refuse_text_options(&plan->embed_options, error));
    MR_TRY(mr_image_embedding_shape_read(plan->model_path, shape, error));
    shape->processor.always_horizontal_first = job->pillow == MR_PILLOW_12;
    plan->dimension = shape->dimension;
    plan->input_tokens = shape->tokens;
    plan->record_bytes = FILE_BYTES + 3 * shape->processor.width * shape->processor.height + plan->dimension * sizeof(float);
    plan->least_window_records = LEAST_WINDOW_RECORDS;
    plan_decoding(job->max_pixels > 0 ? job->max_pixels : MR_DECODE_MAX_PIXELS, plan);
    return MR_OK;
}

static size_t prepared_bytes(const mr_job_plan *plan, const mr_record *record)
{
    (void)record;
    return 3 * plan->image.processor.width * plan->image.processor.height;
}

static mr_status resize(const mr_image_processor *processor, const mr_bitmap *bitmap, mr_prepared *out, mr_error *error)
{
    out->pixels = malloc(3 * processor->width * processor->height);
    if (!out->pixels) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    MR_TRY(mr_image_processor_run(processor, bitmap, out->pixels, error));
    out->input.image = (mr_image){ .pixels = out->pixels, .width = processor->width, .height = processor->height };
    return MR_OK;
}

static mr_status prepare(const mr_job *job, const mr_job_plan *plan, mr_tokenizer_scratch *scratch, const mr_record *record, mr_prepared *out,
                         mr_error *error)
{
    (void)scratch;
    if (record->image.length == 0) return mr_error_set(error, MR_BAD_RECORD, "the record holds no image; this model embeds images (--modality text: its texts)");
    const mr_image_processor *processor = &plan->image.processor;
    const mr_decode_options options = { .max_pixels = plan->max_pixels, .alpha_on_white = job->alpha == MR_ALPHA_WHITE,
                                        .shrink_to = job->fast_decode == 1 ? mr_image_processor_shortest(processor) : 0 };
    mr_bitmap bitmap = { 0 };
    MR_TRY(mr_image_decode((const uint8_t *)record->image.data, record->image.length, &options, &bitmap, error));
    out->width = (uint32_t)bitmap.full_width;
    out->height = (uint32_t)bitmap.full_height;
    out->tokens = plan->image.tokens;
    mr_status status = resize(processor, &bitmap, out, error);
    mr_bitmap_free(&bitmap);
    return status;
}

static void make_request(const void *inputs, size_t count, mr_modality_request *out)
{
    out->image = (mr_image_embedding_request){ .images = inputs, .count = count };
}

static void describe(const mr_job_plan *plan, mr_embed_attributes *out)
{
    const mr_image_processor *processor = &plan->image.processor;
    mr_embed_attributes_add(out, "normalized", mr_strdup(plan->embed_options.normalize == MR_CHOICE_NO ? "false" : "true"));
    mr_embed_attributes_add(out, "image_size", mr_strf("%zux%zu", processor->width, processor->height));
}

const mr_modality mr_modality_image = {
    .name = "image",
    .inputs = "images",
    .preparing = "decode",
    .model = &mr_image_embedder,
    .input_bytes = sizeof(mr_image),
    .plan = plan_images,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .make_request = make_request,
    .describe = describe,
};
