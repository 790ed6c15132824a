/* The whole forward pass of an embedder of texts or images: tokens a second on one core and on all, workers as in a job, no other
 * stages. An image is as many tokens as the rows it becomes. */
#ifndef MR_BENCH_FORWARD_H
#define MR_BENCH_FORWARD_H

#include "bench/machine.h"
#include "capability/image_embedding.h"
#include "capability/text_embedding.h"
#include "core/counters.h"
#include "core/work.h"

typedef struct mr_bench_forward_job {
    const mr_model_vtable *vtable; /* its capability says which of texts and images counts */
    const char *path;
    mr_model_options options;      /* one thread per worker */
    /* [count]: what a worker goes through again and again; each fits a batch. */
    const mr_text_embedding_input *texts;
    const mr_image *images;
    size_t count;
    size_t image_tokens;
    size_t dimension;              /* of the vectors */
    size_t cores;
    double seconds;
} mr_bench_forward_job;

typedef struct mr_bench_forward {
    mr_precision precision;
    mr_linear_format format;           /* of the linear layers; attention is f32 in f32, bf16 otherwise */
    const char *inputs;                /* "texts" or "images" */
    size_t count, tokens;              /* of one round through the inputs */
    double linear_flops, attention_flops; /* per token, on average over the inputs */
    double f32_flops;                  /* of linear_flops: in layers that are f32 in every precision */
    mr_bench_series one, all;          /* tokens a second */
    uint64_t counted[MR_COUNTER_COUNT]; /* of one core, after its first round; MR_COUNTER_ABSENT where not offered */
    double counted_tokens;
} mr_bench_forward;

/* Opens the model, runs one core and all in turns for about `seconds`, closes it. Errors are the model's. */
mr_status mr_bench_forward_run(const mr_bench_forward_job *job, const mr_bench_progress *progress, mr_bench_machine *machine, mr_bench_forward *out,
                               mr_error *error);

#endif
