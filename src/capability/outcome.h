/* How the inputs of one answered request ended, for whoever counts without knowing the capability. */
#ifndef MR_CAPABILITY_OUTCOME_H
#define MR_CAPABILITY_OUTCOME_H

#include "capability/model.h"

typedef struct mr_outcome {
    size_t inputs;
    size_t failed;     /* status other than OK; includes non_finite */
    size_t non_finite;
} mr_outcome;

/* `request` and `response` are the structs of `capability`, after run_batch returned MR_OK. */
mr_outcome mr_outcome_of(mr_capability capability, const void *request, const void *response);

#endif
