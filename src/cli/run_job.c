/* Runs a job with everything a person sees of it: plan, progress, summary, exit code. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/trace.h"
#include "io/output.h"
#include "kernels/kernels.h"
#include "kernels/peak.h"
#include "pipelines/job_run.h"

#define LEAST_SHARED_SECONDS 1.0 /* the peak takes 30 ms to measure: a shorter run is not worth it */
#define TICK_NS (100 * MR_CLOCK_MILLISECOND) /* how fast a signal is noticed and the view moves */

/* What the cores could do in this job's precision. */
static double peak_of(const mr_job_plan *plan)
{
    mr_precision precision = plan->model_options.precision;
    mr_linear_format format = precision == MR_PRECISION_INT8 ? MR_LINEAR_INT8 : precision == MR_PRECISION_BF16 ? MR_LINEAR_BF16 : MR_LINEAR_F32;
    return mr_peak_flops(format) * (double)plan->cores;
}

static void print_estimate(FILE *out, const mr_job_plan *plan)
{
    if (plan->flops_per_token <= 0.0) return;
    double seconds_per_million = plan->flops_per_token * 1e6 / peak_of(plan);
    if (plan->input_tokens > 0)
        fprintf(out, "estimate   at most %.1f %s a second at this machine's measured peak\n",
                1e6 / seconds_per_million / (double)plan->input_tokens, plan->modality->inputs);
    else fprintf(out, "estimate   at least %.1f s per million tokens at this machine's measured peak\n", seconds_per_million);
}

static const char *plural(size_t count) { return count == 1 ? "" : "s"; }

static void print_plan(FILE *out, const mr_job *job, const mr_job_plan *plan)
{
    char a[16], b[16], c[16];
    fprintf(out, "model      %s\n           %s\n           %s kernels (%s), vectors of %zu, ", plan->model_key, plan->model_path,
            mr_precision_text(plan->model_options.precision), mr_kernels_isa_name(), plan->dimension);
    if (plan->modality == &mr_modality_image)
        fprintf(out, "images as %zu x %zu pixels, %.0f megapixels at most\n", plan->image.processor.width, plan->image.processor.height, (double)plan->max_pixels / 1e6);
    else if (plan->max_tokens > 0) fprintf(out, "texts up to %zu tokens\n", plan->max_tokens);
    else fprintf(out, "texts of any length\n");
    fprintf(out, "input      %zu file%s, %s\n", plan->input_files, plural(plan->input_files),
            plan->input_bytes ? mr_str_bytes(a, plan->input_bytes) : "size unknown");
    fprintf(out, "output     %s\n", job->output_path);
    fprintf(out, "stages     read %zu thread%s -> %s %zu -> embed %zu worker%s x %zu thread%s -> write 1   (%zu cores)\n",
            plan->readers, plural(plan->readers), plan->modality->preparing, plan->prepare_threads, plan->workers, plural(plan->workers),
            plan->model_options.threads_per_worker, plural(plan->model_options.threads_per_worker), plan->cores);
    fprintf(out, "batches    up to %zu tokens, %zu %s; %zu records in flight\n", plan->model_options.max_batch_tokens, plan->model_options.max_batch_inputs,
            plan->modality->inputs, plan->window_records);
    fprintf(out, "memory     %s = program %s", mr_str_bytes(a, plan->total_bytes), mr_str_bytes(b, plan->base_bytes));
    fprintf(out, " + weights %s", mr_str_bytes(b, plan->shared_bytes));
    fprintf(out, " + workers %zu x %s", plan->workers, mr_str_bytes(b, plan->worker_bytes));
    if (plan->prepare_bytes > 0) fprintf(out, " + images being decoded, at most %s", mr_str_bytes(b, plan->prepare_bytes));
    fprintf(out, " + records %s", mr_str_bytes(b, plan->window_bytes));
    fprintf(out, " + output %s\n", mr_str_bytes(b, plan->sink_bytes));
    fprintf(out, "           limit %s of %s\n", mr_str_bytes(b, plan->memory_limit), mr_str_bytes(c, plan->memory_effective));
}

