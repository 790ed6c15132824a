#include "deviation.h"

#include <stdlib.h>
#include <string.h>

#include "nn/embedding.h"
#include "nn/ffn.h"
#include "nn/params.h"
#include "nn/rope.h"
#include "nn/self_attention.h"

static deviation current;
static bool happened;

void deviation_set(deviation kind)
{
    current = kind;
    happened = false;
}

bool deviation_happened(void)
{
    return happened;
}

const char *deviation_text(deviation kind)
{
#define X(name, text) text,
    static const char *const texts[] = { DEVIATIONS(X) };
#undef X
    return texts[kind];
}

/* Is it this one's turn, here where it makes a difference? */
static bool deviates(deviation kind, bool possible)
{
    if (current != kind || !possible) return false;
    happened = true;
    return true;
}

/* ---------------------------------------------------------------- attention */

void __real_mr_self_attention_run(const mr_self_attention *attention, const mr_token_batch *batch, const float *qkv, float *out, size_t threads,
                                  void *const *scratch);
void __wrap_mr_self_attention_run(const mr_self_attention *attention, const mr_token_batch *batch, const float *qkv, float *out, size_t threads,
                                  void *const *scratch);

/* [heads, columns] with rows or columns in the reverse order; free() it. */
static float *mirrored(const float *from, size_t rows, size_t columns)
{
    float *to = malloc(rows * columns * sizeof *to);
    if (!to) abort();
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) to[r * columns + c] = columns == 1 ? from[rows - 1 - r] : from[r * columns + columns - 1 - c];
    return to;
}

void __wrap_mr_self_attention_run(const mr_self_attention *attention, const mr_token_batch *batch, const float *qkv, float *out, size_t threads,
                                  void *const *scratch)
{
    mr_self_attention changed = *attention;
    float *table = NULL;
    if (deviates(DEVIATION_CAUSAL, true)) changed.causal = !changed.causal;
    if (deviates(DEVIATION_SCALE, true)) changed.scale = 1.0F / (float)attention->head_dim;
    if (deviates(DEVIATION_WINDOW, attention->window > 0)) changed.window = 0;
    if (deviates(DEVIATION_WINDOW_EDGE, attention->window > 0)) changed.window++;
    if (deviates(DEVIATION_ALIBI, attention->alibi)) changed.alibi = NULL;
    if (deviates(DEVIATION_ALIBI_ORDER, attention->alibi)) changed.alibi = table = mirrored(attention->alibi, attention->heads, 1);
    if (deviates(DEVIATION_BIAS, attention->bias)) changed.bias = NULL;
    if (deviates(DEVIATION_BIAS_SIDE, attention->bias)) changed.bias = table = mirrored(attention->bias, attention->heads, 2 * attention->bias_reach + 1);
    if (deviates(DEVIATION_LOGN, attention->logn_base > 1)) changed.logn_base = 0;
    __real_mr_self_attention_run(&changed, batch, qkv, out, threads, scratch);
    free(table);
}

/* ---------------------------------------------------------------- rotation */

void __real_mr_rope_turn(const mr_rope *rope, const mr_rope_tables *tables, float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim,
                         const int32_t *positions);
void __wrap_mr_rope_turn(const mr_rope *rope, const mr_rope_tables *tables, float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim,
                         const int32_t *positions);

void __wrap_mr_rope_turn(const mr_rope *rope, const mr_rope_tables *tables, float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim,
                         const int32_t *positions)
{
    if (deviates(DEVIATION_ROPE, true)) return;
    if (deviates(DEVIATION_ROPE_PAIRS, true))
        mr_kernels_get()->rope_f32(x, ldx, rows, heads, head_dim, rope->half, tables->cosine, tables->sine, positions, true);
    else __real_mr_rope_turn(rope, tables, x, ldx, rows, heads, head_dim, positions);
}

/* ---------------------------------------------------------------- embeddings */

