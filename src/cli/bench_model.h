/* The model of `millrace bench`, and inputs to run it on: texts of given lengths, or images of the size it takes. */
#ifndef MR_CLI_BENCH_MODEL_H
#define MR_CLI_BENCH_MODEL_H

#include "bench/forward.h"

#define MR_BENCH_LENGTHS_MAX 256
#define MR_BENCH_BATCH_TOKENS 2048 /* texts or images of one round */

typedef struct mr_bench_model mr_bench_model;

typedef enum mr_bench_tower { MR_BENCH_TOWER_ANY, MR_BENCH_TOWER_TEXT, MR_BENCH_TOWER_IMAGE } mr_bench_tower;

/* `key` as -m takes it. `tower`: of a model that embeds both; ANY is images then. lengths [count]: tokens of the texts, cut to what the
 * model takes; `ids_text` is what they are made of. Opens no weights. */
mr_status mr_bench_model_open(const char *key, mr_bench_tower tower, const size_t *lengths, size_t count, const char *ids_text,
                              mr_bench_model **out, mr_error *error);
void mr_bench_model_close(mr_bench_model *model); /* NULL is fine */

/* What a forward pass takes, but for precision, cores and seconds; borrowed from the model. */
mr_bench_forward_job mr_bench_model_job(const mr_bench_model *model);
const mr_work *mr_bench_model_work(const mr_bench_model *model);
size_t mr_bench_model_max_tokens(const mr_bench_model *model); /* of one input; 0 = any */

#endif
