/* The running embedding job: what its stages share. Internal to pipelines/. */
#ifndef MR_PIPELINES_EMBED_RUN_H
#define MR_PIPELINES_EMBED_RUN_H

#include <stdatomic.h>

#include "core/queue.h"
#include "core/trace.h"
#include "io/sink.h"
#include "io/source.h"
#include "pipelines/embed_attributes.h"
#include "pipelines/job_run.h"
#include "pipelines/runtime.h"
#include "pipelines/watchdog.h"
#include "pipelines/window.h"

/* One record in flight. Whoever holds it owns it. */
typedef struct mr_embed_item {
    mr_record *record;
    uint64_t sequence;
    size_t window_bytes;
    mr_row_status status;
    char *error_text;      /* why it failed after the source; malloc'ed */
    mr_prepared prepared;
    float *vector;         /* [dimension]; NULL until computed */
} mr_embed_item;

void mr_embed_item_free(mr_embed_item *item); /* NULL is fine */
/* Its row will be a failed one with this reason (copied). */
void mr_embed_item_fail(mr_embed_item *item, const char *text);

struct mr_job_run {
    const mr_job *job;
    const mr_job_plan *plan;
    mr_clock *clock;

    mr_source *source;
    mr_embed_attributes attributes; /* borrowed by the sink */
    const char **source_names;      /* likewise */
    char lock_name[40];             /* likewise */
    mr_sink *sink;
    mr_runtime *runtime;
    mr_guard guard;              /* records in flight and rows held by the sink */
    mr_pool_model *model;

    mr_range *committed;         /* by earlier runs; owned */
    size_t committed_count;
    mr_window *window;           /* bounds everything below */
    mr_queue *to_prepare;        /* mr_embed_item */
    mr_queue *to_batch;          /* mr_embed_item, prepared */

    pthread_t reader, batcher, writer;
    pthread_t *preparers;
    size_t started;              /* threads running: reader, writer, batcher, then preparers */
    atomic_size_t preparers_left;

    atomic_bool stopping;        /* graceful: read no more */
    atomic_llong stop_deadline;  /* then drop what is in flight; MR_CLOCK_FOREVER while not stopping */

    mr_watchdog watchdog;
    bool hangs;                  /* it has barked; of who waits for the end, as the next */
    int64_t give_up;             /* of who waits for the end: then it leaves the run alone; MR_CLOCK_FOREVER while all is well */

    pthread_mutex_t lock;        /* ended, error, in_flight; leaf */
    pthread_cond_t end;          /* ended became true */
    bool ended;                  /* the writer is through */
    size_t in_flight;            /* requests submitted and not answered */
    mr_error error;              /* the first one; status MR_OK while there is none */
    mr_status outcome;           /* of the writer */
    char first_failure[256];     /* the writer's, until it has ended */

    atomic_ullong read, prepared, prepared_tokens, computed, tokens, written, ok, truncated, failed, resumed, resumed_failed;
    atomic_llong started_ns, ended_ns;
    atomic_bool read_done, finishing;
};

/* The writer's last act. */
void mr_embed_run_end(mr_job_run *run);
/* Remembers the first error. */
void mr_embed_run_record_error(mr_job_run *run, const mr_error *error);
/* Ends every stage at once. */
void mr_embed_run_cancel(mr_job_run *run);
/* Both. */
void mr_embed_run_fail(mr_job_run *run, const mr_error *error);

/* The stages in the order a record passes them, each a thread function whose argument is the run. A record enters the window
 * when it is read and is delivered to it once, computed or failed; the writer takes records out in order. The queues between
 * need no bound of their own: the window bounds them all. */
void *mr_embed_read(void *argument);
void *mr_embed_prepare(void *argument);
void *mr_embed_batch(void *argument);
void *mr_embed_write(void *argument);

#endif
