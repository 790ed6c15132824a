/* What the pool knows about a model: a vtable, two memory numbers and two opaque pointers.
 *
 *   model    immutable weights, opened once per process, shared by reference between its workers
 *   worker   everything one thread needs to itself: scratch, caches. One owner, no lock around inference.
 *
 * N workers cost  shared_bytes + N * worker_bytes. */
#ifndef MR_CAPABILITY_MODEL_H
#define MR_CAPABILITY_MODEL_H

#include "core/cache.h"
#include "core/work.h"

/* X(NAME, text, queue capacity per worker) */
#define MR_CAPABILITY_LIST(X)                    \
    X(TEXT_EMBEDDING, "text_embedding", 100)     \
    X(TEXT_TO_TEXT, "text_to_text", 100)         \
    X(IMAGE_EMBEDDING, "image_embedding", 50)    \
    X(VISION, "vision", 50)                      \
    X(TEXT_TO_IMAGE, "text_to_image", 20)

typedef enum mr_capability {
#define MR_CAPABILITY_ENUM(name, text, capacity) MR_CAPABILITY_##name,
    MR_CAPABILITY_LIST(MR_CAPABILITY_ENUM)
#undef MR_CAPABILITY_ENUM
    MR_CAPABILITY_COUNT
} mr_capability;

const char *mr_capability_text(mr_capability capability);
size_t mr_capability_queue_capacity(mr_capability capability);
bool mr_capability_parse(const char *text, mr_capability *out);

/* X(NAME, text) */
#define MR_PRECISION_LIST(X) \
    X(AUTO, "auto")          \
    X(F32, "f32")            \
    X(BF16, "bf16")          \
    X(INT8, "int8")

typedef enum mr_precision {
#define MR_PRECISION_ENUM(name, text) MR_PRECISION_##name,
    MR_PRECISION_LIST(MR_PRECISION_ENUM)
#undef MR_PRECISION_ENUM
} mr_precision;

const char *mr_precision_text(mr_precision precision);

/* Settings of one use of a model; decided by the plan, the same for all its workers. */
typedef struct mr_model_options {
    mr_precision precision;
    size_t threads_per_worker;  /* >= 1: size of the worker's OpenMP team */
    size_t max_batch_tokens;    /* a worker never gets more tokens in one request, a single longer input excepted */
    size_t max_batch_inputs;
    const mr_cache *cache;      /* for packed weights; borrowed as long as workers are opened; NULL: none */
    const void *capability_options; /* the capability's own settings (mr_embed_options, ...) or NULL; borrowed during open and estimate */
} mr_model_options;

typedef struct mr_memory_estimate {
    size_t shared_bytes; /* weights, packed or decoded copies included */
    size_t worker_bytes; /* scratch, KV cache */
    mr_work work;        /* of a token; no layers: unknown */
} mr_memory_estimate;

/* One model implementation. `path` is a model directory (or a .gguf file), borrowed during the call.
 * open and worker_create are called from worker threads, run_batch only from the worker's own thread. */
typedef struct mr_model_vtable {
    mr_capability capability;
    /* From the files' headers alone; touches no weights. */
    mr_status (*estimate)(const char *path, const mr_model_options *options, mr_memory_estimate *out, mr_error *error);
    mr_status (*open)(const char *path, const mr_model_options *options, void **model, mr_error *error);
    void (*close)(void *model); /* after its last worker is gone; NULL is fine */
    mr_status (*worker_create)(void *model, const mr_model_options *options, void **worker, mr_error *error);
    void (*worker_destroy)(void *worker); /* NULL is fine */
    /* `request` and `response` are the structs of this capability (capability/<name>.h). MR_OK means every input
     * has its own status in the response; another status means the whole request failed; WORKER_DIED and INTERNAL
     * say that this worker is no longer usable. */
    mr_status (*run_batch)(void *worker, const void *request, void *response, mr_error *error);
    /* What is really held now, measured: shared bytes of the model, scratch bytes of the worker. */
    size_t (*model_bytes)(const void *model);
    size_t (*worker_bytes)(const void *worker);
} mr_model_vtable;

#endif
