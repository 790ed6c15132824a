#include "registry/pool/governor.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/str.h"
#include "registry/pool/pressure.h"

#define DEFAULT_LIMIT_PERCENT 80
#define DEFAULT_RESERVE_BYTES ((uint64_t)256 << 20)
#define DEFAULT_RESERVE_PERCENT 5
#define IDLE_WORKERS_MAX 256 /* looked at per eviction plan; more idle workers than that wait for the next one */

struct mr_governor {
    size_t limit;
    size_t total; /* what pressure is a share of */
    mr_memory_limits limits;
    char *root;
    atomic_size_t used;
    atomic_size_t used_by[MR_MEM_TAG_COUNT]; /* for display: follows `used`, may lag behind it by one guard */
    atomic_int pressure;
    mr_idle_source *idle_source;
    void *idle_context;
};

/* "80%" of `whole`, or bytes. */
static bool parse_share(const char *text, uint64_t whole, uint64_t *out)
{
    char *end;
    double percent = strtod(text, &end);
    if (end != text && strcmp(end, "%") == 0) {
        if (!(percent >= 0 && percent <= 100)) return false;
        *out = (uint64_t)((double)whole * percent / 100);
        return true;
    }
    return mr_str_parse_bytes(text, out);
}

static mr_status read_settings(mr_governor *governor, const mr_governor_settings *settings, mr_error *error)
{
    uint64_t effective = governor->limits.effective;
    uint64_t limit = effective / 100 * DEFAULT_LIMIT_PERCENT, reserve = 0;
    if (settings->limit && !parse_share(settings->limit, effective, &limit))
        return mr_error_set(error, MR_CONFIG, "memory limit \"%s\": write bytes (8G, 600M) or a share of the memory (80%%)", settings->limit);
    bool in_bytes = settings->limit && !strchr(settings->limit, '%');
    if (limit > effective) limit = effective;
    if (settings->reserve) {
        if (!parse_share(settings->reserve, limit, &reserve))
            return mr_error_set(error, MR_CONFIG, "memory reserve \"%s\": write bytes (256M) or a share of the limit (5%%)", settings->reserve);
    } else {
        reserve = limit / 100 * DEFAULT_RESERVE_PERCENT;
        if (reserve > DEFAULT_RESERVE_BYTES) reserve = DEFAULT_RESERVE_BYTES;
    }
    if (reserve >= limit) {
        char a[16], b[16];
        return mr_error_set(error, MR_CONFIG, "memory reserve %s leaves nothing of the limit %s (%s)", mr_str_bytes(a, reserve), mr_str_bytes(b, limit),
                            governor->limits.source);
    }
    governor->limit = (size_t)(limit - reserve);
    /* A limit in bytes is the whole that may be used; a share leaves the rest of the machine as headroom. */
    governor->total = (size_t)(in_bytes ? limit : effective);
    return MR_OK;
}

mr_status mr_governor_create(const mr_governor_settings *settings, mr_governor **out, mr_error *error)
{
    mr_governor *governor = calloc(1, sizeof *governor);
    char *root = mr_strdup(settings->root ? settings->root : "");
    mr_status status = MR_OK;
    if (!governor || !root) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the memory governor");
        goto fail;
    }
    governor->root = root;
    MR_TRY_OR(status, mr_memory_limits_read(root, &governor->limits, error), fail);
    MR_TRY_OR(status, read_settings(governor, settings, error), fail);
    *out = governor;
    return MR_OK;
fail:
    free(root);
    free(governor);
    return status;
}

void mr_governor_destroy(mr_governor *governor)
{
    if (!governor) return;
    free(governor->root);
    free(governor);
}

void mr_governor_set_idle_source(mr_governor *governor, mr_idle_source *source, void *context)
{
    governor->idle_source = source;
    governor->idle_context = context;
}

/* The one place where the account grows: never past the limit. */
static bool take(mr_governor *governor, size_t bytes)
{
    size_t used = atomic_load_explicit(&governor->used, memory_order_relaxed);
    do {
        if (bytes > governor->limit - used) return false;
    } while (!atomic_compare_exchange_weak_explicit(&governor->used, &used, used + bytes, memory_order_acq_rel, memory_order_relaxed));
    return true;
}

static void give_back(mr_governor *governor, size_t bytes)
{
    atomic_fetch_sub_explicit(&governor->used, bytes, memory_order_acq_rel);
}

static int by_last_use(const void *a, const void *b)
{
    const mr_idle_worker *left = a, *right = b;
    return (left->last_used_ns > right->last_used_ns) - (left->last_used_ns < right->last_used_ns);
}

