/* A golden case of a model that embeds images. Failures end the test. */
#ifndef MR_TESTS_VISION_CASE_H
#define MR_TESTS_VISION_CASE_H

#include <jansson.h>

#include "embed/image_embedder.h"
#include "weights/checkpoint.h"

typedef struct vision_case {
    json_t *document; /* expect/cases.json */
    mr_checkpoint *expected, *trace;
    mr_image_embedding_shape shape;
    mr_image *images; /* [count], as the model takes them */
    size_t count;
} vision_case;

/* Zeroes, then fills. Images are prepared as the directory's own preprocessor_config.json says. */
void vision_case_load(const char *directory, vision_case *out);
void vision_case_free(vision_case *c);
double vision_case_tolerance(const vision_case *c, const char *precision, const char *key);

#endif
