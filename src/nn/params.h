/* A model's weights in the form the kernels want: packed linear layers, f32 vectors, embedding tables in place.
 *
 * The same calls also measure: a measuring mr_params checks every name and shape against the files' headers and adds up
 * the bytes, but reads no weight and packs nothing. That is what a memory estimate is made of. */
#ifndef MR_NN_PARAMS_H
#define MR_NN_PARAMS_H

#include "core/work.h"
#include "kernels/kernels.h"
#include "weights/checkpoint.h"

typedef struct mr_params mr_params;

typedef struct mr_params_options {
    mr_linear_format format; /* of all linear layers */
    bool measure;
    const mr_cache *cache; /* borrowed during mr_params_open; NULL: none */
} mr_params_options;

/* Asks for everything a model has. It is called twice, measuring at first: then all linear layers find room in one block, or packed
 * already in options->cache. What it made the first time is gone the second. */
typedef mr_status mr_params_taker(void *context, mr_params *params, mr_error *error);
/* `checkpoint` is borrowed and must outlive the params: embedding tables stay in its files. */
mr_status mr_params_open(const mr_checkpoint *checkpoint, const mr_params_options *options, mr_params_taker *take, void *context, mr_params **out,
                         mr_error *error);
void mr_params_destroy(mr_params *params); /* frees everything handed out below */

/* Finds the wrapper prefix under which `name` is stored: the first of `prefixes` [NULL-terminated, "" among them] that
 * exists. All later names are looked up behind it. MODEL_CORRUPT when none is. */
mr_status mr_params_set_prefix(mr_params *params, const char *const *prefixes, const char *name, mr_error *error);
/* Text between prefix and name from now on, such as "encoder.layer.%zu."; "" to go back. */
void mr_params_set_scope(mr_params *params, const char *format, ...) MR_PRINTF(2, 3);
/* MODEL_UNSUPPORTED naming a tensor of the scope that was not asked for since it was set: a bias, a norm that the architecture as it was
 * read does not have would change every result. */
mr_status mr_params_finish_scope(const mr_params *params, mr_error *error);
/* True when prefix + scope + name is stored. */
bool mr_params_has(const mr_params *params, const char *name);

/* Added to the weights of every norm from now on: some models store their distance from 1. */
void mr_params_set_norm_offset(mr_params *params, float offset);

/* A zeroed struct or array that lives as long as the params. */
mr_status mr_params_alloc(mr_params *params, size_t count, size_t size, void **out, mr_error *error);

/* `name`.weight and, with has_bias, `name`.bias [n] as f32; the old names .gamma and .beta also do. When measuring the pointers are NULL. */
mr_status mr_params_norm(mr_params *params, const char *name, size_t n, double eps, bool has_bias, mr_norm *out, mr_error *error);

/* `name` [rows, columns], left where it is, in its own dtype. */
mr_status mr_params_table(mr_params *params, const char *name, size_t rows, size_t columns, const mr_tensor **out, mr_error *error);

/* `name` [shape], as f32; NULL when measuring. */
mr_status mr_params_array(mr_params *params, const char *name, size_t rank, const size_t *shape, const float **out, mr_error *error);

/* Rows [first, first + rows) of `name`.weight [stored_rows, k] and, with has_bias, `name`.bias [stored_rows]; the names may also end
 * in _weight and _bias, as torch.nn.MultiheadAttention has them. stored_rows 0: all rows are taken (first = 0). */
typedef struct mr_linear_part {
    const char *name;
    size_t rows;
    bool has_bias;
    size_t first;
    size_t stored_rows;
    const char *scale; /* a tensor [rows] by which the outputs are multiplied, bias included; NULL: none. Not with stored_rows */
    size_t kernel[3]; /* of a convolution, stored as [stored_rows, kernel[0], kernel[1], kernel[2]]; k is their product. 0: none */
} mr_linear_part;

#define MR_LINEAR_PARTS_MAX 4

/* Stacks the parts into one layer of sum(rows) outputs and k inputs. When measuring, out->weights is NULL. */
mr_status mr_params_linear(mr_params *params, const mr_linear_part *parts, size_t count, size_t k, mr_linear *out, mr_error *error);

/* A linear layer that is applied once, now, and not kept: y [rows, part->rows] = x [rows, k] W^T + bias in f32, on the calling thread,
 * a slice of W at a time. When measuring only the shapes are checked. */
mr_status mr_params_project(mr_params *params, const mr_linear_part *part, size_t k, const float *x, size_t rows, float *y, mr_error *error);

/* Room for `count` computed values; *out is NULL when measuring. */
mr_status mr_params_values(mr_params *params, size_t count, float **out, mr_error *error);

/* Memory of the model: packed layers, vectors, structs, and the files' tables at full size. */
size_t mr_params_bytes(const mr_params *params);
/* Every linear layer that was opened, by size. */
const mr_work *mr_params_work(const mr_params *params);

#endif
