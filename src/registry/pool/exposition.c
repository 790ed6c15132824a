/* The metrics of a model, and of all in Prometheus' text format. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "registry/pool/pool_model.h"

void mr_pool_model_metrics(mr_pool_model *model, mr_model_metrics *out)
{
    pthread_mutex_lock(&model->lock);
    *out = model->metrics;
    out->pending = mr_pool_pending(model);
    out->queued = model->orphans.count;
    out->breaker = mr_breaker_state_at(&model->breaker, mr_pool_now(model));
    for (size_t i = 0; i < model->worker_count; i++) {
        const mr_worker *worker = model->workers[i];
        bool asked_to_leave = worker->leave && worker->state != MR_WORKER_FAILED; /* whatever it still finishes */
        out->workers[asked_to_leave ? MR_WORKER_EVICTING : worker->state]++;
        out->queued += mr_worker_queued(worker);
    }
    pthread_mutex_unlock(&model->lock);
}

/* ---------------------------------------------------------------- Prometheus' text format */

#define MODELS_MAX 1024 /* more models than that in one process are not shown */

typedef struct gathered {
    mr_model_metrics *models;
    size_t count;
} gathered;

static void gather(mr_pool_model *model, void *context)
{
    gathered *all = context;
    if (all->count < MODELS_MAX) mr_pool_model_metrics(model, &all->models[all->count++]);
}

static bool header(mr_buf *out, const char *name, const char *type, const char *help)
{
    return mr_buf_printf(out, "# HELP millrace_%s %s\n# TYPE millrace_%s %s\n", name, help, name, type);
}

/* Backslash, quote and newline are the three characters a label value escapes. */
static bool append_escaped(mr_buf *out, const char *text)
{
    for (; *text; text++) {
        const char *escaped = *text == '\\' ? "\\\\" : *text == '"' ? "\\\"" : *text == '\n' ? "\\n" : NULL;
        if (!(escaped ? mr_buf_append_str(out, escaped) : mr_buf_append(out, text, 1))) return false;
    }
    return true;
}

/* `millrace_NAME{model="KEY",capability="CAPABILITY"`: the caller goes on. */
static bool sample(mr_buf *out, const char *name, const mr_model_metrics *model)
{
    return mr_buf_printf(out, "millrace_%s{model=\"", name) && append_escaped(out, model->key) &&
           mr_buf_printf(out, "\",capability=\"%s\"", mr_capability_text(model->capability));
}

