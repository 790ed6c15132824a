/* A model of every capability whose load time, latency, failures and memory a test controls.
 *
 * Each test takes controls from a table; a control's path ("fake:3") is what the pool is given. Gates stand in for
 * slowness: a closed gate holds whoever comes to it until the test opens it. */
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include <pthread.h>

#include "cm.h"

#include "capability/image_embedding.h"
#include "capability/text_embedding.h"
#include "capability/text_to_image.h"
#include "capability/text_to_text.h"
#include "capability/vision.h"
#include "registry/pool/pool.h"

typedef struct fake_model {
    char path[16];
    pthread_mutex_t lock; /* leaf: everything below */
    pthread_cond_t changed;
    mr_memory_estimate estimate; /* what it says */
    mr_memory_estimate measured; /* what it reports once there */
    bool load_closed, run_closed, destroy_closed; /* gates */
    int32_t hold_tag;    /* the run gate holds only requests of this tag; 0: all */
    mr_status load_status, create_status, run_status;
    size_t run_failures; /* runs that return run_status; SIZE_MAX: all */
    bool non_finite;     /* every input comes out NON_FINITE */
    int64_t bad_input;   /* this input of each request fails with BAD_RECORD; -1: none */
    int64_t run_ns;      /* real time */
    /* seen */
    size_t opens, closes, creates, destroys, runs, running, peak_running;
} fake_model;

/* A fresh one: 1000 shared bytes, 100 per worker, all gates open, no failure. Valid until fake_reset. */
fake_model *fake_new(void);
void fake_reset(void);
const mr_model_vtable *fake_vtable(mr_capability capability);

void fake_gate(fake_model *model, bool *gate, bool closed);
void fake_hold(fake_model *model, int32_t tag);
/* Waits until *counter >= value; fails the test after 10 s. */
void fake_await(fake_model *model, const size_t *counter, size_t value);
size_t fake_read(fake_model *model, const size_t *counter);

/* ---- one request with one input, of any capability */

typedef struct fake_request {
    mr_capability capability;
    int32_t ids[1]; /* the tag */
    mr_status statuses[4];
    float vectors[4];
    int32_t tokens[4];
    uint8_t pixels[3];
    union {
        mr_text_embedding_input text[4];
        mr_text_to_text_input prompt[4];
        mr_image image[4];
        mr_vision_input vision[4];
        mr_text_to_image_input imagine[4];
    } inputs;
    union {
        mr_generated text[4];
        mr_image_out image[4];
    } outputs;
    union {
        mr_text_embedding_request text_embedding;
        mr_text_to_text_request text_to_text;
        mr_image_embedding_request image_embedding;
        mr_vision_request vision;
        mr_text_to_image_request text_to_image;
    } request;
    union {
        mr_text_embedding_response text_embedding;
        mr_text_to_text_response text_to_text;
        mr_image_embedding_response image_embedding;
        mr_vision_response vision;
        mr_text_to_image_response text_to_image;
    } response;
    /* how it ended, by fake_done */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t done, released, order; /* order: 1 for the first request of the process that was answered, and so on */
    mr_status status;
    mr_error error;
} fake_request;

/* `count` (1..4) inputs whose first id is `tag`. */
void fake_request_init(fake_request *request, mr_capability capability, int32_t tag, size_t count);
void fake_request_fini(fake_request *request);
/* A call for it, answered into it. */
mr_call fake_call(fake_request *request);
/* Its end; fails the test after 10 s. */
mr_status fake_request_await(fake_request *request);
bool fake_request_ended(fake_request *request);

#endif
