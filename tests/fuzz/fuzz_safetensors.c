/* Any bytes at all: refused or parsed, and every accepted tensor can be read to its last element. */
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_safetensors parsed = { 0 };
    mr_error error;
    if (mr_safetensors_parse(data, size, "input", &parsed, &error) != MR_OK) return 0;
    for (size_t i = 0; i < parsed.count; i++) {
        float *values = mr_mem_alloc_array(parsed.tensors[i].elements, sizeof(float), MR_MEM_OTHER);
        if (!values) abort();
        mr_tensor_to_f32(&parsed.tensors[i], values);
        mr_mem_free(values);
    }
    mr_safetensors_fini(&parsed);
    return 0;
}