void __real_mr_embedding_run(const mr_embedding_table *tables, size_t count, const mr_norm *norm, size_t tokens, size_t threads, float *y);
void __wrap_mr_embedding_run(const mr_embedding_table *tables, size_t count, const mr_norm *norm, size_t tokens, size_t threads, float *y);

void __wrap_mr_embedding_run(const mr_embedding_table *tables, size_t count, const mr_norm *norm, size_t tokens, size_t threads, float *y)
{
    mr_embedding_table changed[4];
    int32_t *higher = NULL;
    memcpy(changed, tables, count * sizeof *tables);
    mr_embedding_table *last = &changed[count - 1];
    bool room = count > 1 && last->ids;
    for (size_t t = 0; room && t < tokens; t++) room = (size_t)last->ids[t] + 1 < last->table->shape[0];
    if (deviates(DEVIATION_POSITIONS, room)) {
        last->ids = higher = malloc(tokens * sizeof *higher);
        if (!higher) abort();
        for (size_t t = 0; t < tokens; t++) higher[t] = tables[count - 1].ids[t] + 1;
    }
    if (deviates(DEVIATION_EMBEDDING_TABLE, count > 1)) count--;
    if (deviates(DEVIATION_EMBEDDING_NORM, norm)) norm = NULL;
    __real_mr_embedding_run(changed, count, norm, tokens, threads, y);
    free(higher);
}

/* ---------------------------------------------------------------- feed-forward part, linear layers */

void __real_mr_ffn_run(const mr_ffn *ffn, const float *x, float *y, size_t rows, float *wide, const mr_epilogue *last, void *scratch);
void __wrap_mr_ffn_run(const mr_ffn *ffn, const float *x, float *y, size_t rows, float *wide, const mr_epilogue *last, void *scratch);

void __wrap_mr_ffn_run(const mr_ffn *ffn, const float *x, float *y, size_t rows, float *wide, const mr_epilogue *last, void *scratch)
{
    mr_ffn changed = *ffn;
    if (deviates(DEVIATION_GATE_UP, ffn->gate.n > 0)) {
        changed.gate = ffn->up;
        changed.up = ffn->gate;
    }
    if (deviates(DEVIATION_ACTIVATION, true)) changed.activation = ffn->activation == MR_ACTIVATION_GELU ? MR_ACTIVATION_GELU_TANH : MR_ACTIVATION_GELU;
    __real_mr_ffn_run(&changed, x, y, rows, wide, last, scratch);
}

void __real_mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                          void *scratch);
void __wrap_mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                          void *scratch);

void __wrap_mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                          void *scratch)
{
    static const float zeros[1 << 12];
    mr_linear changed = *linear;
    bool biased = false;
    for (size_t i = 0; i < linear->n; i++) biased = biased || linear->bias[i] != 0;
    if (linear->n + 64 <= sizeof zeros / sizeof *zeros && deviates(DEVIATION_LINEAR_BIAS, biased)) changed.bias = zeros;
    __real_mr_linear_run(&changed, x, ldx, y, ldy, rows, epilogue, scratch);
}

/* ---------------------------------------------------------------- norms */

mr_status __real_mr_params_norm(mr_params *params, const char *name, size_t n, double eps, bool has_bias, mr_norm *out, mr_error *error);
mr_status __wrap_mr_params_norm(mr_params *params, const char *name, size_t n, double eps, bool has_bias, mr_norm *out, mr_error *error);

mr_status __wrap_mr_params_norm(mr_params *params, const char *name, size_t n, double eps, bool has_bias, mr_norm *out, mr_error *error)
{
    if (deviates(DEVIATION_NORM_EPS, true)) eps = eps < 1e-6 ? 1e-5 : 1e-12;
    MR_TRY(__real_mr_params_norm(params, name, n, eps, has_bias, out, error));
    if (deviates(DEVIATION_NORM_BIAS, out->bias)) out->bias = NULL;
    return MR_OK;
}
