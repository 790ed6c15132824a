#include "core/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/counters.h"

#define BLOCK_SPANS 4096

typedef struct span {
    int64_t begin, end; /* ns */
    const char *name, *unit;
    uint64_t value;
} span;

typedef struct block {
    struct block *next;
    size_t count;
    span spans[BLOCK_SPANS];
} block;

/* One thread's spans; only that thread writes, until mr_trace_write. */
typedef struct track {
    struct track *next;
    const char *name;
    mr_counters counters;
    block *first, *last;
} track;

static struct {
    atomic_bool on;
    atomic_size_t blocks, dropped;
    int64_t start_ns;
    pthread_mutex_t lock; /* leaf: the list of tracks */
    track *tracks, **end; /* in the order of their first spans */
    atomic_uint generation; /* so that a thread that outlives a trace does not write into a freed track */
} tracer = { .lock = PTHREAD_MUTEX_INITIALIZER, .end = &tracer.tracks };

static _Thread_local track *own;
static _Thread_local unsigned own_generation;

static track *own_track(void)
{
    unsigned generation = atomic_load(&tracer.generation);
    if (own && own_generation == generation) return own;
    track *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    mr_counters_open(&made->counters);
    own = made;
    own_generation = generation;
    pthread_mutex_lock(&tracer.lock);
    *tracer.end = made;
    tracer.end = &made->next;
    pthread_mutex_unlock(&tracer.lock);
    return made;
}

void mr_trace_start(void)
{
    tracer.start_ns = mr_clock_now(mr_clock_monotonic());
    atomic_store(&tracer.on, true);
}

void mr_trace_name_thread(const char *text)
{
    track *mine = atomic_load_explicit(&tracer.on, memory_order_relaxed) ? own_track() : NULL;
    if (mine) mine->name = text;
}

int64_t mr_trace_begin(void)
{
    return atomic_load_explicit(&tracer.on, memory_order_relaxed) ? mr_clock_now(mr_clock_monotonic()) : 0;
}

static block *block_with_room(track *mine)
{
    if (mine->last && mine->last->count < BLOCK_SPANS) return mine->last;
    block *made = NULL;
    if (atomic_fetch_add(&tracer.blocks, 1) < MR_TRACE_MAX_SPANS / BLOCK_SPANS) made = malloc(sizeof *made);
    if (!made) return NULL;
    made->next = NULL;
    made->count = 0;
    if (mine->last) mine->last->next = made;
    else mine->first = made;
    mine->last = made;
    return made;
}

void mr_trace_end(int64_t begin, const char *name, const char *unit, uint64_t value)
{
    if (begin == 0 || !atomic_load_explicit(&tracer.on, memory_order_relaxed)) return;
    track *mine = own_track();
    block *to = mine ? block_with_room(mine) : NULL;
    if (to) to->spans[to->count++] = (span){ begin, mr_clock_now(mr_clock_monotonic()), name, unit, value };
    else atomic_fetch_add(&tracer.dropped, 1);
}

static void write_span(FILE *file, const char *name, size_t id, int64_t begin, int64_t end)
{
    fprintf(file, "{\"name\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%zu,\"ts\":%.3f,\"dur\":%.3f", name, id, (double)(begin - tracer.start_ns) / 1e3,
            (double)(end - begin) / 1e3);
}

/* A span round all others of the thread, with what was counted of it. */
static void write_life(FILE *file, const track *t, const char *name, size_t id)
{
    int64_t begin = INT64_MAX, end = 0;
    uint64_t counted[MR_COUNTER_COUNT];
    const char *separator = "";
    for (const block *b = t->first; b; b = b->next) {
        for (size_t i = 0; i < b->count; i++) {
            if (b->spans[i].begin < begin) begin = b->spans[i].begin;
            if (b->spans[i].end > end) end = b->spans[i].end;
        }
    }
    if (begin > end) return;
    mr_counters_read(&t->counters, counted);
    write_span(file, name, id, begin, end);
    fputs(",\"args\":{", file);
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        if (counted[i] == MR_COUNTER_ABSENT) continue;
        fprintf(file, "%s\"%s\":%" PRIu64, separator, mr_counter_text((mr_counter)i), counted[i]);
        separator = ",";
    }
    fputs("}},\n", file);
}

static void write_track(FILE *file, const track *t, size_t id, size_t number)
{
    char name[64];
    snprintf(name, sizeof name, "%s %zu", t->name ? t->name : "thread", number);
    fprintf(file, "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%zu,\"args\":{\"name\":\"%s\"}},\n", id, name);
    write_life(file, t, name, id);
    for (const block *b = t->first; b; b = b->next) {
        for (size_t i = 0; i < b->count; i++) {
            const span *s = &b->spans[i];
            write_span(file, s->name, id, s->begin, s->end);
            if (s->unit) fprintf(file, ",\"args\":{\"%s\":%" PRIu64 "}", s->unit, s->value);
            fputs("},\n", file);
        }
    }
}

/* "worker 0", "worker 1": how many tracks before this one have its name. */
static size_t number_of(const track *t)
{
    size_t number = 0;
    for (const track *other = tracer.tracks; other != t; other = other->next)
        if (strcmp(other->name ? other->name : "", t->name ? t->name : "") == 0) number++;
    return number;
}

static void free_tracks(void)
{
    for (track *t = tracer.tracks; t;) {
        track *next = t->next;
        for (block *b = t->first; b;) {
            block *following = b->next;
            free(b);
            b = following;
        }
        mr_counters_close(&t->counters);
        free(t);
        t = next;
    }
    tracer.tracks = NULL;
    tracer.end = &tracer.tracks;
}

mr_status mr_trace_write(const char *path, mr_error *error)
{
    mr_status status = MR_OK;
    atomic_store(&tracer.on, false);
    FILE *file = fopen(path, "we");
    if (!file) status = mr_error_errno(error, errno, "cannot write the trace %s", path);
    pthread_mutex_lock(&tracer.lock);
    if (file) {
        size_t id = 0;
        fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file);
        for (const track *t = tracer.tracks; t; t = t->next) write_track(file, t, ++id, number_of(t));
        fprintf(file, "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"millrace\"}}],\"spans_dropped\":%zu}\n", atomic_load(&tracer.dropped));
    }
    free_tracks();
    pthread_mutex_unlock(&tracer.lock);
    atomic_fetch_add(&tracer.generation, 1);
    atomic_store(&tracer.blocks, 0);
    atomic_store(&tracer.dropped, 0);
    if (file && fclose(file) != 0) status = mr_error_errno(error, errno, "cannot write the trace %s", path);
    return status;
}
