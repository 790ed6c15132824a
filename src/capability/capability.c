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

const char *mr_capability_text(mr_capability capability) { return capability_texts[capability]; }
size_t mr_capability_queue_capacity(mr_capability capability) { return queue_capacities[capability]; }
const char *mr_precision_text(mr_precision precision) { return precision_texts[precision]; }

bool mr_capability_parse(const char *text, mr_capability *out)
{
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        if (strcmp(text, capability_texts[i]) != 0) continue;
        *out = (mr_capability)i;
        return true;
    }
    return false;
}
