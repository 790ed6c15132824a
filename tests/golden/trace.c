/* golden_trace CASE [f32|bf16|int8] [DEVIATION]: runs the traced text of a golden case and compares what leaves each layer with the
 * reference, naming the first that differs by more than the tolerance (of f32; bf16 and int8 are allowed their cosine). DEVIATION, a
 * number from deviation.h, makes one thing wrong: what a mistake of that kind looks like. Exit 1 when something differs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/str.h"
#include "deviation.h"
#include "embed/sentence_config.h"
#include "embed/text_embedder.h"
#include "golden_case.h"

typedef struct comparison {
    const golden_case *golden;
    mr_precision precision;
    char first[32]; /* that differs; "" = none */
} comparison;

static bool within(const comparison *c, double largest, double allowed, double cosine)
{
    if (c->precision == MR_PRECISION_F32) return largest <= allowed && cosine >= c->golden->min_cosine;
    return cosine >= (c->precision == MR_PRECISION_BF16 ? c->golden->bf16_cosine : c->golden->int8_cosine);
}

/* One line of the table: [rows, width] got and expected. */
static void compare(comparison *c, const char *name, const float *got, const float *expected, size_t rows, size_t width, double allowed)
{
    size_t worst = 0, n = rows * width;
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)got[i] - (double)expected[i]);
        if (difference <= largest) continue;
        largest = difference;
        worst = i;
    }
    double cosine = golden_cosine(got, expected, n);
    bool good = within(c, largest, allowed, cosine);
    printf("%-10s %5zu x %-5zu %10.3g %10.3g %13.9f   token %zu, value %zu: %.7g, expected %.7g%s\n", name, rows, width, largest, allowed, cosine,
           worst / width, worst % width, (double)got[worst], (double)expected[worst], good ? "" : "   <--");
    if (!good && !c->first[0]) snprintf(c->first, sizeof c->first, "%s", name);
}

static void compare_stored(comparison *c, const mr_checkpoint *from, const char *name, const float *got, double allowed)
{
    size_t rows, width;
    float *expected = golden_tensor(from, name, &rows, &width);
    compare(c, name, got, expected, rows, width, allowed > 0 ? allowed : golden_tolerance(expected, rows * width));
    free(expected);
}

static void compare_layer(void *context, size_t k, const float *x, size_t tokens, size_t hidden)
{
    (void)tokens;
    (void)hidden;
    char name[32];
    comparison *c = context;
    snprintf(name, sizeof name, "hidden.%zu", k);
    if (mr_checkpoint_find(c->golden->trace, name)) compare_stored(c, c->golden->trace, name, x, 0);
}

static void must(mr_status status, const mr_error *error)
{
    if (status == MR_OK) return;
    fprintf(stderr, "golden_trace: %s\n", error->text);
    exit(2);
}

static void run(const char *directory, comparison *c)
{
    mr_error error = { 0 };
    void *model = NULL, *worker = NULL;
    size_t rows, width;
    mr_status status = MR_OK;
    const golden_input *from = &c->golden->inputs[c->golden->trace_row];
    const mr_model_options options = { .precision = c->precision, .threads_per_worker = 1, .max_batch_tokens = from->count, .max_batch_inputs = 1 };
    const mr_text_embedding_input input = { .ids = from->ids, .count = from->count, .prompt_tokens = from->prompt_length };
    const mr_text_embedding_request request = { .inputs = &input, .count = 1 };
    const mr_layer_trace trace = { .layer = compare_layer, .context = c };
    float *expected = golden_tensor(c->golden->expected, "embedding", &rows, &width), *vector = calloc(width, sizeof *vector);
    mr_text_embedding_response response = { .vectors = vector, .dimension = width, .statuses = &status };
    if (!vector) abort();
    must(mr_text_embedder.open(directory, &options, &model, &error), &error);
    must(mr_text_embedder.worker_create(model, &options, &worker, &error), &error);
    mr_text_embedder_set_trace(worker, &trace, NULL);
    printf("\"%s\", %zu tokens, %s\n%-10s %13s %10s %10s %13s\n", from->name, from->count, mr_precision_text(c->precision), "", "shape", "largest",
           "allowed", "cosine");
    must(mr_text_embedder.run_batch(worker, &request, &response, &error), &error);
    compare(c, "embedding", vector, expected + c->golden->trace_row * width, 1, width, c->golden->max_abs);
    mr_text_embedder.worker_destroy(worker);
    mr_text_embedder.close(model);
    free(expected);
    free(vector);
}

static bool parse_precision(const char *text, mr_precision *out)
{
    for (mr_precision p = MR_PRECISION_F32; p <= MR_PRECISION_INT8; p++) {
        if (strcmp(text, mr_precision_text(p)) != 0) continue;
        *out = p;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    comparison c = { .precision = MR_PRECISION_F32 };
    if (argc < 2 || argc > 4 || (argc > 2 && !parse_precision(argv[2], &c.precision)) || (argc > 3 && strtoul(argv[3], NULL, 10) >= DEVIATION_COUNT)) {
        fputs("usage: golden_trace CASE [f32|bf16|int8] [DEVIATION]\n", stderr);
        return 2;
    }
    char *directory = strchr(argv[1], '/') ? mr_strdup(argv[1]) : mr_path_join(MR_TEST_DATA "/golden", argv[1]);
    char *expect = directory ? mr_path_join(directory, "expect") : NULL;
    if (!expect || !mr_path_is_directory(expect)) {
        fprintf(stderr, "golden_trace: no golden case at %s\n", directory ? directory : argv[1]);
        return 2;
    }
    golden_case golden;
    golden_case_load(expect, &golden);
    c.golden = &golden;
    deviation_set(argc > 3 ? (deviation)strtoul(argv[3], NULL, 10) : DEVIATION_NONE);
    run(directory, &c);
    if (c.first[0]) printf("first to differ: %s\n", c.first);
    else printf("all within the tolerance\n");
    golden_case_free(&golden);
    free(directory);
    free(expect);
    return c.first[0] ? 1 : 0;
}
