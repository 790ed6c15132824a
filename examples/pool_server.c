/* Vectors as a service: several models in one process, asked by many clients of a Unix socket at once.
 *
 *   cc -pthread pool_server.c $(pkg-config --cflags --libs millrace) -o pool_server
 *   ./pool_server /tmp/vectors.sock sentence-transformers/all-MiniLM-L6-v2
 *
 * A request is a line: the number of a model (from 0, as on the command line), a space, a text. The answer is a line: the
 * numbers of the vector, or "error:" and why.
 *
 *   echo 0 edit photographs | nc -NU /tmp/vectors.sock
 *
 * Each model gets workers with its first request, more under load, none after idle minutes. At SIGTERM or SIGINT what has been
 * asked is answered and the metrics are printed; a second signal ends the process at once. */
#include <millrace.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 16 /* served at once, a thread each; more wait to be accepted */
#define MODELS_MAX 8
#define LINE_BYTES 65536

typedef struct server {
    mr_runtime *runtime;
    mr_embedder *models[MODELS_MAX];
    size_t model_count;
    int listener;
    pthread_mutex_t lock; /* the rest */
    int clients[CLIENTS]; /* their sockets, -1: none */
    bool stopping;
} server;

typedef struct seat {
    server *server;
    size_t number;
    pthread_t thread;
} seat;

/* ---------------------------------------------------------------- a client */

static void answer(mr_embedder *embedder, mr_str text, FILE *out)
{
    size_t dimension = mr_embedder_dimension(embedder);
    float *vector = malloc(dimension * sizeof *vector);
    mr_error error = { .text = "out of memory" };
    if (vector && mr_embedder_run(embedder, &text, 1, vector, NULL, &error) == MR_OK)
        for (size_t i = 0; i < dimension; i++) fprintf(out, "%s%.9g", i ? " " : "", (double)vector[i]);
    else
        fprintf(out, "error: %s", error.text);
    putc('\n', out);
    free(vector);
}

static void serve(const server *self, FILE *in, FILE *out)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, in)) {
        char *text;
        unsigned long model = strtoul(line, &text, 10);
        size_t length = strcspn(text, "\n");
        if (text[length] != '\n' && !feof(in)) {
            fprintf(out, "error: a line of more than %d bytes\n", LINE_BYTES - 2);
            return;
        }
        if (text == line || *text != ' ' || model >= self->model_count) fputs("error: write the number of a model, a space and a text\n", out);
        else answer(self->models[model], (mr_str){ text + 1, length - 1 }, out);
        if (fflush(out) != 0) return; /* the client has gone */
    }
}

/* -1 when the server stops. */
static int next_client(server *self, size_t number)
{
    int client = accept(self->listener, NULL, NULL);
    pthread_mutex_lock(&self->lock);
    self->clients[number] = client;
    if (self->stopping && client >= 0) shutdown(client, SHUT_RD);
    pthread_mutex_unlock(&self->lock);
    return client;
}

static void forget_client(server *self, size_t number)
{
    pthread_mutex_lock(&self->lock);
    self->clients[number] = -1;
    pthread_mutex_unlock(&self->lock);
}

static void *seat_main(void *argument)
{
    const seat *self = argument;
    for (int client; (client = next_client(self->server, self->number)) >= 0;) {
        FILE *in = fdopen(client, "r"), *out = fdopen(dup(client), "w");
        if (in && out) serve(self->server, in, out);
        forget_client(self->server, self->number); /* before its number can be somebody else's */
        if (out) fclose(out);
        if (in) fclose(in);
        else close(client);
    }
    return NULL;
}

/* ---------------------------------------------------------------- the server */

static int fail(const mr_error *error)
{
    fprintf(stderr, "pool_server: %s\n", error->text);
    return mr_status_exit_code(error->status);
}

static mr_status open_models(server *self, char **names, size_t count, mr_error *error)
{
    static const char *const settings[] = { "pool.idle_before_evict=5min", "pool.request_timeout=10s" };
    mr_status status = mr_runtime_open(settings, sizeof settings / sizeof *settings, &self->runtime, error);
    for (size_t i = 0; status == MR_OK && i < count; i++) {
        /* One core a request, so that there are workers for several at once. */
        const mr_embedder_options options = { .model = names[i], .threads = 1, .runtime = self->runtime };
        status = mr_embedder_open(&options, &self->models[i], error);
        if (status == MR_OK) self->model_count++;
    }
    return status;
}

static void close_models(server *self)
{
    for (size_t i = 0; i < self->model_count; i++) mr_embedder_close(self->models[i]);
    mr_runtime_close(self->runtime);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, CLIENTS) == 0) return listener;
    close(listener);
    return -1;
}

/* Nobody is accepted any more, no client is read from; what was read is answered. */
static void stop(server *self)
{
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    shutdown(self->listener, SHUT_RDWR);
    for (size_t i = 0; i < CLIENTS; i++)
        if (self->clients[i] >= 0) shutdown(self->clients[i], SHUT_RD);
    pthread_mutex_unlock(&self->lock);
}

static void run(server *self, const sigset_t *signals)
{
    seat seats[CLIENTS];
    size_t started = 0;
    int signal_number;
    for (; started < CLIENTS; started++) {
        seats[started] = (seat){ .server = self, .number = started };
        if (pthread_create(&seats[started].thread, NULL, seat_main, &seats[started]) != 0) break;
    }
    fprintf(stderr, "pool_server: %zu models, %zu clients at once\n", self->model_count, started);
    if (started > 0) sigwait(signals, &signal_number);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL); /* the next one kills */
    stop(self);
    for (size_t i = 0; i < started; i++) pthread_join(seats[i].thread, NULL);
}

static void report(server *self)
{
    mr_shutdown_report report;
    char *metrics;
    mr_runtime_shutdown(self->runtime, &report);
    fprintf(stderr, "pool_server: shut down in %.1f s, %llu requests dropped\n", report.seconds, (unsigned long long)report.dropped);
    if (mr_runtime_metrics(self->runtime, &metrics, NULL) != MR_OK) return;
    fputs(metrics, stdout);
    free(metrics);
}

int main(int argc, char **argv)
{
    server self = { .lock = PTHREAD_MUTEX_INITIALIZER };
    sigset_t signals;
    mr_error error;
    if (argc < 3 || argc > 2 + MODELS_MAX) {
        fprintf(stderr, "usage: pool_server SOCKET MODEL... (at most %d)\n", MODELS_MAX);
        return 64;
    }
    for (size_t i = 0; i < CLIENTS; i++) self.clients[i] = -1;
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is no reason to go too */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in every thread started from here on */
    if (open_models(&self, argv + 2, (size_t)(argc - 2), &error) != MR_OK) {
        close_models(&self);
        return fail(&error);
    }
    if ((self.listener = listen_at(argv[1])) < 0) {
        perror(argv[1]);
        close_models(&self);
        return 73;
    }
    run(&self, &signals);
    report(&self);
    close(self.listener);
    unlink(argv[1]);
    close_models(&self);
    return 0;
}
