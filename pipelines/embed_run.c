/* What the stages of an embedding job share: items, and how one failure ends them all. */
#include "pipelines/embed_run.h"

#include <stdlib.h>

#include "core/str.h"

void mr_prepared_fini(mr_prepared *prepared)
{
    mr_encoding_fini(&prepared->encoding);
    free(prepared->pixels);
    *prepared = (mr_prepared){ 0 };
}

void mr_embed_item_free(mr_embed_item *item)
{
    if (!item) return;
    mr_record_free(item->record);
    mr_prepared_fini(&item->prepared);
    free(item->error_text);
    free(item->vector);
    free(item);
}

void mr_embed_item_fail(mr_embed_item *item, const char *text)
{
    item->status = MR_ROW_FAILED;
    item->error_text = mr_strdup(text);
    free(item->vector);
    item->vector = NULL;
}

void mr_embed_run_end(mr_job_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->ended = true;
    pthread_cond_broadcast(&run->end);
    pthread_mutex_unlock(&run->lock);
}

void mr_embed_run_record_error(mr_job_run *run, const mr_error *error)
{
    pthread_mutex_lock(&run->lock);
    if (run->error.status == MR_OK) run->error = *error;
    pthread_mutex_unlock(&run->lock);
}

void mr_embed_run_cancel(mr_job_run *run)
{
    atomic_store(&run->stopping, true);
    mr_source_stop(run->source);
    mr_window_cancel(run->window);
    mr_queue_close(run->to_prepare);
    mr_queue_close(run->to_batch);
    mr_runtime_begin_shutdown(run->runtime); /* a submit that waits for room returns */
}

void mr_embed_run_fail(mr_job_run *run, const mr_error *error)
{
    mr_embed_run_record_error(run, error);
    mr_embed_run_cancel(run);
}
