/* First stage: records of the source enter the window. */
#include "pipelines/embed_run.h"

#include <stdlib.h>

#include "core/fault.h"

static size_t item_bytes(const mr_job_run *run, const mr_record *record)
{
    return mr_record_bytes(record) + run->plan->modality->prepared_bytes(run->plan, record) + run->plan->dimension * sizeof(float) + sizeof(mr_embed_item);
}

/* END at the end of the input or of this stretch. */
static mr_status read_one(mr_job_run *run, uint64_t end, mr_error *error)
{
    if (mr_source_position(run->source) >= end) return MR_END;
    mr_record *record;
    int64_t begin = mr_trace_begin();
    mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_READ]);
    MR_FAULT("read");
    mr_status status = mr_source_next(run->source, &record, error);
    mr_pulse_end(&run->watchdog.pulses[MR_STAGE_READ]);
    MR_TRY(status);
    mr_trace_end(begin, "read", "bytes", mr_record_bytes(record));
    mr_embed_item *item = calloc(1, sizeof *item);
    if (!item) {
        mr_record_free(record);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory while reading");
    }
    item->record = record;
    item->window_bytes = item_bytes(run, record);
    status = mr_window_enter(run->window, item->window_bytes, &item->sequence);
    if (status == MR_OK) {
        atomic_fetch_add(&run->read, 1);
        status = mr_queue_push(run->to_prepare, item, 0, MR_CLOCK_FOREVER);
    }
    if (status != MR_OK) mr_embed_item_free(item); /* cancelled: nobody waits for it */
    return status;
}

static mr_status read_stretch(mr_job_run *run, uint64_t end, mr_error *error)
{
    mr_status status = MR_OK;
    while (status == MR_OK && !atomic_load(&run->stopping)) status = read_one(run, end, error);
    return status;
}

/* Only what is this shard's and no earlier run has committed. To the end of the input in any case: the writer wants to
 * know how many records there are. */
static mr_status read_missing(mr_job_run *run, mr_error *error)
{
    mr_status status = MR_OK;
    while (!atomic_load(&run->stopping)) {
        mr_range stretch = mr_shard_next_stretch(&run->plan->shard, run->committed, run->committed_count, mr_source_position(run->source));
        mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_READ]);
        status = mr_source_skip_to(run->source, stretch.first, error);
        mr_pulse_end(&run->watchdog.pulses[MR_STAGE_READ]);
        if (status == MR_OK) status = read_stretch(run, stretch.end, error);
        if (status != MR_END || mr_source_position(run->source) < stretch.end) return status; /* failed, or the input's own end */
    }
    return status;
}

void *mr_embed_read(void *argument)
{
    mr_job_run *run = argument;
    mr_error error = { 0 };
    mr_trace_name_thread("read");
    mr_pulse_attach(&run->watchdog.pulses[MR_STAGE_READ]);
    atomic_store(&run->started_ns, mr_clock_now(run->clock));
    mr_status status = read_missing(run, &error);
    /* A broken archive: what was readable is still computed and committed before the job fails. */
    if (status != MR_OK && status != MR_END && status != MR_CANCELLED) mr_embed_run_record_error(run, &error);
    atomic_store(&run->read_done, true);
    mr_window_close(run->window);
    mr_queue_close(run->to_prepare);
    return NULL;
}
