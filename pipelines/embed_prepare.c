/* Second stage: a record becomes what the model takes. One that fails goes straight to the window, the others to the batcher. */
#include "pipelines/embed_run.h"

#include <stdlib.h>

#include "core/fault.h"

static void prepare_item(mr_job_run *run, mr_tokenizer_scratch *scratch, mr_embed_item *item)
{
    mr_error error;
    if (item->record->status != MR_OK) {
        mr_embed_item_fail(item, item->record->error_text);
    } else if (run->plan->modality->prepare(run->job, run->plan, scratch, item->record, &item->prepared, &error) != MR_OK) {
        mr_embed_item_fail(item, error.text);
    } else {
        item->status = item->prepared.truncated ? MR_ROW_TRUNCATED : MR_ROW_OK;
        item->vector = malloc(run->plan->dimension * sizeof(float));
        if (!item->vector) mr_embed_item_fail(item, "out of memory");
    }
}

/* A photograph's file is many times what is left of it: the window has room for others. */
static void drop_image(mr_job_run *run, mr_embed_item *item)
{
    size_t before = mr_record_bytes(item->record);
    mr_record_drop_image(&item->record);
    size_t freed = before - mr_record_bytes(item->record);
    item->window_bytes -= freed;
    if (freed > 0) mr_window_shrink(run->window, freed);
}

static void prepare_all(mr_job_run *run, mr_tokenizer_scratch *scratch)
{
    const char *stage = run->plan->modality->preparing;
    void *taken;
    while (mr_queue_pop(run->to_prepare, &taken, MR_CLOCK_FOREVER) == MR_OK) {
        mr_embed_item *item = taken;
        int64_t begin = mr_trace_begin();
        mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_PREPARE]);
        MR_FAULT("prepare");
        prepare_item(run, scratch, item);
        drop_image(run, item);
        mr_pulse_end(&run->watchdog.pulses[MR_STAGE_PREPARE]);
        mr_trace_end(begin, stage, "tokens", item->prepared.tokens);
        atomic_fetch_add(&run->prepared, 1);
        if (item->status == MR_ROW_FAILED) {
            mr_window_deliver(run->window, item->sequence, item);
            continue;
        }
        atomic_fetch_add(&run->prepared_tokens, item->prepared.tokens);
        if (mr_queue_push(run->to_batch, item, 0, MR_CLOCK_FOREVER) != MR_OK) mr_embed_item_free(item);
    }
}

void *mr_embed_prepare(void *argument)
{
    mr_job_run *run = argument;
    mr_error error;
    mr_tokenizer_scratch *scratch = NULL;
    mr_trace_name_thread(run->plan->modality->preparing);
    if (mr_tokenizer_scratch_create(&scratch, &error) == MR_OK) prepare_all(run, scratch);
    else mr_embed_run_fail(run, &error);
    mr_tokenizer_scratch_destroy(scratch);
    if (atomic_fetch_sub(&run->preparers_left, 1) == 1) mr_queue_close(run->to_batch);
    return NULL;
}
