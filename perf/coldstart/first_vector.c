/* The least program around libmillrace: one text in, its vector out.   first_vector MODEL TEXT [PRECISION] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millrace.h"

int main(int argc, char **argv)
{
    if (argc < 3) return fputs("usage: first_vector MODEL TEXT [PRECISION]\n", stderr), 64;
    mr_error error;
    mr_embedder *embedder = NULL;
    const mr_embedder_options options = { .model = argv[1], .precision = argc > 3 ? argv[3] : NULL };
    const mr_str text = { argv[2], strlen(argv[2]) };
    mr_status status = mr_embedder_open(&options, &embedder, &error);
    float *vector = status == MR_OK ? calloc(mr_embedder_dimension(embedder), sizeof *vector) : NULL;
    if (vector) status = mr_embedder_run(embedder, &text, 1, vector, NULL, &error);
    if (status == MR_OK && vector) {
        for (size_t i = 0; i < mr_embedder_dimension(embedder); i++) printf("%s%.9g", i ? " " : "", (double)vector[i]);
        putchar('\n');
        fflush(stdout);
    } else {
        fprintf(stderr, "first_vector: %s\n", status == MR_OK ? "out of memory" : error.text);
    }
    free(vector);
    mr_embedder_close(embedder);
    return mr_status_exit_code(status);
}
