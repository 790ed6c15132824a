/* What N workers of a real model cost, measured: the account of the governor beside the resident set of the process.
 *
 * usage: worker_memory [MODEL_DIRECTORY [DIMENSION]]     default: all-MiniLM-L6-v2 (384) where the program keeps its models; exit
 * 77 without it */
#include <sys/wait.h>
#include <unistd.h>

#include "cm.h"
#include "core/file.h"
#include "core/mem.h"
#include "embed/text_embedder.h"
#include "registry/pool/pool.h"

#define WORKERS 8
#define TOKENS 512
#define INPUTS 16
#define LENGTH (TOKENS / INPUTS)

#define MUST(expression)                                                            \
    do {                                                                            \
        if ((expression) != MR_OK) {                                                \
            fprintf(stderr, "%s\n", error.text);                                    \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static mr_error error;

typedef struct batch {
    mr_text_embedding_input inputs[INPUTS];
    mr_text_embedding_request request;
    mr_text_embedding_response response;
    mr_status statuses[INPUTS];
} batch;

static int32_t ids[LENGTH];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t running;

static void on_done(void *context, mr_status status, const mr_error *cause)
{
    (void)context;
    pthread_mutex_lock(&lock);
    if (status != MR_OK) fprintf(stderr, "%s\n", cause->text);
    running--;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

/* Full batches for everybody, twice, so that all scratch has been touched. */
static void work(mr_pool_model *model, size_t workers, float *vectors, size_t dimension)
{
    static batch batches[2 * WORKERS];
    for (size_t i = 0; i < 2 * workers; i++) {
        batch *b = &batches[i];
        for (size_t k = 0; k < INPUTS; k++) b->inputs[k] = (mr_text_embedding_input){ .ids = ids, .count = LENGTH };
        b->request = (mr_text_embedding_request){ b->inputs, INPUTS };
        b->response = (mr_text_embedding_response){ vectors + i * INPUTS * dimension, dimension, b->statuses };
        const mr_call call = { .request = &b->request, .response = &b->response, .timeout_ns = MR_CLOCK_FOREVER, .done = on_done };
        pthread_mutex_lock(&lock);
        running++;
        pthread_mutex_unlock(&lock);
        MUST(mr_pool_submit(model, &call, &error));
    }
    pthread_mutex_lock(&lock);
    while (running > 0) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static char *default_model(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *base = data ? mr_strdup(data) : mr_path_join(home ? home : "/", ".local/share");
    char *path = mr_path_join(base, "millrace/models/sentence-transformers/all-MiniLM-L6-v2");
    free(base);
    return path;
}

/* In a process of its own: nothing of an earlier count is left in the resident set. */
static int measure(const char *path, size_t workers, size_t dimension)
{
    float *vectors = mr_mem_calloc(2 * WORKERS * INPUTS * dimension, sizeof *vectors, MR_MEM_OUTPUT);
    mr_governor *governor;
    mr_pools *pools;
    mr_pool_model *model;
    mr_governor_settings memory = { .limit = NULL };
    mr_pool_settings settings = mr_pool_settings_default();
    MUST(mr_governor_create(&memory, &governor, &error));
    MUST(mr_pools_create(&settings, governor, NULL, &pools, &error));
    mr_pool_model_spec spec = { .key = "measured", .path = path, .vtable = &mr_text_embedder, .max_workers = workers,
                                .options = { .precision = MR_PRECISION_F32, .threads_per_worker = 1, .max_batch_tokens = TOKENS, .max_batch_inputs = INPUTS } };
    MUST(mr_pools_add_model(pools, &spec, &model, &error));
    size_t before = mr_mem_rss();
    MUST(mr_pool_pin(model, workers, &error));
    mr_model_metrics metrics;
    do mr_pool_model_metrics(model, &metrics);
    while (metrics.workers[MR_WORKER_IDLE] < workers);
    work(model, workers, vectors, dimension);
    double account = (double)mr_governor_used(governor) / (1 << 20), resident = (double)(mr_mem_rss() - before) / (1 << 20);
    mr_pool_unpin(model, workers);
    mr_pools_destroy(pools);
    size_t after = mr_mem_rss();
    double left = after > before ? (double)(after - before) / (1 << 20) : 0;
    printf("%7zu  %11.1f  %12.1f  %15.1f\n", workers, account, resident, left);
    fflush(stdout);
    /* The account is an upper bound, but for a thread's own stack and heap: 4 MiB each. Weights of its own would be far beyond.
     * When all have gone, so has what they held; libraries keep some buffers. */
    return mr_governor_used(governor) == 0 && resident <= account + 4.0 * (double)workers && left < resident / 2 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = { 1, 2, 4, WORKERS };
    char *path = argc > 1 ? mr_strdup(argv[1]) : default_model();
    char *config = mr_path_join(path, "config.json");
    size_t dimension = argc > 2 ? strtoul(argv[2], NULL, 10) : 384;
    if (!mr_path_exists(config)) {
        printf("no model in %s\n", path);
        return 77;
    }
    for (size_t i = 0; i < LENGTH; i++) ids[i] = (int32_t)(1000 + i);
    printf("workers  account MiB  resident MiB  left afterwards\n");
    fflush(stdout);
    int failed = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int result = 1;
        pid_t child = fork();
        if (child == 0) _exit(measure(path, counts[i], dimension));
        failed |= waitpid(child, &result, 0) != child || result != 0;
    }
    free(config);
    free(path);
    return failed;
}
