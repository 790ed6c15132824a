#include "io/read_ahead.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/pulse.h"
#include "io/input_pieces.h"

#define SLOTS_PER_READER 4 /* pieces of one record: a reader goes on to the next while its last ones wait to be taken */
#define STOP_TICK (100 * MR_CLOCK_MILLISECOND)

typedef enum slot_state { SLOT_FREE, SLOT_READING, SLOT_ENDED } slot_state;

/* One piece being read. Under the lock, but for `reader` and `options`, which are the reading thread's. */
typedef struct slot {
    slot_state state;
    bool by_taker; /* no thread reads it */
    bool busy;     /* its thread is reading, or waits for room for what it has read */
    mr_piece piece;
    mr_reader_options options;
    void *reader;
    _Atomic uint64_t position;
    mr_record *first, *last; /* read, not taken */
    size_t bytes;            /* of them */
    uint64_t pass_over;      /* records its thread is to pass over before it reads more */
    mr_error end;            /* why it ended */
} slot;

struct mr_read_ahead {
    const mr_input_list *inputs;
    mr_reader_options options;
    mr_input_pieces pieces;
    pthread_mutex_t lock;      /* leaf */
    pthread_cond_t for_taker;  /* records, an end, or what was passed over */
    pthread_cond_t for_readers; /* room, a free slot, something to pass over */
    bool closing, passing;     /* passing: nobody reads ahead of the taker */
    size_t bytes, max_bytes;   /* of all slots */
    uint64_t current, claimed; /* piece taken from; pieces given to slots so far */
    mr_error no_more;          /* status != OK: why no piece follows */

    size_t input; /* of the record taken last */
    uint64_t source_record;
    _Atomic uint64_t finished_bytes;

    mr_pulse *pulse;    /* of the thread that started them */
    pthread_t *threads; /* started when the first record is wanted */
    size_t readers, thread_count, slot_count;
    slot slots[];
};

static slot *slot_of(mr_read_ahead *ahead, uint64_t piece)
{
    return &ahead->slots[piece % ahead->slot_count];
}

static bool is_stopped(const mr_read_ahead *ahead)
{
    return ahead->closing || atomic_load(ahead->options.stop);
}

/* The next piece gets a slot. False when there is none, or no free slot. Under the lock. */
static bool claim(mr_read_ahead *ahead, bool by_taker)
{
    slot *next = slot_of(ahead, ahead->claimed);
    if (ahead->no_more.status != MR_OK || next->state != SLOT_FREE) return false;
    mr_status status = mr_input_pieces_next(&ahead->pieces, &next->piece, &ahead->no_more);
    if (status != MR_OK) {
        ahead->no_more.status = status;
        return false;
    }
    next->state = SLOT_READING;
    next->by_taker = by_taker;
    next->options = ahead->options;
    next->options.path = next->piece.path;
    next->options.name = next->piece.name;
    next->options.id = next->piece.id;
    next->options.position = &next->position;
    ahead->claimed++;
    return true;
}

/* ---- whoever reads a slot ---- */

static mr_status read_record(const mr_read_ahead *ahead, slot *self, mr_record **out, mr_error *error)
{
    const mr_reader_kind *kind = self->piece.kind;
    if (!self->reader) MR_TRY(kind->open(&self->options, &self->reader, error));
    mr_status status = kind->next(self->reader, out, error);
    const mr_input *input = &ahead->inputs->items[self->piece.input];
    return status == MR_END && mr_input_check_unchanged(input, error) != MR_OK ? MR_BAD_INPUT : status;
}

static void end_slot(slot *self, mr_status status)
{
    if (self->reader) self->piece.kind->close(self->reader);
    self->reader = NULL;
    self->end.status = status;
    self->state = SLOT_ENDED;
}

