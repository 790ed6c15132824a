/* Second stage: a record becomes what the model takes. One that fails goes straight to the window, the others to the batcher. */
#include "pipelines/embed_run.h"

#include <stdlib.h>

#include "core/fault.h"

static void prepare_item(mr_job_run *run, void *preparer, mr_embed_item *item)
{
    mr_error error;
    if (item->record->status != MR_OK) {
        mr_embed_item_fail(item, item->record->error_text);
    } else if (run->plan->modality->prepare(run->job, run->plan, preparer, item->record, &item->prepared, &error) != MR_OK) {
        mr_embed_item_fail(item, error.text);
    } else {
        item->status = item->prepared.truncated ? MR_ROW_TRUNCATED : MR_ROW_OK;
        item->vector = malloc(run->plan->dimension * sizeof(float));
        if (!item->vector) mr_embed_item_fail(item, "out of memory");
    }
}

static void prepare_all(mr_job_run *run, void *preparer)
{
    const char *stage = run->plan->modality->preparing;
    void *taken;
    while (mr_queue_pop(run->to_prepare, &taken, MR_CLOCK_FOREVER) == MR_OK) {
        mr_embed_item *item = taken;
        int64_t begin = mr_trace_begin();
        mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_PREPARE]);
        MR_FAULT("prepare");
        prepare_item(run, preparer, item);
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
    const mr_modality *modality = run->plan->modality;
    mr_error error;
    void *preparer = NULL;
    mr_trace_name_thread(modality->preparing);
    if (modality->preparer_create(run->plan, &preparer, &error) == MR_OK) prepare_all(run, preparer);
    else mr_embed_run_fail(run, &error);
    modality->preparer_destroy(preparer);
    if (atomic_fetch_sub(&run->preparers_left, 1) == 1) mr_queue_close(run->to_batch);
    return NULL;
}
