/* Plan and run a job: source -> prepare -> batch -> model -> ordered sink, one thread group per stage.
 *
 *   mr_job_plan_make   sizes every stage from cores, memory limit and the model's estimate; runs nothing
 *   mr_job_run_start       starts the threads and returns
 *   mr_job_run_progress, mr_job_run_stop   from any thread meanwhile
 *   mr_job_run_finish      waits, frees, tells how it ended
 *
 * Nothing here prints or handles signals. */
#ifndef MR_PIPELINES_JOB_RUN_H
#define MR_PIPELINES_JOB_RUN_H

#include "capability/model.h"
#include "embed/image_embedder.h"
#include "embed/prepare_text.h"
#include "pipelines/job.h"
#include "pipelines/modality.h"
#include "pipelines/shard.h"

typedef struct mr_job_plan {
    char *model_path;          /* owned */
    char *model_key;           /* owned: the key, or the path when no key was given */
    char *catalogue_prompt;    /* owned: what the catalogue knows as the prompt asked for; NULL: nothing */
    mr_model_options model_options; /* precision is never AUTO; points to embed_options */
    mr_embed_options embed_options;
    char *weights_path;        /* owned: where the files with the weights are */
    size_t cores;              /* this process may use */

    /* The modality's part. */
    const mr_modality *modality;
    mr_text_preparer *preparer; /* texts; owned: shared by whoever runs the plan */
    mr_image_embedding_shape image; /* images */
    uint64_t max_pixels;       /* images */
    size_t dimension;          /* of the vectors written */
    size_t max_tokens;         /* of a text */
    size_t input_tokens;       /* of every input; 0: they differ */
    size_t attention_length;   /* see batch/batcher.h */
    size_t prepare_threads;
    uint64_t prepare_bytes;    /* what they need at most, together; what they need for texts is in window_bytes */
    size_t record_bytes;       /* of an ordinary record, prepared */
    size_t least_window_records;

    mr_shard shard;
    size_t readers;            /* files read at once */
    size_t workers;
    size_t window_records;     /* records in flight between source and sink at most */
    size_t window_bytes;       /* and their bytes */
    uint64_t memory_limit;     /* bytes the process may use */
    uint64_t memory_effective; /* what machine, container and rlimits allow, before the percentage */
    const char *memory_source; /* which of them is the narrowest, for messages; static */
    uint64_t base_bytes;       /* program, libraries, tokenizer */
    uint64_t shared_bytes;     /* weights */
    uint64_t worker_bytes;     /* each */
    uint64_t read_ahead_bytes; /* records that several readers hold before they enter the window; part of window_bytes */
    uint64_t sink_bytes;       /* rows held until their part is committed */
    uint64_t total_bytes;      /* sum of the above */
    uint64_t input_bytes;      /* of all files, compressed; 0 = unknown */
    size_t input_files;
    bool inputs_are_lines;     /* JSON lines or lines of text, all of them */
    double flops_per_token;    /* of the linear layers; 0 = unknown */
} mr_job_plan;

/* MEMORY_EXHAUSTED says what would make it fit. `job` must have passed mr_job_check (or, without
 * input, mr_job_check_model). The plan points into itself: it must
 * not be moved. */
mr_status mr_job_plan_make(const mr_job *job, mr_job_plan *out, mr_error *error);
void mr_job_plan_fini(mr_job_plan *plan);

typedef struct mr_job_progress {
    uint64_t input_consumed;  /* bytes */
    uint64_t input_total;     /* 0 = unknown */
    bool read_done;
    uint64_t resumed;         /* rows of this shard that earlier runs had committed */
    uint64_t resumed_failed;  /* failed rows among them; known behind finish, when the output is whole */
    uint64_t read;            /* records read in this run, those already committed not counted */
    uint64_t prepared;
    uint64_t prepared_tokens;
    uint64_t computed;
    uint64_t written;         /* handed to the sink in order */
    uint64_t ok;
    uint64_t truncated;
    uint64_t failed;
    uint64_t tokens;          /* of computed records */
    int64_t elapsed_ns;       /* since the first record was read */
    size_t workers_ready;
    bool finishing;           /* all rows committed, joining the parts */
    char first_failure[256];  /* behind finish: "id: reason" of the first record of this run that failed; "" */
    bool abandoned;           /* behind finish: a thread hangs and keeps what it uses. End the process without exit handlers */
} mr_job_progress;

typedef struct mr_job_run mr_job_run;

/* *finished = true: the output of this very job exists already; nothing was started and *out not written. */
mr_status mr_job_run_start(const mr_job *job, const mr_job_plan *plan, mr_job_run **out, bool *finished, mr_error *error);
void mr_job_run_progress(mr_job_run *run, mr_job_progress *out);
/* Graceful: reading stops, what is in flight is finished and committed. Idempotent. */
void mr_job_run_stop(mr_job_run *run);
/* Waits for the end of every stage; false when `timeout_ns` passed before. Watches them meanwhile, so call it often: a stage
 * without a sign of life for job->stall_timeout ends the job with TIMEOUT. */
bool mr_job_run_wait(mr_job_run *run, int64_t timeout_ns);
/* Blocks until done, frees the run. OK, RECORDS_FAILED (done, some failed), INCOMPLETE (stopped early), or the error
 * that ended it. `last` receives the final progress also on failure. */
mr_status mr_job_run_finish(mr_job_run *run, mr_job_progress *last, mr_error *error);

#endif