static void append(mr_read_ahead *ahead, slot *self, mr_record *record)
{
    if (self->last) self->last->link = record;
    else self->first = record;
    self->last = record;
    self->bytes += mr_record_bytes(record);
    ahead->bytes += mr_record_bytes(record);
}

/* The piece being taken has a share of its own, so that those ahead of it can never keep it from going on. */
static bool has_room(const mr_read_ahead *ahead, uint64_t piece, const slot *self, size_t bytes)
{
    if (piece == ahead->current) return !self->first || self->bytes + bytes <= ahead->max_bytes / 4;
    return ahead->bytes + bytes <= ahead->max_bytes / 4 * 3;
}

/* While the taker passes over records, only for it. */
static bool may_read(const mr_read_ahead *ahead, uint64_t piece, const slot *self)
{
    return !ahead->passing || (piece == ahead->current && self->pass_over > 0);
}

static void wait_for_taker(mr_read_ahead *ahead)
{
    mr_clock_wait(mr_clock_monotonic(), &ahead->for_readers, &ahead->lock, MR_CLOCK_FOREVER);
}

static void read_piece(mr_read_ahead *ahead, uint64_t piece)
{
    slot *self = slot_of(ahead, piece);
    while (self->state == SLOT_READING && !ahead->closing) {
        if (!may_read(ahead, piece, self)) {
            wait_for_taker(ahead);
            continue;
        }
        mr_record *record = NULL;
        bool pass = self->pass_over > 0;
        self->busy = true;
        pthread_mutex_unlock(&ahead->lock);
        if (ahead->pulse) mr_pulse_begin(ahead->pulse);
        mr_status status = read_record(ahead, self, pass ? NULL : &record, &self->end);
        if (ahead->pulse) mr_pulse_end(ahead->pulse);
        pthread_mutex_lock(&ahead->lock);
        while (record && !has_room(ahead, piece, self, mr_record_bytes(record)) && !ahead->closing) wait_for_taker(ahead);
        self->busy = false;
        if (record) append(ahead, self, record);
        if (status != MR_OK) end_slot(self, status);
        else if (pass) self->pass_over--;
        if (piece == ahead->current && (!self->pass_over || status != MR_OK)) pthread_cond_signal(&ahead->for_taker);
    }
}

static void *read_pieces(void *argument)
{
    mr_read_ahead *ahead = argument;
    mr_pulse_attach(ahead->pulse);
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->closing && ahead->no_more.status == MR_OK) {
        if (!ahead->passing && claim(ahead, false)) read_piece(ahead, ahead->claimed - 1);
        else if (ahead->no_more.status == MR_OK) wait_for_taker(ahead);
    }
    pthread_cond_signal(&ahead->for_taker);
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

/* ---- the taker ---- */

/* Those that cannot be started are done without. */
static void start_readers(mr_read_ahead *ahead)
{
    if (ahead->readers == 0 || ahead->threads) return;
    ahead->threads = calloc(ahead->readers, sizeof *ahead->threads);
    ahead->pulse = mr_pulse_attached();
    while (ahead->threads && ahead->thread_count < ahead->readers) {
        if (pthread_create(&ahead->threads[ahead->thread_count], NULL, read_pieces, ahead)) break;
        ahead->thread_count++;
    }
}

static bool falls_below(size_t limit, size_t before, size_t after)
{
    return before > limit && after <= limit;
}

/* Readers that wait for room are woken when there is much of it, not for each record. */
static mr_record *take_first(mr_read_ahead *ahead, slot *self)
{
    mr_record *record = self->first;
    size_t bytes = mr_record_bytes(record);
    self->first = record->link;
    if (!self->first) self->last = NULL;
    record->link = NULL;
    if (falls_below(ahead->max_bytes / 8, self->bytes, self->bytes - bytes) || falls_below(ahead->max_bytes / 2, ahead->bytes, ahead->bytes - bytes) || !self->first)
        pthread_cond_broadcast(&ahead->for_readers);
    self->bytes -= bytes;
    ahead->bytes -= bytes;
    return record;
}

