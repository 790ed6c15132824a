/* Any config.json, of texts or of images: recognised or not, its limits read or refused, never a crash or an absurd size accepted. */
#include <stdint.h>
#include <stdlib.h>

#include "models/encoder.h"
#include "models/transformer_config.h"
#include "models/vision_tower.h"

#define LARGEST_IMAGE ((size_t)4096) /* of a tower that takes one size only */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_towers(const json_t *json)
{
    const mr_vision_config config = { .json = json, .where = "config.json", .image_size = 224 };
    for (size_t i = 0; mr_vision_architectures[i]; i++) {
        mr_vision_limits limits;
        mr_error error;
        if (!mr_vision_architectures[i]->matches(json)) continue;
        if (mr_vision_architectures[i]->limits(&config, &limits, &error) != MR_OK) continue;
        if (limits.image_size == 0 || limits.image_size > LARGEST_IMAGE || limits.dimension == 0 || limits.dimension > MR_CONFIG_MAX_WIDTH) abort();
        if (limits.tokens == 0 || limits.tokens > LARGEST_IMAGE * LARGEST_IMAGE + 1) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *config = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(config)) {
        json_decref(config);
        return 0;
    }
    for (size_t i = 0; mr_encoder_architectures[i]; i++) {
        mr_encoder_limits limits;
        mr_error error;
        if (!mr_encoder_architectures[i]->matches(config)) continue;
        if (mr_encoder_architectures[i]->limits(config, "config.json", &limits, &error) != MR_OK) continue;
        if (limits.hidden_size == 0 || limits.hidden_size > MR_CONFIG_MAX_WIDTH || limits.vocab_size == 0 || limits.vocab_size > MR_CONFIG_MAX_VOCAB) abort();
    }
    read_towers(config);
    json_decref(config);
    return 0;
}
