/* What all stages share: growing arrays, error texts. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/pipeline.h"

static void *grow(void *items, size_t *capacity, size_t needed, size_t size)
{
    size_t wanted = *capacity ? 2 * *capacity : 64;
    if (wanted < needed) wanted = needed;
    if (wanted > SIZE_MAX / 2 / size) return NULL;
    void *grown = realloc(items, wanted * size);
    if (grown) *capacity = wanted;
    return grown;
}

bool mr_ids_reserve(mr_ids *ids, size_t extra)
{
    if (ids->capacity - ids->count >= extra) return true;
    int32_t *grown = grow(ids->items, &ids->capacity, ids->count + extra, sizeof *grown);
    if (grown) ids->items = grown;
    return grown && mr_ids_trace(ids, ids->traced);
}

bool mr_ids_trace(mr_ids *ids, bool traced)
{
    mr_span *spans = traced && ids->capacity ? realloc(ids->spans, ids->capacity * sizeof *spans) : ids->spans;
    if (traced && ids->capacity && !spans) return false;
    ids->spans = spans;
    ids->traced = traced;
    return true;
}

bool mr_pieces_reserve(mr_pieces *pieces, size_t extra)
{
    if (pieces->capacity - pieces->count >= extra) return true;
    mr_piece *grown = grow(pieces->items, &pieces->capacity, pieces->count + extra, sizeof *grown);
    if (grown) pieces->items = grown;
    return grown != NULL;
}

mr_str mr_str_copy(mr_str text)
{
    return (mr_str){ mr_strndup(text.data, text.length), text.length };
}

static int shown_length(mr_str text)
{
    return (int)(text.length < 64 ? text.length : 64);
}

mr_status mr_component_type(mr_json_value component, const char *stage, mr_str *type, mr_error *error)
{
    mr_json_value value = mr_json_get(component, "type");
    if (mr_json_type_of(value) != MR_JSON_STRING)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %s must be an object with a \"type\"", mr_json_path(component), stage);
    *type = mr_json_bytes(value);
    return MR_OK;
}

mr_status mr_component_unsupported(mr_json_value component, const char *stage, mr_error *error)
{
    mr_str type = { 0 };
    MR_TRY(mr_component_type(component, stage, &type, error));
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: %s type \"%.*s\" is not supported", mr_json_path(component), stage, shown_length(type), type.data);
}

mr_status mr_tokenizer_scratch_create(mr_tokenizer_scratch **out, mr_error *error)
{
    mr_tokenizer_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for tokenizer scratch");
    mr_status status = mr_regex_scratch_prepare(&scratch->regex, error);
    if (status != MR_OK) return mr_tokenizer_scratch_destroy(scratch), status;
    *out = scratch;
    return MR_OK;
}

void mr_tokenizer_scratch_destroy(mr_tokenizer_scratch *scratch)
{
    if (!scratch) return;
    for (size_t i = 0; i < 2; i++) {
        mr_buf_fini(&scratch->normal[i]);
        mr_buf_fini(&scratch->spaced[i]);
        free(scratch->pieces[i].items);
        free(scratch->ids[i].items);
        free(scratch->ids[i].spans);
    }
    mr_marks_fini(&scratch->marks);
    mr_offsets_fini(&scratch->offsets);
    mr_regex_scratch_fini(&scratch->regex);
    mr_bpe_scratch_fini(&scratch->bpe);
    mr_unigram_scratch_fini(&scratch->unigram);
    mr_word_cache_fini(&scratch->cache);
    free(scratch);
}
