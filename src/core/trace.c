#include "core/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

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
    block *first, *last;
} track;

static struct {
    atomic_bool on;
    atomic_size_t blocks, dropped;
    int64_t start_ns;
    pthread_mutex_t lock; /* leaf: the list of tracks */
    track *tracks;
    atomic_uint generation; /* so that a thread that outlives a trace does not write into a freed track */
} tracer = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local track *own;
static _Thread_local unsigned own_generation;

static track *own_track(void)
{
    unsigned generation = atomic_load(&tracer.generation);
    if (own && own_generation == generation) return own;
    track *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    own = made;
    own_generation = generation;
    pthread_mutex_lock(&tracer.lock);
    made->next = tracer.tracks;
    tracer.tracks = made;
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

static void write_track(FILE *file, const track *t, size_t id, size_t number)
{
    fprintf(file, "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%zu,\"args\":{\"name\":\"%s %zu\"}},\n", id, t->name ? t->name : "thread", number);
    for (const block *b = t->first; b; b = b->next) {
        for (size_t i = 0; i < b->count; i++) {
            const span *s = &b->spans[i];
            fprintf(file, "{\"name\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%zu,\"ts\":%.3f,\"dur\":%.3f", s->name, id,
                    (double)(s->begin - tracer.start_ns) / 1e3, (double)(s->end - s->begin) / 1e3);
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
        free(t);
        t = next;
    }
    tracer.tracks = NULL;
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
