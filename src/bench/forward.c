#include "bench/forward.h"

#include <stdlib.h>

#define TURNS 5

typedef struct batch {
    size_t first, count; /* inputs */
    size_t tokens;
} batch;

/* Everything one worker touches. */
typedef struct member {
    void *worker;
    float *vectors;
    mr_status *statuses;
    size_t next; /* batch */
    mr_status failed;
    mr_error error;
} member;

typedef struct forward_run {
    const mr_bench_forward_job *job;
    batch *batches;
    size_t batch_count;
    member *members; /* [cores] */
} forward_run;

static bool are_images(const mr_bench_forward_job *job) { return job->vtable->capability == MR_CAPABILITY_IMAGE_EMBEDDING; }

static size_t tokens_of(const mr_bench_forward_job *job, size_t input) { return are_images(job) ? job->image_tokens : job->texts[input].count; }

/* As many inputs as fit the agreed number of them and of tokens, in order. */
static void cut_batches(forward_run *run)
{
    const mr_bench_forward_job *job = run->job;
    for (size_t i = 0; i < job->count; i++) {
        const size_t tokens = tokens_of(job, i);
        batch *last = run->batch_count > 0 ? &run->batches[run->batch_count - 1] : NULL;
        if (!last || last->count == job->options.max_batch_inputs || last->tokens + tokens > job->options.max_batch_tokens) {
            last = &run->batches[run->batch_count++];
            *last = (batch){ .first = i };
        }
        last->count++;
        last->tokens += tokens;
    }
}

static mr_status run_model(const mr_bench_forward_job *job, const batch *b, member *m)
{
    mr_embedding_response response = { .vectors = m->vectors, .dimension = job->dimension, .statuses = m->statuses };
    if (are_images(job)) {
        const mr_image_embedding_request request = { .images = job->images + b->first, .count = b->count };
        return job->vtable->run_batch(m->worker, &request, &response, &m->error);
    }
    const mr_text_embedding_request request = { .inputs = job->texts + b->first, .count = b->count };
    return job->vtable->run_batch(m->worker, &request, &response, &m->error);
}

static double run_batch(void *context, size_t index)
{
    forward_run *run = context;
    member *m = &run->members[index];
    const batch *b = &run->batches[m->next++ % run->batch_count];
    if (m->failed == MR_OK) m->failed = run_model(run->job, b, m);
    return (double)b->tokens;
}

static mr_status first_failure(const forward_run *run, mr_error *error)
{
    for (size_t i = 0; i < run->job->cores; i++) {
        if (run->members[i].failed == MR_OK) continue;
        if (error) *error = run->members[i].error;
        return run->members[i].failed;
    }
    return MR_OK;
}

static mr_status create_members(forward_run *run, void *model, mr_error *error)
{
    const mr_bench_forward_job *job = run->job;
    run->batches = calloc(job->count, sizeof *run->batches);
    run->members = calloc(job->cores, sizeof *run->members);
    if (!run->batches || !run->members) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < job->cores; i++) {
        member *m = &run->members[i];
        MR_TRY(job->vtable->worker_create(model, &job->options, &m->worker, error));
        m->vectors = calloc(job->options.max_batch_inputs, job->dimension * sizeof *m->vectors);
        m->statuses = calloc(job->options.max_batch_inputs, sizeof *m->statuses);
        if (!m->vectors || !m->statuses) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    cut_batches(run);
    return MR_OK;
}

static void destroy_members(forward_run *run)
{
    for (size_t i = 0; run->members && i < run->job->cores; i++) {
        if (run->members[i].worker) run->job->vtable->worker_destroy(run->members[i].worker);
        free(run->members[i].vectors);
        free(run->members[i].statuses);
    }
    free(run->members);
    free(run->batches);
}

/* Every batch once on every worker: first touches are not counted. */
static void warm_up(forward_run *run)
{
    for (size_t i = 0; i < run->job->cores; i++)
        for (size_t b = 0; b < run->batch_count; b++) (void)run_batch(run, i);
}

static double counted_tokens(void *context, size_t index)
{
    forward_run *run = context;
    double tokens = 0.0;
    for (size_t b = 0; b < run->batch_count; b++) tokens += run_batch(run, index);
    return tokens;
}

static void count_round(forward_run *run, mr_bench_forward *out)
{
    mr_counters counters;
    mr_counters_open(&counters);
    out->counted_tokens = counted_tokens(run, 0);
    mr_counters_read(&counters, out->counted);
    mr_counters_close(&counters);
}

static mr_status measure(forward_run *run, const mr_bench_progress *progress, mr_bench_machine *machine, mr_bench_forward *out, mr_error *error)
{
    const mr_bench_forward_job *job = run->job;
    warm_up(run);
    MR_TRY(first_failure(run, error));
    count_round(run, out);
    for (int turn = 0; turn < TURNS; turn++) {
        double rate;
        if (progress->show) progress->show(progress->context, (double)turn / TURNS, mr_precision_text(out->precision));
        MR_TRY(mr_bench_work_together(1, job->seconds / (2 * TURNS), run_batch, run, &rate, error));
        mr_bench_series_add(&out->one, rate);
        mr_bench_machine_probe(machine, out->format);
        MR_TRY(mr_bench_work_together(job->cores, job->seconds / (2 * TURNS), run_batch, run, &rate, error));
        mr_bench_series_add(&out->all, rate);
        MR_TRY(first_failure(run, error));
    }
    return MR_OK;
}

static void describe(const mr_bench_forward_job *job, const mr_work *work, mr_bench_forward *out)
{
    const mr_precision precision = job->options.precision;
    *out = (mr_bench_forward){ .precision = precision, .inputs = are_images(job) ? "images" : "texts", .count = job->count,
                               .linear_flops = mr_work_linear_flops(work), .f32_flops = mr_work_f32_flops(work) };
    out->format = precision == MR_PRECISION_INT8 ? MR_LINEAR_INT8 : precision == MR_PRECISION_BF16 ? MR_LINEAR_BF16 : MR_LINEAR_F32;
    for (size_t i = 0; i < job->count; i++) {
        out->tokens += tokens_of(job, i);
        out->attention_flops += mr_work_attention_flops(work, tokens_of(job, i));
    }
    out->attention_flops /= (double)out->tokens;
}

mr_status mr_bench_forward_run(const mr_bench_forward_job *job, const mr_bench_progress *progress, mr_bench_machine *machine, mr_bench_forward *out,
                               mr_error *error)
{
    mr_memory_estimate estimate;
    forward_run run = { .job = job };
    void *model = NULL;
    MR_TRY(job->vtable->estimate(job->path, &job->options, &estimate, error));
    describe(job, &estimate.work, out);
    MR_TRY(job->vtable->open(job->path, &job->options, &model, error));
    mr_status status = create_members(&run, model, error);
    if (status == MR_OK) status = measure(&run, progress, machine, out, error);
    destroy_members(&run);
    job->vtable->close(model);
    return status;
}