static void count_records(mr_read_ahead *ahead, const slot *self, uint64_t count)
{
    if (self->piece.input != ahead->input) ahead->source_record = 0;
    ahead->input = self->piece.input;
    ahead->source_record += count;
}

/* The current piece is through: the next one is current. */
static void leave(mr_read_ahead *ahead, slot *self)
{
    const mr_input *input = &ahead->inputs->items[self->piece.input];
    uint64_t bytes = input->directory ? atomic_load(&self->position) : input->bytes;
    atomic_store(&self->position, 0);
    atomic_fetch_add(&ahead->finished_bytes, bytes);
    mr_piece_fini(&self->piece);
    self->state = SLOT_FREE;
    ahead->current++;
    pthread_cond_broadcast(&ahead->for_readers);
}

static mr_status wait_for_readers(mr_read_ahead *ahead, mr_error *error)
{
    if (is_stopped(ahead)) return mr_error_set(error, MR_CANCELLED, "reading was stopped");
    mr_clock_wait(mr_clock_monotonic(), &ahead->for_taker, &ahead->lock, mr_clock_deadline(mr_clock_monotonic(), STOP_TICK));
    return MR_OK;
}

/* A slot that has a record, or that the taker itself is to read; *out NULL: a thread is at it. END behind the last piece. */
static mr_status find_current(mr_read_ahead *ahead, slot **out, mr_error *error)
{
    for (;;) {
        slot *self = slot_of(ahead, ahead->current);
        *out = NULL;
        if (ahead->current == ahead->claimed) {
            if ((ahead->thread_count == 0 || ahead->passing) && claim(ahead, true)) continue;
            if (ahead->no_more.status != MR_OK && error) *error = ahead->no_more;
            return ahead->no_more.status;
        }
        if (self->first || (self->by_taker && self->state == SLOT_READING)) {
            *out = self;
            return MR_OK;
        }
        if (self->state != SLOT_ENDED) return MR_OK;
        if (self->end.status != MR_END) {
            if (error) *error = self->end;
            return self->end.status;
        }
        leave(ahead, self);
    }
}

/* By the taker itself; `out` NULL passes over it. END: the piece has ended. */
static mr_status read_by_taker(mr_read_ahead *ahead, slot *self, mr_record **out)
{
    pthread_mutex_unlock(&ahead->lock);
    mr_status status = read_record(ahead, self, out, &self->end);
    pthread_mutex_lock(&ahead->lock);
    if (status == MR_OK) return MR_OK;
    end_slot(self, status);
    return MR_END;
}

static mr_status take(mr_read_ahead *ahead, mr_record **out, mr_error *error)
{
    for (;;) {
        slot *self;
        MR_TRY(find_current(ahead, &self, error));
        if (!self) {
            MR_TRY(wait_for_readers(ahead, error));
            continue;
        }
        if (self->first) *out = take_first(ahead, self);
        else if (read_by_taker(ahead, self, out) != MR_OK) continue;
        count_records(ahead, self, 1);
        return MR_OK;
    }
}

mr_status mr_read_ahead_next(mr_read_ahead *ahead, mr_record **out, mr_error *error)
{
    mr_record *record = NULL;
    pthread_mutex_lock(&ahead->lock);
    start_readers(ahead);
    mr_status status = take(ahead, &record, error);
    if (status == MR_OK) {
        record->source_index = (uint32_t)ahead->input;
        record->source_record = ahead->source_record - 1;
        *out = record;
    }
    pthread_mutex_unlock(&ahead->lock);
    return status;
}

