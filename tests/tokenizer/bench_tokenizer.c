/* How fast a tokenizer is, and what ids it gives: `bench_tokenizer TOKENIZER TEXTS.jsonl [--threads N] [--rounds N] [--cache DIR] [--ids | --offsets]`.
 * Prints one JSON object; with --ids instead the ids of every text, one JSON array a line; with --offsets [id, start, end] of each token. The first round begins with
 * empty word caches, the others find them filled. perf/tokenizers compares this with other implementations. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "tokenizer/tokenizer.h"

#define MAX_THREADS 64

typedef struct corpus {
    json_t *records;
    mr_str *texts; /* [count] */
    size_t count, bytes;
} corpus;

typedef struct lane {
    const mr_tokenizer *tokenizer;
    const corpus *corpus;
    mr_tokenizer_scratch *scratch;
    size_t first, end; /* which texts: next to each other, as they are read */
    size_t tokens;
    double processor_seconds;
    bool failed;
} lane;

static int fail(const char *text)
{
    fprintf(stderr, "bench_tokenizer: %s\n", text);
    return 1;
}

static bool read_corpus(const char *path, corpus *c)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0, room = 0;
    ssize_t length;
    c->records = json_array();
    while (file && (length = getline(&line, &capacity, file)) >= 0) {
        json_t *record = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, NULL), *text = json_object_get(record, "text");
        if (!json_is_string(text)) return false;
        json_array_append_new(c->records, record);
        if (c->count == room) c->texts = realloc(c->texts, (room = 2 * room + 1024) * sizeof *c->texts);
        c->texts[c->count++] = (mr_str){ json_string_value(text), json_string_length(text) };
        c->bytes += json_string_length(text);
    }
    free(line);
    return file && fclose(file) == 0 && c->count;
}

static double processor_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *run_lane(void *argument)
{
    lane *l = argument;
    mr_encoding encoding = { 0 };
    const mr_encode_options options = { .add_special_tokens = false };
    double start = processor_now();
    l->tokens = 0;
    for (size_t i = l->first; i < l->end; i++) {
        if (mr_tokenizer_encode(l->tokenizer, l->scratch, l->corpus->texts[i], &options, &encoding, NULL) != MR_OK) l->failed = true;
        else l->tokens += encoding.count;
    }
    l->processor_seconds = processor_now() - start;
    mr_encoding_fini(&encoding);
    return NULL;
}

static double wall_now(void)
{
    return (double)mr_clock_now(mr_clock_monotonic()) * 1e-9;
}

static json_t *run_round(lane *lanes, size_t threads)
{
    pthread_t ids[MAX_THREADS];
    double start = wall_now(), processor = 0;
    size_t tokens = 0;
    for (size_t i = 1; i < threads; i++) pthread_create(&ids[i], NULL, run_lane, &lanes[i]);
    run_lane(&lanes[0]);
    for (size_t i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    double wall = wall_now() - start;
    for (size_t i = 0; i < threads; i++) {
        processor += lanes[i].processor_seconds;
        tokens += lanes[i].tokens;
    }
    return json_pack("{s:f,s:f,s:I}", "seconds", wall, "processor_seconds", processor, "tokens", (json_int_t)tokens);
}

static int print_ids(const mr_tokenizer *tokenizer, mr_tokenizer_scratch *scratch, const corpus *c, bool offsets)
{
    mr_encoding encoding = { 0 };
    const mr_encode_options options = { .add_special_tokens = false, .offsets = offsets };
    mr_error error;
    for (size_t i = 0; i < c->count; i++) {
        if (mr_tokenizer_encode(tokenizer, scratch, c->texts[i], &options, &encoding, &error) != MR_OK) return fail(error.text);
        putchar('[');
        for (size_t k = 0; k < encoding.count; k++) {
            if (offsets) printf("%s[%d,%u,%u]", k ? "," : "", (int)encoding.ids[k], encoding.spans[k].start, encoding.spans[k].end);
            else printf(k ? ",%d" : "%d", (int)encoding.ids[k]);
        }
        puts("]");
    }
    mr_encoding_fini(&encoding);
    return 0;
}

static int measure(const mr_tokenizer *tokenizer, const corpus *c, size_t threads, size_t rounds, double load_seconds)
{
    lane lanes[MAX_THREADS];
    mr_error error;
    bool failed = false;
    json_t *list = json_array();
    for (size_t i = 0, at = 0, bytes = 0; i < threads; i++) {
        lanes[i] = (lane){ .tokenizer = tokenizer, .corpus = c, .first = at };
        while (at < c->count && bytes < c->bytes / threads * (i + 1)) bytes += c->texts[at++].length;
        lanes[i].end = i + 1 < threads ? at : c->count;
        if (mr_tokenizer_scratch_create(&lanes[i].scratch, &error) != MR_OK) return fail(error.text);
    }
    for (size_t round = 0; round < rounds; round++) json_array_append_new(list, run_round(lanes, threads));
    for (size_t i = 0; i < threads; i++) {
        failed = failed || lanes[i].failed;
        mr_tokenizer_scratch_destroy(lanes[i].scratch);
    }
    json_t *result = json_pack("{s:f,s:I,s:I,s:I,s:o}", "load_seconds", load_seconds, "tokenizer_bytes", (json_int_t)mr_tokenizer_bytes(tokenizer), "texts",
                               (json_int_t)c->count, "bytes", (json_int_t)c->bytes, "rounds", list);
    json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(result);
    return failed ? fail("a text could not be tokenized") : 0;
}

int main(int argc, char **argv)
{
    corpus c = { 0 };
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_error error;
    mr_cache *cache = NULL;
    size_t threads = 1, rounds = 3;
    bool ids = false, offsets = false;
    if (argc < 3) return fail("usage: bench_tokenizer TOKENIZER TEXTS.jsonl [--threads N] [--rounds N] [--cache DIR] [--ids | --offsets]");
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--ids") == 0) ids = true;
        else if (strcmp(argv[i], "--offsets") == 0) ids = offsets = true;
        else if (strcmp(argv[i], "--cache") == 0 && i + 1 < argc) {
            if (mr_cache_open(argv[++i], 1u << 30, "bench_tokenizer", &cache, &error) != MR_OK) return fail(error.text);
        } else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) threads = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) rounds = strtoul(argv[++i], NULL, 10);
        else return fail("unknown argument");
    }
    if (threads < 1 || threads > MAX_THREADS) return fail("--threads: 1 to 64");
    if (!read_corpus(argv[2], &c)) return fail("the texts must be JSON lines with \"text\"");
    double start = processor_now();
    if (mr_tokenizer_open(argv[1], cache, &tokenizer, &error) != MR_OK) return fail(error.text);
    double load = processor_now() - start;
    int code = 0;
    if (ids) {
        if (mr_tokenizer_scratch_create(&scratch, &error) != MR_OK) return fail(error.text);
        code = print_ids(tokenizer, scratch, &c, offsets);
        mr_tokenizer_scratch_destroy(scratch);
    } else {
        code = measure(tokenizer, &c, threads, rounds, load);
    }
    mr_tokenizer_close(tokenizer);
    mr_cache_close(cache);
    json_decref(c.records);
    free(c.texts);
    return code;
}
