/* A directory with tiktoken.model: lines "BASE64 RANK", the id is the rank. Special tokens come from
 * tokenizer_config.json. Its merging by the lowest ranked concatenation is BPE over all pairs whose concatenation is in
 * the table, ranked by its id, so the same engine runs it. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/tokenizer_model.h"
#include "tokenizer/unicode.h"

#define MAX_TOKEN_BYTES 1024 /* the longest of the real ones have 128 */

typedef struct table {
    mr_str *texts; /* bytes */
    int32_t *ids;
    size_t count;
    char *bytes; /* storage of texts */
} table;

static void table_fini(table *t)
{
    free(t->texts);
    free(t->ids);
    free(t->bytes);
}

static mr_status bad_line(const char *path, size_t line, const char *what, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s:%zu: %s", path, line, what);
}

/* One line without its end. */
static mr_status read_line(mr_str line, const char *path, size_t number, char *to, mr_str *text, int32_t *id, mr_error *error)
{
    const char *space = memchr(line.data, ' ', line.length);
    if (!space) return bad_line(path, number, "expected \"BASE64 RANK\"", error);
    mr_str base64 = { line.data, (size_t)(space - line.data) }, rank = { space + 1, line.length - base64.length - 1 };
    size_t length = mr_base64_decode(base64, (unsigned char *)to), value;
    if (length == SIZE_MAX || length == 0 || length > MAX_TOKEN_BYTES) return bad_line(path, number, "not Base64, or longer than 1024 bytes", error);
    if (!mr_str_to_size(rank, MR_VOCABULARY_MAX_ID, &value)) return bad_line(path, number, "the rank must be a whole number", error);
    *text = (mr_str){ to, length };
    *id = (int32_t)value;
    return MR_OK;
}

static mr_status read_table(const char *data, size_t length, const char *path, table *t, mr_error *error)
{
    size_t lines = 1, number = 0;
    for (size_t i = 0; i < length; i++) lines += data[i] == '\n';
    t->texts = malloc(lines * sizeof *t->texts);
    t->ids = malloc(lines * sizeof *t->ids);
    t->bytes = malloc(length + 1);
    if (!t->texts || !t->ids || !t->bytes) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    char *to = t->bytes;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(data + at, '\n', length - at);
        mr_str line = { data + at, end ? (size_t)(end - data) - at : length - at };
        at += line.length + 1;
        number++;
        if (line.length && line.data[line.length - 1] == '\r') line.length--;
        if (line.length == 0) continue;
        MR_TRY(read_line(line, path, number, to, &t->texts[t->count], &t->ids[t->count], error));
        to += t->texts[t->count++].length;
    }
    return t->count ? MR_OK : bad_line(path, number, "no entries", error);
}

/* Every way to put a text together from two others. */
static mr_status read_pairs(const table *t, mr_bpe *bpe, mr_error *error)
{
    size_t pairs = 0;
    for (int fill = 0; fill < 2; fill++) { /* count, then enter */
        if (fill) MR_TRY(mr_bpe_table_create(bpe, pairs, bpe->whole.size, error));
        for (size_t i = 0; i < t->count; i++) {
            mr_str text = t->texts[i];
            for (size_t cut = 1; cut < text.length; cut++) {
                int32_t left = mr_vocabulary_id(&bpe->whole, (mr_str){ text.data, cut });
                int32_t right = left < 0 ? -1 : mr_vocabulary_id(&bpe->whole, (mr_str){ text.data + cut, text.length - cut });
                if (right < 0) continue;
                if (fill) mr_bpe_table_put(bpe, left, right, (uint32_t)t->ids[i], t->ids[i]);
                else pairs++;
            }
        }
    }
    return MR_OK;
}

/* The texts as they are shown and decoded: in the alphabet of byte-level BPE. */
static mr_status read_shown(const table *t, mr_vocabulary *out, mr_error *error)
{
    size_t total = 0;
    for (size_t i = 0; i < t->count; i++) total += t->texts[i].length;
    mr_str *shown = malloc(t->count * sizeof *shown);
    char *bytes = malloc(2 * total + 4), *to = bytes;
    mr_status status = MR_OUT_OF_MEMORY;
    if (shown && bytes) {
        for (size_t i = 0; i < t->count; i++) {
            char *start = to;
            for (size_t k = 0; k < t->texts[i].length; k++) to += mr_utf8_encode(mr_byte_level_character((unsigned char)t->texts[i].data[k]), to);
            shown[i] = (mr_str){ start, (size_t)(to - start) };
        }
        status = mr_vocabulary_build(shown, t->ids, t->count, out, error);
    }
    free(shown);
    free(bytes);
    return status == MR_OUT_OF_MEMORY ? mr_error_set(error, status, "out of memory") : status;
}

mr_status mr_tiktoken_open(const char *data, size_t length, const char *path, mr_model *out, mr_error *error)
{
    table t = { 0 };
    mr_model model = { .type = MR_MODEL_BPE, .serial = mr_model_next_serial() };
    mr_bpe *bpe = &model.bpe;
    *bpe = (mr_bpe){ .bytes = true, .ignore_merges = true, .unk_id = -1, .suffix = mr_str_copy(MR_STR("")) };
    memset(bpe->fallback, 0xFF, sizeof bpe->fallback);
    mr_status status = bpe->suffix.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK) status = read_table(data, length, path, &t, error);
    if (status == MR_OK) status = read_shown(&t, &model.vocabulary, error);
    if (status == MR_OK) status = mr_vocabulary_build(t.texts, t.ids, t.count, &bpe->whole, error);
    if (status == MR_OK) status = read_pairs(&t, bpe, error);
    for (unsigned i = 0; status == MR_OK && i < 256; i++) {
        char byte = (char)i;
        bpe->symbols[0][i] = bpe->symbols[1][i] = mr_vocabulary_id(&bpe->whole, (mr_str){ &byte, 1 });
        if (bpe->symbols[0][i] < 0) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: byte %u has no rank", path, i);
    }
    if (status == MR_OK) status = mr_bpe_table_finish(bpe, error);
    table_fini(&t);
    if (status == MR_OK) *out = model;
    else mr_model_fini(&model);
    return status;
}