/* The fewest idle workers, least recently used first, that make room for `bytes`; none when all would not do. */
static void plan_eviction(mr_governor *governor, size_t bytes, mr_eviction *plan)
{
    plan->count = 0;
    if (!governor->idle_source || bytes > governor->limit) return;
    mr_idle_worker idle[IDLE_WORKERS_MAX];
    size_t count = governor->idle_source(governor->idle_context, idle, IDLE_WORKERS_MAX);
    qsort(idle, count, sizeof *idle, by_last_use);
    size_t room = mr_governor_available(governor);
    for (size_t i = 0; i < count && i < MR_EVICTION_MAX && room < bytes; i++) {
        plan->workers[plan->count++] = idle[i];
        room = idle[i].bytes > SIZE_MAX - room ? SIZE_MAX : room + idle[i].bytes;
    }
    if (room < bytes) plan->count = 0;
}

static mr_status refuse(const mr_governor *governor, size_t bytes, mr_mem_tag tag, mr_error *error)
{
    char requested[16], available[16], limit[16];
    return mr_error_set(error, MR_MEMORY_EXHAUSTED, "%s for %s requested, %s available of the limit %s; raise --memory-limit or use a smaller model or batch",
                        mr_str_bytes(requested, bytes), mr_mem_tag_text(tag), mr_str_bytes(available, mr_governor_available(governor)),
                        mr_str_bytes(limit, governor->limit));
}

mr_status mr_governor_acquire(mr_governor *governor, size_t bytes, mr_mem_tag tag, mr_guard *guard, mr_eviction *eviction, mr_error *error)
{
    if (!take(governor, bytes)) {
        if (eviction) plan_eviction(governor, bytes, eviction);
        return refuse(governor, bytes, tag, error);
    }
    atomic_fetch_add_explicit(&governor->used_by[tag], bytes, memory_order_relaxed);
    *guard = (mr_guard){ .governor = governor, .bytes = bytes, .tag = tag };
    return MR_OK;
}

void mr_guard_release(mr_guard *guard)
{
    if (!guard->governor) return;
    atomic_fetch_sub_explicit(&guard->governor->used_by[guard->tag], guard->bytes, memory_order_relaxed);
    give_back(guard->governor, guard->bytes);
    *guard = (mr_guard){ 0 };
}

void mr_guard_split(mr_guard *from, size_t bytes, mr_mem_tag tag, mr_guard *out)
{
    if (bytes > from->bytes) bytes = from->bytes;
    atomic_fetch_sub_explicit(&from->governor->used_by[from->tag], bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&from->governor->used_by[tag], bytes, memory_order_relaxed);
    from->bytes -= bytes;
    *out = (mr_guard){ .governor = from->governor, .bytes = bytes, .tag = tag };
}

size_t mr_guard_correct(mr_guard *guard, size_t measured_bytes)
{
    mr_governor *governor = guard->governor;
    if (!governor) return 0;
    if (measured_bytes <= guard->bytes) {
        size_t surplus = guard->bytes - measured_bytes;
        atomic_fetch_sub_explicit(&governor->used_by[guard->tag], surplus, memory_order_relaxed);
        give_back(governor, surplus);
        guard->bytes = measured_bytes;
        return 0;
    }
    size_t missing = measured_bytes - guard->bytes, step;
    do { /* all of it, or all that is left at some instant */
        size_t available = mr_governor_available(governor);
        step = missing < available ? missing : available;
    } while (!take(governor, step));
    atomic_fetch_add_explicit(&governor->used_by[guard->tag], step, memory_order_relaxed);
    guard->bytes += step;
    return missing - step;
}

size_t mr_governor_limit(const mr_governor *governor) { return governor->limit; }
size_t mr_governor_used(const mr_governor *governor) { return atomic_load_explicit(&governor->used, memory_order_acquire); }
size_t mr_governor_available(const mr_governor *governor) { return governor->limit - mr_governor_used(governor); }
const mr_memory_limits *mr_governor_limits(const mr_governor *governor) { return &governor->limits; }

size_t mr_governor_used_by(const mr_governor *governor, mr_mem_tag tag)
{
    return atomic_load_explicit(&governor->used_by[tag], memory_order_relaxed);
}

mr_pressure mr_governor_pressure(const mr_governor *governor)
{
    return (mr_pressure)atomic_load_explicit(&governor->pressure, memory_order_relaxed);
}

mr_pressure mr_governor_sample_pressure(mr_governor *governor)
{
    mr_pressure old = mr_governor_pressure(governor);
    mr_memory_usage usage;
    if (mr_memory_usage_read(governor->root, &usage, NULL) != MR_OK) return old;
    mr_pressure now = mr_pressure_of(&usage, governor->total);
    if (now == old) return now;
    char resident[16], total[16];
    mr_log(MR_LOG_INFO, "governor", "memory pressure %s -> %s: resident %s of %s", mr_pressure_text(old), mr_pressure_text(now),
           mr_str_bytes(resident, usage.resident), mr_str_bytes(total, governor->total));
    atomic_store_explicit(&governor->pressure, (int)now, memory_order_relaxed);
    return now;
}

size_t mr_governor_batch_budget(const mr_governor *governor, size_t planned)
{
    if (mr_governor_pressure(governor) < MR_PRESSURE_CRITICAL) return planned;
    return planned > 1 ? planned / 2 : 1;
}