static void print_plan_json(const mr_job *job, const mr_job_plan *plan)
{
    json_t *root = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
        "model", plan->model_key, "model_path", plan->model_path, "output", job->output_path, "precision", mr_precision_text(plan->model_options.precision),
        "dimension", (json_int_t)plan->dimension, "max_tokens", (json_int_t)plan->max_tokens, "cores", (json_int_t)plan->cores,
        "readers", (json_int_t)plan->readers, "prepare_threads", (json_int_t)plan->prepare_threads, "workers", (json_int_t)plan->workers,
        "threads_per_worker", (json_int_t)plan->model_options.threads_per_worker, "max_batch_tokens", (json_int_t)plan->model_options.max_batch_tokens,
        "window_records", (json_int_t)plan->window_records, "input_files", (json_int_t)plan->input_files, "input_bytes", (json_int_t)plan->input_bytes,
        "memory_limit", (json_int_t)plan->memory_limit, "memory_total", (json_int_t)plan->total_bytes,
        "weights_bytes", (json_int_t)plan->shared_bytes, "worker_bytes", (json_int_t)plan->worker_bytes, "output_bytes", (json_int_t)plan->sink_bytes);
    if (!root) return;
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

/* Share of what the cores could do: the linear layers' operations per second over the peak measured in the same precision. */
static double peak_share(const mr_job_plan *plan, const mr_job_progress *p)
{
    double seconds = (double)p->elapsed_ns / (double)MR_CLOCK_SECOND;
    double peak = peak_of(plan);
    return seconds > 0.0 && peak > 0.0 ? (double)p->tokens * plan->flops_per_token / seconds / peak : 0.0;
}

static void print_summary(const mr_job *job, const mr_job_plan *plan, const mr_job_progress *p, mr_status status)
{
    char ok[32], truncated[32], failed[32], tokens[32], resumed[32], rss[16], limit[16];
    double seconds = (double)p->elapsed_ns / (double)MR_CLOCK_SECOND;
    double safe = seconds > 0.0 ? seconds : 1e-9;
    fprintf(stderr, "%s: %s ok, %s truncated, %s failed", status == MR_INCOMPLETE ? "stopped" : "done", mr_format_count(ok, p->ok),
            mr_format_count(truncated, p->truncated), mr_format_count(failed, p->failed));
    if (p->resumed) fprintf(stderr, ", %s from earlier runs", mr_format_count(resumed, p->resumed));
    if (p->resumed_failed) fprintf(stderr, " (%s of them failed)", mr_format_count(failed, p->resumed_failed));
    if (status == MR_OK && p->read + p->resumed == 0 && plan->shard.count <= 1) fprintf(stderr, "\n      the input holds no record");
    if (p->first_failure[0]) fprintf(stderr, "\n      the first that failed: %s", p->first_failure);
    if (plan->input_tokens > 0) fprintf(stderr, "\n      %s %s in %.1f s: %.1f %s/s", mr_format_count(tokens, p->computed), plan->modality->inputs, seconds,
                                        (double)p->computed / safe, plan->modality->inputs);
    else fprintf(stderr, "\n      %s tokens in %.1f s: %.0f records/s, %.0f tokens/s", mr_format_count(tokens, p->tokens), seconds, (double)p->computed / safe,
                 (double)p->tokens / safe);
    if (plan->flops_per_token > 0.0 && seconds >= LEAST_SHARED_SECONDS) fprintf(stderr, ", %.0f %% of this machine's measured peak", 100.0 * peak_share(plan, p));
    fprintf(stderr, "\n      peak memory %s of %s\n", mr_str_bytes(rss, mr_mem_peak_rss()), mr_str_bytes(limit, plan->memory_limit));
    if (status == MR_INCOMPLETE) fprintf(stderr, "      committed parts are in %s.parts/; run the same command again to go on\n", job->output_path);
    else if (strcmp(job->output_path, "-") != 0) fprintf(stderr, "      output: %s\n", job->output_path);
}

