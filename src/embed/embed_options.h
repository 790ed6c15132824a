/* What a caller may set in a text embedder; zeroed = as the model says. Strings are borrowed during the calls that take it. */
#ifndef MR_EMBED_EMBED_OPTIONS_H
#define MR_EMBED_EMBED_OPTIONS_H

#include "core/error.h"
#include "kernels/kernels.h"

typedef enum mr_choice { MR_CHOICE_MODEL, MR_CHOICE_YES, MR_CHOICE_NO } mr_choice;

typedef struct mr_embed_options {
    /* The text: read by mr_text_preparer. */
    const char *prompt_text; /* put in front of every text; "" = explicitly none; NULL = see prompt_name */
    const char *prompt_name; /* one of the model's prompts; NULL = its default one, if any */
    const char *prompt_fallback; /* for prompt_name, where the model's files have no such prompt; NULL = that is an error */
    bool is_query;           /* neither is given: the model's "query" prompt, if it has one, goes before its default one */
    size_t max_tokens;       /* special tokens included, at most the model's own limit; 0 = that limit */
    /* The vector: read by mr_text_embedder through mr_model_options.embed. */
    bool override_pooling; /* use `pooling` instead of the model's modes */
    mr_pooling pooling;
    mr_choice normalize; /* L2 at the end; NO also leaves out the model's own Normalize */
    /* Length of the vector, 0 = full. A model with heads for several lengths (2_Dense_256, 2_Dense_1024, ...) uses the head of that
     * name; others keep the first values (Matryoshka), normalised again if the full vector would have been. */
    size_t dimension;
} mr_embed_options;

/* mean, cls, last, max, mean_sqrt_len, weightedmean, and the spellings of 1_Pooling/config.json. */
bool mr_pooling_parse(const char *text, mr_pooling *out);
const char *mr_pooling_text(mr_pooling pooling);

#endif
