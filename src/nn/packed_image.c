#include "nn/packed_image.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"

#define PROBE_ROWS 40
#define PROBE_INPUTS 70

/* An entry between these sizes is copied out of the cache's pages of 4 KiB into huge ones, with which a forward pass of all-MiniLM-L6-v2
 * is up to 3 % faster (docs/cold-start.md). A smaller one fills no huge page; a larger one stays mapped, shared by all processes that
 * run the model. */
#define LEAST_COPIED_BYTES ((size_t)2 << 20)
#define MOST_COPIED_BYTES ((size_t)256 << 20)
#define COPY_STEP ((size_t)2 << 20)

/* The digest of a small layer packed by these very kernels: when their layout or rounding changes, so do all keys. */
static bool probe_kernels(mr_linear_format format, char hex[MR_SHA256_HEX])
{
    float weights[PROBE_ROWS * PROBE_INPUTS], bias[PROBE_ROWS];
    uint32_t random = 1;
    for (size_t i = 0; i < PROBE_ROWS * PROBE_INPUTS; i++) weights[i] = (float)((random = random * 1664525 + 1013904223) >> 8) * 0x1p-23F - 1.0F;
    for (size_t i = 0; i < PROBE_ROWS; i++) bias[i] = weights[i * PROBE_INPUTS];
    const mr_linear_source source = { .weight = weights, .bias = bias, .ld = PROBE_INPUTS, .rows = PROBE_ROWS };
    size_t bytes = mr_linear_packed_bytes(mr_kernels_get(), format, PROBE_ROWS, PROBE_INPUTS);
    void *memory = mr_mem_calloc(1, bytes, MR_MEM_OTHER);
    mr_linear linear;
    bool packed = memory && mr_linear_prepare(mr_kernels_get(), format, &source, 1, PROBE_INPUTS, memory, bytes, &linear, NULL) == MR_OK;
    if (packed) mr_sha256_bytes(memory, bytes, hex);
    mr_mem_free(memory);
    return packed;
}

/* NULL when it is not to be kept: no cache, too large, files whose digest would have to be made anew each time. */
static char *key_of(const mr_checkpoint *checkpoint, const mr_cache *cache, mr_linear_format format, const char *recipe, size_t bytes)
{
    char weights[MR_SHA256_HEX], kernels[MR_SHA256_HEX];
    if (!mr_cache_takes(cache, bytes) || !mr_checkpoint_is_settled(checkpoint)) return NULL;
    if (mr_checkpoint_sha256(checkpoint, cache, weights, NULL) != MR_OK || !probe_kernels(format, kernels)) return NULL;
    return mr_strf("packed layers\n%s\n%s %s %s\n%s", weights, mr_kernels_isa_name(), mr_linear_format_text(format), kernels, recipe);
}

/* Step by step, so that the whole is never resident twice. Without memory for the copy the layers stay where they are mapped. */
static void copy_into_huge_pages(mr_packed_image *image)
{
    image->block = mr_mem_alloc(image->bytes, MR_MEM_WEIGHTS);
    if (!image->block) return;
    image->data = image->block;
    for (size_t at = 0, step; at < image->bytes; at += step) {
        step = image->bytes - at < COPY_STEP ? image->bytes - at : COPY_STEP;
        memcpy(image->data + at, image->entry.data + at, step);
        mr_file_release_pages(image->entry.data + at, step);
    }
    mr_cache_release(&image->entry);
}

mr_status mr_packed_image_open(const mr_checkpoint *checkpoint, const mr_cache *cache, mr_linear_format format, const char *recipe, size_t bytes,
                               mr_packed_image *out, mr_error *error)
{
    mr_packed_image image = { .bytes = bytes, .checkpoint = checkpoint, .cache = cache, .key = key_of(checkpoint, cache, format, recipe, bytes) };
    if (image.key && mr_cache_find(cache, image.key, &image.entry)) {
        image.is_packed = image.entry.length == bytes;
        if (!image.is_packed) mr_cache_release(&image.entry);
    }
    if (image.is_packed) {
        image.data = (unsigned char *)(uintptr_t)image.entry.data;
        if (bytes >= LEAST_COPIED_BYTES && bytes <= MOST_COPIED_BYTES) copy_into_huge_pages(&image);
    } else {
        image.data = image.block = mr_mem_alloc(bytes, MR_MEM_WEIGHTS);
        if (!image.data) {
            mr_packed_image_close(&image);
            return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes of weights", bytes);
        }
    }
    *out = image;
    return MR_OK;
}

void *mr_packed_image_take(mr_packed_image *image, size_t bytes)
{
    if (bytes > image->bytes - image->used) return NULL;
    void *taken = image->data + image->used;
    image->used += bytes;
    return taken;
}

void mr_packed_image_keep(mr_packed_image *image)
{
    if (image->key && !image->is_packed && mr_checkpoint_is_unchanged(image->checkpoint)) mr_cache_store(image->cache, image->key, image->data, image->bytes);
    free(image->key);
    image->key = NULL;
}

void mr_packed_image_close(mr_packed_image *image)
{
    mr_cache_release(&image->entry);
    mr_mem_free(image->block);
    free(image->key);
    *image = (mr_packed_image){ 0 };
}