static void print_summary_json(const mr_job *job, const mr_job_plan *plan, const mr_job_progress *p, mr_status status)
{
    double seconds = (double)p->elapsed_ns / (double)MR_CLOCK_SECOND;
    double safe = seconds > 0.0 ? seconds : 1e-9;
    json_t *root = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:I,s:I,s:s,s:o}", "status", mr_status_name(status), "ok", (json_int_t)p->ok,
        "truncated", (json_int_t)p->truncated, "failed", (json_int_t)p->failed, "resumed", (json_int_t)p->resumed,
        "resumed_failed", (json_int_t)p->resumed_failed, "tokens", (json_int_t)p->tokens,
        "seconds", seconds, "records_per_second", (double)p->computed / safe, "tokens_per_second", (double)p->tokens / safe,
        "share_of_peak", peak_share(plan, p), "peak_rss", (json_int_t)mr_mem_peak_rss(), "memory_limit", (json_int_t)plan->memory_limit,
        "output", job->output_path, "first_failure", p->first_failure[0] ? json_string(p->first_failure) : json_null());
    if (!root) return;
    json_dumpf(root, stderr, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', stderr);
    json_decref(root);
}

/* Nothing was done; what an earlier run left is told. */
static void report_finished(const mr_job *job, const mr_job_plan *plan, const mr_job_flags *flags)
{
    mr_output_state state = { 0 };
    (void)mr_output_inspect(job->output_path, &state, NULL);
    const unsigned long long failed = state.by_status[MR_ROW_FAILED];
    if (flags->json) {
        print_summary_json(job, plan, &(mr_job_progress){ .resumed = state.rows, .resumed_failed = failed }, MR_OK);
        return;
    }
    if (mr_cli_verbosity() < 0) return;
    fprintf(stderr, "millrace: %s %s; nothing to do\n", job->output_path, job->retry_failed ? "has no failed rows" : "is complete already");
    if (failed) fprintf(stderr, "          %llu of its rows failed; to run these again: millrace retry-failed %s\n", failed, job->output_path);
}

/* What there is of an output whose run failed, and what can be done with it. */
static void report_committed(const char *path, mr_status why)
{
    mr_output_state state;
    char rows[32];
    if (mr_output_inspect(path, &state, NULL) != MR_OK || state.finished || state.rows == 0) return;
    fprintf(stderr, "          %s rows are committed in %s.parts/", mr_format_count(rows, state.rows), path);
    if (why == MR_BAD_INPUT) fprintf(stderr, "; to make a file of them: millrace merge %s.parts/part-*.h5 -o SOME.h5\n", path);
    else fprintf(stderr, "; the same command goes on from there\n");
}

/* In the signals' own thread: the second one ends the process whatever the others are doing. */
static void on_signal(void *context, int signal_number, unsigned count)
{
    atomic_int *first = context;
    if (count == 1) {
        atomic_store(first, signal_number);
        return;
    }
    static const char text[] = "millrace: stopped at once; committed parts are intact\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(mr_status_exit_code(MR_INCOMPLETE));
}

/* Waits for the end of the run, drawing; a signal stops it gracefully. */
static void watch(mr_job_run *run, const mr_job_plan *plan, mr_progress_view *view, atomic_int *first_signal)
{
    while (!mr_job_run_wait(run, TICK_NS)) {
        mr_job_progress progress;
        mr_job_run_progress(run, &progress);
        mr_progress_view_update(view, &progress, plan, mr_clock_now(mr_clock_monotonic()), false);
        int signal_number = atomic_exchange(first_signal, 0);
        if (signal_number == 0) continue;
        mr_progress_view_end(view);
        fprintf(stderr, "millrace: %s: finishing what is in flight (again: stop at once)\n", signal_number == SIGINT ? "interrupted" : "terminated");
        mr_job_run_stop(run);
    }
}

/* Found out before hours have gone by. */
static bool can_create(const char *path, mr_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) close(fd);
    else mr_error_set(error, MR_CANNOT_CREATE, "cannot create %s: %s", path, strerror(errno));
    return fd >= 0;
}