static bool format_counters(mr_buf *out, const gathered *all)
{
    bool ok = true;
#define COUNTER(field, help)                                                                \
    ok = ok && header(out, #field "_total", "counter", help);                                \
    for (size_t i = 0; i < all->count && ok; i++)                                            \
        ok = sample(out, #field "_total", &all->models[i]) && mr_buf_printf(out, "} %llu\n", (unsigned long long)all->models[i].field);
    MR_COUNTER_LIST(COUNTER)
#undef COUNTER
    return ok;
}

static bool format_finished(mr_buf *out, const gathered *all)
{
    bool ok = header(out, "finished_total", "counter", "Requests answered, by status.");
    for (size_t i = 0; i < all->count; i++)
        for (int status = 0; status < MR_STATUS_COUNT && ok; status++)
            if (all->models[i].finished[status] > 0)
                ok = sample(out, "finished_total", &all->models[i]) &&
                     mr_buf_printf(out, ",status=\"%s\"} %llu\n", mr_status_name((mr_status)status), (unsigned long long)all->models[i].finished[status]);
    return ok;
}

static bool format_latency(mr_buf *out, const gathered *all)
{
    bool ok = header(out, "latency_seconds", "histogram", "Time from submission to answer.");
    for (size_t i = 0; i < all->count && ok; i++) {
        const mr_model_metrics *model = &all->models[i];
        unsigned long long cumulative = 0;
        for (size_t bucket = 0; bucket < MR_LATENCY_BUCKETS && ok; bucket++) {
            cumulative += model->latency[bucket];
            ok = sample(out, "latency_seconds_bucket", model) && mr_buf_printf(out, ",le=\"%g\"} %llu\n", mr_latency_bound_seconds(bucket), cumulative);
        }
        cumulative += model->latency[MR_LATENCY_BUCKETS];
        ok = ok && sample(out, "latency_seconds_bucket", model) && mr_buf_printf(out, ",le=\"+Inf\"} %llu\n", cumulative) &&
             sample(out, "latency_seconds_sum", model) && mr_buf_printf(out, "} %.9g\n", model->latency_seconds) &&
             sample(out, "latency_seconds_count", model) && mr_buf_printf(out, "} %llu\n", cumulative);
    }
    return ok;
}

static bool format_gauges(mr_buf *out, const gathered *all)
{
    bool ok = header(out, "queue_depth", "gauge", "Requests waiting in queues.");
    for (size_t i = 0; i < all->count && ok; i++)
        ok = sample(out, "queue_depth", &all->models[i]) && mr_buf_printf(out, "} %zu\n", all->models[i].queued);
    ok = ok && header(out, "pending_requests", "gauge", "Requests waiting or running.");
    for (size_t i = 0; i < all->count && ok; i++)
        ok = sample(out, "pending_requests", &all->models[i]) && mr_buf_printf(out, "} %zu\n", all->models[i].pending);
    ok = ok && header(out, "breaker_state", "gauge", "Circuit breaker: 0 closed, 1 open, 2 half-open.");
    for (size_t i = 0; i < all->count && ok; i++)
        ok = sample(out, "breaker_state", &all->models[i]) && mr_buf_printf(out, "} %d\n", (int)all->models[i].breaker);
    ok = ok && header(out, "workers", "gauge", "Workers, by state.");
    for (size_t i = 0; i < all->count; i++)
        for (int state = 0; state < MR_WORKER_DEAD && ok; state++)
            ok = sample(out, "workers", &all->models[i]) &&
                 mr_buf_printf(out, ",state=\"%s\"} %zu\n", mr_worker_state_text((mr_worker_state)state), all->models[i].workers[state]);
    return ok;
}

static bool format_memory(mr_buf *out, const mr_governor *governor)
{
    bool ok = header(out, "memory_limit_bytes", "gauge", "What the memory governor may hand out.") &&
              mr_buf_printf(out, "millrace_memory_limit_bytes %zu\n", mr_governor_limit(governor)) &&
              header(out, "memory_acquired_bytes", "gauge", "What it has handed out, by use.");
    for (int tag = 0; tag < MR_MEM_TAG_COUNT && ok; tag++)
        ok = mr_buf_printf(out, "millrace_memory_acquired_bytes{use=\"%s\"} %zu\n", mr_mem_tag_text((mr_mem_tag)tag),
                           mr_governor_used_by(governor, (mr_mem_tag)tag));
    return ok && header(out, "resident_bytes", "gauge", "Resident set of the process.") &&
           mr_buf_printf(out, "millrace_resident_bytes %zu\n", mr_mem_rss()) &&
           header(out, "memory_pressure", "gauge", "Memory pressure: 0 low, 1 normal, 2 high, 3 critical.") &&
           mr_buf_printf(out, "millrace_memory_pressure %d\n", (int)mr_governor_pressure(governor));
}

mr_status mr_pools_format_metrics(mr_pools *pools, mr_buf *out, mr_error *error)
{
    gathered all = { .models = calloc(MODELS_MAX, sizeof *all.models) };
    bool ok = all.models != NULL;
    if (ok) {
        mr_pools_each(pools, gather, &all);
        ok = format_counters(out, &all) && format_finished(out, &all) && format_latency(out, &all) && format_gauges(out, &all) &&
             format_memory(out, pools->governor);
    }
    free(all.models);
    return ok ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot format the metrics");
}

mr_status mr_pools_write_metrics(mr_pools *pools, const char *path, mr_error *error)
{
    mr_buf text = { 0 };
    FILE *file = NULL;
    char *temporary = mr_strf("%s.tmp%ld", path, (long)getpid()); /* the collector reads *.prom only */
    mr_status status = temporary ? mr_pools_format_metrics(pools, &text, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    if (status != MR_OK) goto end;
    file = fopen(temporary, "we");
    bool written = file && fwrite(text.data, 1, text.length, file) == text.length;
    if (file && fclose(file) != 0) written = false;
    if (!written || rename(temporary, path) != 0) {
        status = mr_error_errno(error, errno, "%s: cannot write the metrics", path);
        if (file) (void)unlink(temporary);
    }
end:
    mr_buf_fini(&text);
    free(temporary);
    return status;
}
