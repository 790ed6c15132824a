/* Last stage: records leave the window in order, become rows of the sink, and decide how the job ends. */
#include "pipelines/embed_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"

#define WRITER_TICK (100 * MR_CLOCK_MILLISECOND) /* how soon the deadline of a graceful stop is noticed */

/* Has "max_failed" been passed? Percentages are of the records written so far, at least 100 of them, so that one early
 * failure does not end a job that allows 1 %. */
static bool too_many_failed(const mr_job_run *run)
{
    if (!run->job->max_failed) return false;
    char *end;
    double allowed = strtod(run->job->max_failed, &end);
    double failed = (double)atomic_load(&run->failed), written = (double)atomic_load(&run->written);
    if (*end != '%') return failed > allowed;
    return failed > allowed / 100.0 * fmax(written, 100.0);
}

static mr_status check_policy(const mr_job_run *run, const mr_embed_item *item, mr_error *error)
{
    if (item->status != MR_ROW_FAILED) return MR_OK;
    if (run->job->on_error == MR_ON_ERROR_FAIL)
        return mr_error_set(error, MR_BAD_RECORD, "record %.*s: %s (--on-error fail)", (int)item->record->id.length, item->record->id.data, item->error_text);
    if (too_many_failed(run))
        return mr_error_set(error, MR_BAD_INPUT, "more than %s of the records have failed; the last: record %.*s: %s", run->job->max_failed,
                            (int)item->record->id.length, item->record->id.data, item->error_text);
    return MR_OK;
}

/* For the summary: cut at a whole character, and nothing a terminal would obey. */
static void note_failure(mr_job_run *run, const mr_embed_item *item)
{
    if (item->status != MR_ROW_FAILED || run->first_failure[0]) return;
    const mr_str id = item->record->id;
    char *text = run->first_failure;
    snprintf(text, sizeof run->first_failure, "%.*s: %s", (int)id.length, id.data ? id.data : "", item->error_text ? item->error_text : "");
    text[mr_utf8_check(text, strlen(text))] = '\0';
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F) *text = '?';
}

static mr_status write_item(mr_job_run *run, const mr_embed_item *item, mr_error *error)
{
    const mr_record *record = item->record;
    const mr_embedding_row row = { .ordinal = record->ordinal, .status = item->status, .id = record->id, .error = mr_str_of(item->error_text), .text = record->text,
                                   .vector = item->vector, .tokens = (uint32_t)item->prepared.tokens,
                                   .width = item->prepared.width, .height = item->prepared.height, .source_index = record->source_index,
                                   .source_record = record->source_record };
    int64_t begin = mr_trace_begin();
    MR_TRY(mr_sink_put(run->sink, &row, error));
    mr_trace_end(begin, "write", NULL, 0);
    note_failure(run, item);
    atomic_fetch_add(&run->written, 1);
    atomic_fetch_add(item->status == MR_ROW_FAILED ? &run->failed : item->status == MR_ROW_TRUNCATED ? &run->truncated : &run->ok, 1);
    return check_policy(run, item, error);
}

/* Until the window is empty, the stop deadline has passed, or something failed. */
static mr_status write_all(mr_job_run *run, mr_error *error)
{
    for (;;) {
        void *taken;
        mr_status status = mr_window_next(run->window, &taken, mr_clock_deadline(run->clock, WRITER_TICK));
        if (mr_clock_now(run->clock) >= atomic_load(&run->stop_deadline)) {
            if (status == MR_OK) mr_embed_item_free(taken);
            return MR_CANCELLED;
        }
        if (status == MR_TIMEOUT) continue;
        if (status != MR_OK) return status;
        mr_embed_item *item = taken;
        mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_WRITE]);
        MR_FAULT("write");
        status = write_item(run, item, error);
        mr_pulse_end(&run->watchdog.pulses[MR_STAGE_WRITE]);
        mr_window_leave(run->window, item->window_bytes);
        mr_embed_item_free(item);
        MR_TRY(status);
    }
}

static bool has_error(mr_job_run *run)
{
    pthread_mutex_lock(&run->lock);
    bool failed = run->error.status != MR_OK;
    pthread_mutex_unlock(&run->lock);
    return failed;
}

/* The whole output, or this shard's share of it, is there. */
static mr_status finish(mr_job_run *run, mr_error *error)
{
    uint64_t total = mr_source_position(run->source);
    atomic_store(&run->finishing, true);
    atomic_store(&run->ended_ns, mr_clock_now(run->clock));
    if (run->plan->shard.count > 1) return mr_sink_finish_shard(run->sink, total, error);
    MR_TRY(mr_sink_finish(run->sink, total, error));
    const uint64_t failed = mr_sink_failed_rows(run->sink); /* those of earlier runs count */
    atomic_store(&run->resumed_failed, failed - atomic_load(&run->failed));
    if (failed > 0) run->outcome = MR_RECORDS_FAILED;
    return MR_OK;
}

void *mr_embed_write(void *argument)
{
    mr_job_run *run = argument;
    mr_error error = { 0 };
    mr_pulse *pulse = &run->watchdog.pulses[MR_STAGE_WRITE];
    mr_trace_name_thread("write");
    mr_pulse_attach(pulse);
    mr_status status = write_all(run, &error);
    mr_pulse_begin(pulse);
    if (status == MR_END && !has_error(run) && !atomic_load(&run->stopping)) {
        status = finish(run, &error);
    } else {
        /* Stopped, or something failed elsewhere: what came through in order is kept. */
        mr_error commit_error = { 0 };
        mr_status committed = mr_sink_commit(run->sink, &commit_error);
        if (status == MR_END || status == MR_CANCELLED) {
            status = committed;
            error = commit_error;
        }
        run->outcome = MR_INCOMPLETE;
    }
    mr_pulse_end(pulse);
    if (status != MR_OK) mr_embed_run_fail(run, &error);
    mr_window_cancel(run->window); /* whoever still wants to enter is too late */
    mr_embed_run_end(run);
    return NULL;
}
