/* Post-processors: ids of one or two texts -> ids with special tokens. */
#ifndef MR_TOKENIZER_POST_PROCESSOR_H
#define MR_TOKENIZER_POST_PROCESSOR_H

#include "tokenizer/json_tree.h"

/* One place of a template. */
typedef struct mr_template_item {
    int32_t id;     /* special id, or -1: a text */
    uint8_t text;   /* 0: A, 1: B */
    uint8_t type;
} mr_template_item;

typedef struct mr_template {
    mr_template_item *items; /* owned */
    size_t count;
    size_t added; /* special ids among them */
} mr_template;

/* What to do with one text ([0]) and with two ([1]). */
typedef struct mr_post_processor {
    mr_template templates[2];
    bool trims;  /* offsets leave out the white space around a token */
    bool prefix; /* but for the first token's first space, which was put in */
} mr_post_processor;

mr_status mr_post_processor_open(mr_json_value component, mr_post_processor *out, mr_error *error);
void mr_post_processor_fini(mr_post_processor *post_processor);

#endif
