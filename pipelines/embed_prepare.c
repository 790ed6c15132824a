/* Second stage: text -> token ids. A record that fails goes straight to the window, the others to the batcher. */
#include "pipelines/embed_run.h"

#include <stdio.h>
#include <stdlib.h>

static void prepare_item(mr_job_run *run, mr_tokenizer_scratch *scratch, mr_embed_item *item)
{
    mr_error error;
    bool truncated = false;
    if (item->record->status != MR_OK) {
        mr_embed_item_fail(item, item->record->error_text);
        return;
    }
    if (item->record->text.length == 0 && item->record->image.length > 0) {
        mr_embed_item_fail(item, "the record is an image without text; this model embeds text");
        return;
    }
    mr_status status = mr_text_preparer_run(run->plan->preparer, scratch, item->record->text, &item->encoding, &item->prompt_tokens, &truncated, &error);
    if (status != MR_OK) {
        mr_embed_item_fail(item, error.text);
    } else if (truncated && !run->job->truncate) {
        char text[128];
        snprintf(text, sizeof text, "text has %zu tokens, more than the %zu allowed (--no-truncate)", item->encoding.full_count, run->plan->max_tokens);
        mr_embed_item_fail(item, text);
    } else {
        item->status = truncated ? MR_ROW_TRUNCATED : MR_ROW_OK;
        item->vector = malloc(run->plan->dimension * sizeof(float));
        if (!item->vector) mr_embed_item_fail(item, "out of memory");
    }
}

void *mr_embed_prepare(void *argument)
{
    mr_job_run *run = argument;
    mr_error error;
    mr_tokenizer_scratch *scratch = NULL;
    void *taken;
    mr_trace_name_thread("tokenize");
    if (mr_tokenizer_scratch_create(&scratch, &error) != MR_OK) mr_embed_run_fail(run, &error);
    while (scratch && mr_queue_pop(run->to_prepare, &taken, MR_CLOCK_FOREVER) == MR_OK) {
        mr_embed_item *item = taken;
        int64_t begin = mr_trace_begin();
        prepare_item(run, scratch, item);
        mr_trace_end(begin, "tokenize", "tokens", item->encoding.count);
        atomic_fetch_add(&run->prepared, 1);
        if (item->status == MR_ROW_FAILED) {
            mr_window_deliver(run->window, item->sequence, item);
            continue;
        }
        atomic_fetch_add(&run->prepared_tokens, item->encoding.count);
        if (mr_queue_push(run->to_batch, item, 0, MR_CLOCK_FOREVER) != MR_OK) mr_embed_item_free(item);
    }
    mr_tokenizer_scratch_destroy(scratch);
    if (atomic_fetch_sub(&run->preparers_left, 1) == 1) mr_queue_close(run->to_batch);
    return NULL;
}
