#include <string.h>

#include "capability/model.h"

static const char *const capability_texts[] = {
#define TEXT(name, text, capacity) text,
    MR_CAPABILITY_LIST(TEXT)
#undef TEXT
};

static const size_t queue_capacities[] = {
#define CAPACITY(name, text, capacity) capacity,
    MR_CAPABILITY_LIST(CAPACITY)
#undef CAPACITY
};

static const char *const precision_texts[] = {
#define TEXT(name, text) text,
    MR_PRECISION_LIST(TEXT)
#undef TEXT
};

static bool find(const char *text, const char *const *texts, size_t count, int *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, texts[i]) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

const char *mr_capability_text(mr_capability capability) { return capability_texts[capability]; }
size_t mr_capability_queue_capacity(mr_capability capability) { return queue_capacities[capability]; }
const char *mr_precision_text(mr_precision precision) { return precision_texts[precision]; }

bool mr_capability_parse(const char *text, mr_capability *out)
{
    int index;
    if (!find(text, capability_texts, sizeof capability_texts / sizeof *capability_texts, &index)) return false;
    *out = (mr_capability)index;
    return true;
}

bool mr_precision_parse(const char *text, mr_precision *out)
{
    int index;
    if (!find(text, precision_texts, sizeof precision_texts / sizeof *precision_texts, &index)) return false;
    *out = (mr_precision)index;
    return true;
}