/* Lets the thread of the current slot pass over up to `most` records; *passed: how many it did. */
static mr_status pass_by_thread(mr_read_ahead *ahead, slot *self, uint64_t most, uint64_t *passed, mr_error *error)
{
    mr_status status = MR_OK;
    if (self->busy) return wait_for_readers(ahead, error); /* what it is reading comes first */
    self->pass_over = most;
    pthread_cond_broadcast(&ahead->for_readers);
    while (status == MR_OK && self->pass_over && self->state == SLOT_READING) status = wait_for_readers(ahead, error);
    *passed = most - self->pass_over;
    self->pass_over = 0;
    return status;
}

/* Over at least one, or another look is needed: *passed = 0. */
static mr_status pass_some(mr_read_ahead *ahead, uint64_t most, uint64_t *passed, mr_error *error)
{
    slot *self;
    *passed = 0;
    if (is_stopped(ahead)) return mr_error_set(error, MR_CANCELLED, "reading was stopped");
    MR_TRY(find_current(ahead, &self, error));
    mr_status status = MR_OK;
    if (!self) {
        self = slot_of(ahead, ahead->current);
        status = pass_by_thread(ahead, self, most, passed, error);
    } else if (self->first) {
        mr_record_free(take_first(ahead, self));
        *passed = 1;
    } else if (read_by_taker(ahead, self, NULL) == MR_OK) {
        *passed = 1;
    }
    if (*passed) count_records(ahead, self, *passed);
    return status;
}

mr_status mr_read_ahead_pass(mr_read_ahead *ahead, uint64_t count, uint64_t *passed, mr_error *error)
{
    mr_status status = MR_OK;
    pthread_mutex_lock(&ahead->lock);
    ahead->passing = true;
    for (*passed = 0; status == MR_OK && *passed < count;) {
        uint64_t some;
        status = pass_some(ahead, count - *passed, &some, error);
        *passed += some;
    }
    ahead->passing = false;
    pthread_cond_broadcast(&ahead->for_readers);
    pthread_mutex_unlock(&ahead->lock);
    return status;
}

uint64_t mr_read_ahead_position(const mr_read_ahead *ahead)
{
    uint64_t sum = atomic_load(&ahead->finished_bytes);
    for (size_t i = 0; i < ahead->slot_count; i++) sum += atomic_load(&ahead->slots[i].position);
    return sum;
}

/* ---- beginning and end ---- */

mr_status mr_read_ahead_create(const mr_input_list *inputs, const mr_reader_options *options, size_t readers, size_t bytes, mr_read_ahead **out, mr_error *error)
{
    size_t slots = readers > 1 ? readers * SLOTS_PER_READER : 1;
    mr_read_ahead *ahead = calloc(1, sizeof *ahead + slots * sizeof *ahead->slots);
    if (!ahead) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate readers");
    ahead->inputs = ahead->pieces.inputs = inputs;
    ahead->options = *options;
    ahead->slot_count = slots;
    ahead->max_bytes = bytes;
    pthread_mutex_init(&ahead->lock, NULL);
    mr_clock_cond_init(&ahead->for_taker);
    mr_clock_cond_init(&ahead->for_readers);
    ahead->readers = readers > 1 ? readers : 0;
    *out = ahead;
    return MR_OK;
}

void mr_read_ahead_destroy(mr_read_ahead *ahead)
{
    if (!ahead) return;
    pthread_mutex_lock(&ahead->lock);
    ahead->closing = true;
    pthread_cond_broadcast(&ahead->for_readers);
    pthread_mutex_unlock(&ahead->lock);
    for (size_t i = 0; i < ahead->thread_count; i++) pthread_join(ahead->threads[i], NULL);
    for (size_t i = 0; i < ahead->slot_count; i++) {
        slot *self = &ahead->slots[i];
        while (self->first) mr_record_free(take_first(ahead, self));
        if (self->reader) self->piece.kind->close(self->reader);
        mr_piece_fini(&self->piece);
    }
    mr_input_pieces_fini(&ahead->pieces);
    pthread_cond_destroy(&ahead->for_readers);
    pthread_cond_destroy(&ahead->for_taker);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead->threads);
    free(ahead);
}
