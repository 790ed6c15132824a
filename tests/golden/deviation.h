/* Wrong on purpose: the blocks models are made of do one thing differently while a deviation is set. Linked with --wrap, so the
 * library itself knows nothing of it. Each is a mistake that has been made in some port of one of these models. */
#ifndef MR_TESTS_DEVIATION_H
#define MR_TESTS_DEVIATION_H

#include <stdbool.h>
#include <stddef.h>

/* X(name, what is different) */
#define DEVIATIONS(X)                                              \
    X(NONE, "nothing")                                             \
    X(CAUSAL, "causal for bidirectional attention or the reverse") \
    X(SCALE, "scores scaled by 1 / head_dim")                      \
    X(WINDOW, "layers with a window see everything")               \
    X(WINDOW_EDGE, "the window is one key wider")                  \
    X(ALIBI, "no ALiBi")                                           \
    X(ALIBI_ORDER, "ALiBi slopes in the reverse order")            \
    X(BIAS, "no bias of scores")                                   \
    X(BIAS_SIDE, "the bias of scores mirrored")                    \
    X(LOGN, "no log-n scale")                                      \
    X(ROPE, "no rotation")                                         \
    X(ROPE_PAIRS, "rotation of neighbours for rotation of halves") \
    X(EMBEDDING_TABLE, "the last embedding table left out")        \
    X(POSITIONS, "positions one too high")                         \
    X(EMBEDDING_NORM, "embeddings not normalised")                 \
    X(GATE_UP, "gate and up exchanged")                            \
    X(ACTIVATION, "tanh GELU for erf GELU, GELU for SiLU, ...")    \
    X(LINEAR_BIAS, "linear layers without biases")                 \
    X(NORM_BIAS, "norms without biases")                           \
    X(NORM_EPS, "1e-12 for 1e-5 in norms or the reverse")

#define X(name, text) DEVIATION_##name,
typedef enum deviation { DEVIATIONS(X) DEVIATION_COUNT } deviation;
#undef X

/* Norms are changed while a model is opened, everything else while it runs. */
void deviation_set(deviation kind);
/* Has anything been done differently since it was set? A model without ALiBi cannot run without ALiBi. */
bool deviation_happened(void);
const char *deviation_text(deviation kind);

#endif
