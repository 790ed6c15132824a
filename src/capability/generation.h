/* How tokens are drawn and how a text ends: shared by the capabilities that write text. */
#ifndef MR_CAPABILITY_GENERATION_H
#define MR_CAPABILITY_GENERATION_H

#include "core/error.h"

/* Settings of one input. temperature 0 is greedy and then the filters and the seed do nothing. */
typedef struct mr_sampling {
    float temperature;
    size_t top_k;             /* 0: off */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off */
    float repetition_penalty; /* 1: off */
    uint64_t seed;            /* with the input alone it decides the draw: batch mates don't */
    const int32_t *stop_ids;  /* [stop_count] tokens that end the text; borrowed until run_batch returns */
    size_t stop_count;
} mr_sampling;

/* X(NAME, value, text). Values are stored in outputs. */
#define MR_FINISH_LIST(X)   \
    X(STOP, 0, "stop")      \
    X(LENGTH, 1, "length")  \
    X(FAILED, 2, "failed")

typedef enum mr_finish {
#define MR_FINISH_ENUM(name, value, text) MR_FINISH_##name = value,
    MR_FINISH_LIST(MR_FINISH_ENUM)
#undef MR_FINISH_ENUM
} mr_finish;

/* One generated text, in caller storage. */
typedef struct mr_generated {
    int32_t *ids;    /* [capacity]: at most that many tokens are generated */
    size_t capacity;
    size_t count;    /* written; the stop token is not among them */
    mr_finish finish;
} mr_generated;

#endif
