/* Any config.json: recognised or not, its limits read or refused, never a crash or an absurd size accepted. */
#include <stdint.h>
#include <stdlib.h>

#include "models/encoder.h"
#include "models/transformer_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    json_decref(config);
    return 0;
}
