/* The lines of standard input as vectors on standard output, a line of numbers each.
 *
 *   cc embed.c $(pkg-config --cflags --libs millrace) -o embed
 *   printf 'edit photographs\nplay chess\n' | ./embed sentence-transformers/all-MiniLM-L6-v2 */
#include <millrace.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 64 /* lines a call: the model's workers see enough at once to be busy */

static int fail(const mr_error *error)
{
    fprintf(stderr, "embed: %s\n", error->text);
    return mr_status_exit_code(error->status);
}

static void print_vector(const float *vector, size_t dimension)
{
    for (size_t i = 0; i < dimension; i++) printf("%s%.9g", i ? " " : "", (double)vector[i]);
    putchar('\n');
}

/* Reads at most BATCH lines; how many there were. */
static size_t read_lines(mr_str lines[BATCH])
{
    size_t count = 0;
    for (char *line = NULL; count < BATCH; count++, line = NULL) {
        size_t capacity = 0;
        ssize_t length = getline(&line, &capacity, stdin);
        if (length < 0) {
            free(line);
            break;
        }
        if (length > 0 && line[length - 1] == '\n') length--;
        lines[count] = (mr_str){ line, (size_t)length };
    }
    return count;
}

static mr_status embed_all(mr_embedder *embedder, float *vectors, mr_error *error)
{
    size_t dimension = mr_embedder_dimension(embedder), count;
    mr_str lines[BATCH];
    mr_status status = MR_OK;
    while (status == MR_OK && (count = read_lines(lines)) > 0) {
        status = mr_embedder_run(embedder, lines, count, vectors, NULL, error);
        for (size_t i = 0; i < count; i++) {
            if (status == MR_OK) print_vector(vectors + i * dimension, dimension);
            free((char *)lines[i].data);
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: embed MODEL <TEXTS\n");
        return 64;
    }
    mr_error error;
    mr_embedder *embedder;
    const mr_embedder_options options = { .model = argv[1] };
    if (mr_embedder_open(&options, &embedder, &error) != MR_OK) return fail(&error);
    float *vectors = malloc(BATCH * mr_embedder_dimension(embedder) * sizeof *vectors);
    mr_status status = vectors ? embed_all(embedder, vectors, &error) : MR_OUT_OF_MEMORY;
    free(vectors);
    mr_embedder_close(embedder);
    if (!vectors) fprintf(stderr, "embed: out of memory\n");
    return status == MR_OK ? 0 : vectors ? fail(&error) : mr_status_exit_code(status);
}