static int run_planned(const mr_job *job, const mr_job_plan *plan, const mr_job_flags *flags, atomic_int *first_signal)
{
    mr_error error = { 0 };
    mr_job_run *run;
    bool finished;
    if (flags->trace && !can_create(flags->trace, &error)) return mr_cli_fail(&error);
    if (flags->trace) mr_trace_start();
    if (mr_job_run_start(job, plan, &run, &finished, &error) != MR_OK) return mr_cli_fail(&error);
    if (finished) {
        report_finished(job, plan, flags);
        return 0;
    }
    mr_progress_view view;
    mr_job_progress progress;
    mr_progress_view_init(&view, flags->json || mr_cli_verbosity() < 0, job->limit);
    watch(run, plan, &view, first_signal);
    mr_status status = mr_job_run_finish(run, &progress, &error);
    mr_progress_view_update(&view, &progress, plan, 0, true);
    mr_progress_view_end(&view);

    mr_error trace_error;
    if (flags->trace && mr_trace_write(flags->trace, &trace_error) != MR_OK) fprintf(stderr, "millrace: %s\n", trace_error.text);
    bool ended_well = status == MR_OK || status == MR_RECORDS_FAILED || status == MR_INCOMPLETE;
    if (flags->json) print_summary_json(job, plan, &progress, status);
    else if (ended_well && mr_cli_verbosity() >= 0) print_summary(job, plan, &progress, status);
    int code = ended_well ? mr_status_exit_code(status) : mr_cli_fail(&error);
    if (!ended_well && !progress.abandoned && !flags->json) report_committed(job->output_path, status);
    if (progress.abandoned) {
        fflush(NULL);
        _exit(code);
    }
    return code;
}

static int run_with_signals(const mr_job *job, const mr_job_plan *plan, const mr_job_flags *flags)
{
    mr_error error;
    mr_signals *signals;
    atomic_int first_signal = 0;
    if (!flags->json && mr_cli_verbosity() >= 0) print_plan(stderr, job, plan);
    if (mr_signals_start(on_signal, &first_signal, &signals, &error) != MR_OK) return mr_cli_fail(&error);
    int code = run_planned(job, plan, flags, &first_signal);
    mr_signals_stop(signals);
    return code;
}

int mr_cli_run_job(mr_job *job, const mr_job_flags *flags)
{
    mr_error error = { 0 };
    mr_job_plan plan;
    if (mr_kernels_init(flags->isa, &error) != MR_OK) return mr_cli_fail(&error);
    if (mr_job_check(job, &error) != MR_OK || mr_job_plan_make(job, &plan, &error) != MR_OK) return mr_cli_fail(&error);
    int code = 0;
    if (flags->plan_only && flags->json) print_plan_json(job, &plan);
    else if (flags->plan_only) {
        print_plan(stdout, job, &plan);
        print_estimate(stdout, &plan);
    }
    else code = run_with_signals(job, &plan, flags);
    mr_job_plan_fini(&plan);
    return code;
}

/* Flags are read twice: once to find the operand, then on top of what is loaded from there. */
int mr_cli_run_loaded(const mr_command *command, int argc, char **argv, const char *operand, mr_cli_job_loader *load, bool plan_only)
{
    mr_job job;
    mr_job_flags flags = { .plan_only = plan_only };
    mr_error error;
    int first_operand, code = 0;
    mr_job_init(&job);
    if (!mr_cli_read_job_flags(command, argc, argv, &job, &flags, &first_operand, &code)) goto done;
    if (first_operand + 1 != argc) {
        code = mr_cli_usage(command, "name %s, and one only", operand);
        goto done;
    }
    mr_job_fini(&job);
    if (load(&job, argv[first_operand], &error) != MR_OK) {
        code = mr_cli_fail(&error);
        goto done;
    }
    optind = 0; /* start over (glibc) */
    if (mr_cli_read_job_flags(command, argc, argv, &job, &flags, &first_operand, &code)) code = mr_cli_run_job(&job, &flags);
done:
    mr_job_fini(&job);
    return code;
}
