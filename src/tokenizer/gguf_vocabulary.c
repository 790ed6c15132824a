/* Which pipeline a GGUF vocabulary belongs to is known from tokenizer.ggml.model and tokenizer.ggml.pre. It is written
 * down as the tokenizer.json it is equal to, and read from there.
 * Source: llama.cpp src/llama-vocab.cpp (keys, defaults, names of splitting patterns), conversion/base.py (what a
 * converter does to the texts). */
#include "tokenizer/gguf_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/component.h"
#include "tokenizer/split_scanner.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

#define PREFIX "tokenizer.ggml."
#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

typedef enum model_kind { SPM, BPE, BPE_RAW, WPM, UGM } model_kind;

typedef struct model_rules {
    const char *name; /* tokenizer.ggml.model */
    model_kind kind;
    long bos, eos, unk; /* when no key gives them; -1: none */
    bool add_bos, add_eos;
} model_rules;

static const model_rules models[] = {
    { "llama", SPM, 1, 2, 0, true, false },
    { "gpt2", BPE, -1, -1, -1, false, false },
    { "gemma4", BPE_RAW, -1, -1, -1, true, false },
    { "bert", WPM, 101, 102, 100, true, true },
    { "t5", UGM, -1, 1, 2, false, true },
};

/* tokenizer.ggml.pre of byte-level BPE. */
typedef struct pre_rules {
    const char *name;
    const char *normalizer; /* JSON; the converter does not store it */
    const char *splits[4];  /* regular expressions, each on the pieces of the one before */
    bool digits;            /* every number a piece, first of all */
    bool ignore_merges;
    bool add_bos;
} pre_rules;

#define NFC "{\"type\":\"NFC\"}"
#define CODER_CJK "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+"
#define QWEN35_WORDS \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const pre_rules pres[] = {
    { "gpt-2", NULL, { mr_pattern_gpt2 }, false, false, false },
    { "phi-2", NULL, { mr_pattern_gpt2 }, false, false, false },
    { "roberta-bpe", NULL, { mr_pattern_gpt2 }, false, false, false },
    { "mpt", NFC, { mr_pattern_gpt2 }, false, false, false },
    { "olmo", NFC, { mr_pattern_gpt2 }, false, false, false },
    { "starcoder", NULL, { mr_pattern_gpt2 }, true, false, false },
    { "refact", NULL, { mr_pattern_gpt2 }, true, false, false },
    { "smollm", NULL, { mr_pattern_gpt2 }, true, false, false },
    { "command-r", NFC, { mr_pattern_gpt2 }, true, false, false },
    { "llama-bpe", NULL, { mr_pattern_cl100k }, false, true, true },
    { "llama3", NULL, { mr_pattern_cl100k }, false, true, true },
    { "llama-v3", NULL, { mr_pattern_cl100k }, false, true, true },
    { "falcon3", NULL, { mr_pattern_cl100k }, false, true, true },
    { "dbrx", NULL, { mr_pattern_cl100k }, false, false, false },
    { "smaug-bpe", NULL, { mr_pattern_cl100k }, false, false, false },
    { "qwen2", NFC, { mr_pattern_qwen2 }, false, false, false },
    { "deepseek-r1-qwen", NFC, { mr_pattern_qwen2 }, false, false, false },
    { "qwen35", NULL, { QWEN35_WORDS }, false, false, false },
    { "gpt-4o", NULL, { mr_pattern_o200k }, false, false, false },
    { "llama4", NULL, { mr_pattern_o200k }, false, false, false },
    { "kimi-k2", NULL, { mr_pattern_kimi }, false, false, false },
    { "deepseek-v3", NULL, { mr_pattern_numbers, mr_pattern_cjk, mr_pattern_deepseek }, false, false, false },
    { "deepseek-coder", NULL, { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CODER_CJK }, true, false, false },
};

/* tokenizer.ggml.token_type */
enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

typedef struct vocabulary {
    const mr_gguf *gguf;
    const model_rules *model;
    const pre_rules *pre; /* BPE only */
    mr_str *texts;        /* [count] borrowed from the file */
    uint8_t *types;       /* [count] */
    size_t count;
    const mr_gguf_value *scores, *merges;
    long bos, eos, unk, sep, mask; /* -1: none */
    bool add_bos, add_eos, space_prefix, squeeze;
    mr_error *error;
} vocabulary;

#define TRY_APPEND(expression)                                                     \
    do {                                                                           \
        if (!(expression)) return mr_error_set(v->error, MR_OUT_OF_MEMORY, "%s: out of memory", v->gguf->file); \
    } while (0)

/* ---------------------------------------------------------------- reading the keys */

static mr_status get_id(const vocabulary *v, const char *key, long fallback, long *out)
{
    size_t id;
    if (!mr_gguf_find(v->gguf, key)) return *out = fallback >= 0 && (size_t)fallback < v->count ? fallback : -1, MR_OK;
    MR_TRY(mr_gguf_get_size(v->gguf, key, v->count - 1, 0, &id, v->error));
    *out = (long)id;
    return MR_OK;
}

static mr_status find_model(vocabulary *v)
{
    mr_str name, pre;
    MR_TRY(mr_gguf_get_str(v->gguf, PREFIX "model", (mr_str){ 0 }, &name, v->error));
    MR_TRY(mr_gguf_get_str(v->gguf, PREFIX "pre", MR_STR("default"), &pre, v->error));
    if (!name.data) return mr_error_set(v->error, MR_MODEL_FILES_MISSING, "%s: no tokenizer inside (key " PREFIX "model)", v->gguf->file);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (mr_type_is(name, models[i].name)) v->model = &models[i];
    if (!v->model) return mr_error_set(v->error, MR_MODEL_UNSUPPORTED, "%s: " PREFIX "model \"%.*s\" is not supported", v->gguf->file, (int)(name.length < 64 ? name.length : 64), name.data);
    if (v->model->kind != BPE) return MR_OK;
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (mr_type_is(pre, pres[i].name)) v->pre = &pres[i];
    return v->pre ? MR_OK
                  : mr_error_set(v->error, MR_MODEL_UNSUPPORTED, "%s: " PREFIX "pre \"%.*s\": how it splits a text is not known; use the model's own tokenizer.json", v->gguf->file,
                                 (int)(pre.length < 64 ? pre.length : 64), pre.data);
}

static mr_status read_tokens(vocabulary *v)
{
    const mr_gguf_value *tokens, *types;
    MR_TRY(mr_gguf_get_strings(v->gguf, PREFIX "tokens", &tokens, v->error));
    MR_TRY(mr_gguf_get_integers(v->gguf, PREFIX "token_type", &types, v->error));
    MR_TRY(mr_gguf_get_floats(v->gguf, PREFIX "scores", &v->scores, v->error));
    MR_TRY(mr_gguf_get_strings(v->gguf, PREFIX "merges", &v->merges, v->error));
    if (!tokens || tokens->count == 0 || tokens->count > MR_VOCABULARY_MAX_ID)
        return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "tokens is missing, empty or longer than %d", v->gguf->file, MR_VOCABULARY_MAX_ID);
    if ((types && types->count < tokens->count) || (v->scores && v->scores->count < tokens->count))
        return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "token_type or scores is shorter than " PREFIX "tokens", v->gguf->file);
    v->count = tokens->count;
    v->texts = malloc(v->count * sizeof *v->texts);
    v->types = malloc(v->count);
    TRY_APPEND(v->texts && v->types);
    const unsigned char *at = tokens->data;
    for (size_t i = 0; i < v->count; i++) {
        int64_t type = types ? mr_gguf_integer(types, i) : NORMAL;
        v->texts[i] = mr_gguf_next_string(&at);
        v->types[i] = type >= NORMAL && type <= BYTE ? (uint8_t)type : NORMAL;
        if (mr_utf8_check(v->texts[i].data, v->texts[i].length) < v->texts[i].length)
            return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: the text of token %zu is not well-formed UTF-8", v->gguf->file, i);
    }
    return MR_OK;
}

static mr_status read_facts(vocabulary *v)
{
    const model_rules *model = v->model;
    MR_TRY(get_id(v, PREFIX "bos_token_id", model->bos, &v->bos));
    MR_TRY(get_id(v, PREFIX "eos_token_id", model->eos, &v->eos));
    MR_TRY(get_id(v, PREFIX "unknown_token_id", model->unk, &v->unk));
    MR_TRY(get_id(v, PREFIX "seperator_token_id", -1, &v->sep)); /* spelled so */
    MR_TRY(get_id(v, PREFIX "mask_token_id", -1, &v->mask));
    if (model->kind == WPM) {
        MR_TRY(get_id(v, PREFIX "cls_token_id", v->bos, &v->bos));
        if (v->sep >= 0) v->eos = v->sep;
    }
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "add_bos_token", model->add_bos || (v->pre && v->pre->add_bos), &v->add_bos, v->error));
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "add_eos_token", model->add_eos, &v->add_eos, v->error));
    if (model->kind == WPM) v->add_eos = true; /* its library adds [SEP] whatever the keys say */
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "add_space_prefix", model->kind == SPM || model->kind == UGM, &v->space_prefix, v->error));
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "remove_extra_whitespaces", model->kind == UGM, &v->squeeze, v->error));
    if (v->add_bos && v->bos < 0) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "add_bos_token without " PREFIX "bos_token_id", v->gguf->file);
    if (v->add_eos && v->eos < 0) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "add_eos_token without " PREFIX "eos_token_id", v->gguf->file);
    return MR_OK;
}

/* ---------------------------------------------------------------- added tokens, special places */

/* Whether a text stands for itself and is cut out of the input; `special`: decoding may skip it. */
static bool is_added(const vocabulary *v, size_t id, bool *special)
{
    *special = v->types[id] != USER_DEFINED;
    return v->texts[id].length && (v->types[id] == CONTROL || v->types[id] == USER_DEFINED || v->types[id] == UNKNOWN || (long)id == v->bos || (long)id == v->eos);
}

static mr_status append_added(const vocabulary *v, mr_buf *out)
{
    const char *comma = "";
    TRY_APPEND(mr_buf_append_str(out, ",\"added_tokens\":["));
    for (size_t id = 0; id < v->count; id++) {
        bool special;
        if (!is_added(v, id, &special)) continue;
        TRY_APPEND(mr_buf_printf(out, "%s{\"id\":%zu,\"special\":%s,\"normalized\":false,\"lstrip\":%s,\"content\":", comma, id, special ? "true" : "false",
                                 v->model->kind == UGM && (long)id == v->mask ? "true" : "false") && /* as XLM-RoBERTa's "<mask>" */
                   mr_json_append_quoted(out, v->texts[id]) && mr_buf_append(out, "}", 1));
        comma = ",";
    }
    TRY_APPEND(mr_buf_append(out, "]", 1));
    return MR_OK;
}

static bool append_place(mr_buf *out, const char *special, const char *sequence, int type)
{
    return mr_buf_printf(out, "%s{\"%s\":{\"id\":\"%s\",\"type_id\":%d}}", out->data[out->length - 1] == '[' ? "" : ",", special ? "SpecialToken" : "Sequence",
                         special ? special : sequence, type);
}

/* One text: bos A eos. Two: BERT and those with both ends as their rerankers do (bos A eos [sep] B eos), others each by itself. */
static mr_status append_post_processor(const vocabulary *v, mr_buf *out)
{
    const char *bos = v->add_bos ? "bos" : NULL, *eos = v->add_eos ? "eos" : NULL;
    bool joined = bos && eos;
    int second = v->model->kind == UGM ? 0 : 1;
    bool done = mr_buf_append_str(out, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    if (bos) done = done && append_place(out, bos, NULL, 0);
    done = done && append_place(out, NULL, "A", 0);
    if (eos) done = done && append_place(out, eos, NULL, 0);
    done = done && mr_buf_append_str(out, "],\"pair\":[");
    if (bos) done = done && append_place(out, bos, NULL, 0);
    done = done && append_place(out, NULL, "A", 0);
    if (eos) done = done && append_place(out, eos, NULL, 0);
    if (joined && v->model->kind != WPM) done = done && append_place(out, eos, NULL, 0);
    if (bos && !joined) done = done && append_place(out, bos, NULL, second);
    done = done && append_place(out, NULL, "B", second);
    if (eos) done = done && append_place(out, eos, NULL, second);
    TRY_APPEND(done && mr_buf_append_str(out, "],\"special_tokens\":{"));
    if (bos) TRY_APPEND(mr_buf_printf(out, "\"bos\":{\"id\":\"bos\",\"ids\":[%ld]}%s", v->bos, eos ? "," : ""));
    if (eos) TRY_APPEND(mr_buf_printf(out, "\"eos\":{\"id\":\"eos\",\"ids\":[%ld]}", v->eos));
    TRY_APPEND(mr_buf_append_str(out, "}}"));
    return MR_OK;
}

/* ---------------------------------------------------------------- vocabularies and merges */

/* The texts as an object text -> id. A converter wrote WordPiece's "##x" as "x" and "x" as U+2581 "x". */
static mr_status append_vocabulary(const vocabulary *v, mr_buf *out)
{
    mr_buf text = { 0 };
    bool done = mr_buf_append_str(out, "\"vocab\":{");
    for (size_t id = 0; id < v->count && done; id++) {
        mr_str shown = v->texts[id];
        bool special;
        if (v->model->kind == WPM && !is_added(v, id, &special)) {
            bool first = shown.length >= 3 && memcmp(shown.data, SPACE_MARK, 3) == 0;
            text.length = 0;
            done = (first || mr_buf_append(&text, "##", 2)) && mr_buf_append(&text, shown.data + 3 * first, shown.length - 3 * first);
            shown = (mr_str){ text.data, text.length };
        }
        done = done && (id == 0 || mr_buf_append(out, ",", 1)) && mr_json_append_quoted(out, shown) && mr_buf_printf(out, ":%zu", id);
    }
    mr_buf_fini(&text);
    TRY_APPEND(done && mr_buf_append(out, "}", 1));
    return MR_OK;
}

static bool append_merge(mr_buf *out, bool first, mr_str left, mr_str right)
{
    return (first || mr_buf_append(out, ",", 1)) && mr_buf_append(out, "[", 1) && mr_json_append_quoted(out, left) && mr_buf_append(out, ",", 1) &&
           mr_json_append_quoted(out, right) && mr_buf_append(out, "]", 1);
}

/* "LEFT RIGHT", cut at the first space that is not the first byte. */
static mr_status append_merges(const vocabulary *v, mr_buf *out)
{
    if (!v->merges) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "merges is missing", v->gguf->file);
    const unsigned char *at = v->merges->data;
    TRY_APPEND(mr_buf_append_str(out, ",\"merges\":["));
    for (size_t i = 0; i < v->merges->count; i++) {
        mr_str text = mr_gguf_next_string(&at);
        const char *space = text.length > 1 ? memchr(text.data + 1, ' ', text.length - 1) : NULL;
        if (!space) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "merges: entry %zu is not two texts", v->gguf->file, i);
        size_t left = (size_t)(space - text.data);
        TRY_APPEND(append_merge(out, i == 0, (mr_str){ text.data, left }, (mr_str){ space + 1, text.length - left - 1 }));
    }
    TRY_APPEND(mr_buf_append(out, "]", 1));
    return MR_OK;
}

/* SentencePiece's BPE joins any two texts whose concatenation is one; the published conversions list these pairs by
 * score, the longer left part first among equals, then the longer right part. */
typedef struct spm_pair {
    double score;
    uint32_t left_points, right_points; /* characters */
    int32_t id;
    uint32_t cut; /* bytes of the left part */
    int32_t left; /* ids of the parts, for the last word in the order */
} spm_pair;

#define SPM_MAX_BYTES 256 /* the longest published text has 93 */

static int by_score(const void *left, const void *right)
{
    const spm_pair *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->left_points != b->left_points) return a->left_points > b->left_points ? -1 : 1;
    if (a->right_points != b->right_points) return a->right_points > b->right_points ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return (a->left > b->left) - (a->left < b->left);
}

/* All ways to put texts together; *pairs is malloc'ed. */
static mr_status find_pairs(const vocabulary *v, const mr_vocabulary *index, spm_pair **pairs, size_t *count)
{
    size_t capacity = 0;
    for (size_t id = 0; id < v->count; id++) {
        mr_str text = v->texts[id];
        bool special;
        if (text.length > SPM_MAX_BYTES && !is_added(v, id, &special))
            return mr_error_set(v->error, MR_MODEL_UNSUPPORTED, "%s: the text of token %zu is longer than %d bytes", v->gguf->file, id, SPM_MAX_BYTES);
        uint32_t points = (uint32_t)mr_utf8_count(text), before = 0;
        for (size_t cut = 0; cut < text.length && text.length <= SPM_MAX_BYTES;) {
            cut += mr_utf8_length((unsigned char)text.data[cut]);
            before++;
            if (cut >= text.length) break;
            int32_t left = mr_vocabulary_id(index, (mr_str){ text.data, cut });
            if (left < 0 || mr_vocabulary_id(index, (mr_str){ text.data + cut, text.length - cut }) < 0) continue;
            if (*count == capacity) {
                capacity = capacity ? 2 * capacity : 65536;
                spm_pair *grown = realloc(*pairs, capacity * sizeof *grown);
                TRY_APPEND(grown);
                *pairs = grown;
            }
            double score = v->scores ? mr_gguf_float(v->scores, id) : -(double)id;
            (*pairs)[(*count)++] = (spm_pair){ score == score ? score : 0.0, before, points - before, (int32_t)id, (uint32_t)cut, left };
        }
    }
    return MR_OK;
}

static mr_status append_spm_merges(const vocabulary *v, mr_buf *out)
{
    mr_vocabulary index = { 0 };
    spm_pair *pairs = NULL;
    size_t count = 0;
    bool done = mr_buf_append_str(out, ",\"merges\":[");
    int32_t *ids = malloc(v->count * sizeof *ids);
    mr_status status = MR_OUT_OF_MEMORY;
    if (!ids || !done) goto done;
    for (size_t i = 0; i < v->count; i++) ids[i] = (int32_t)i;
    MR_TRY_OR(status, mr_vocabulary_build(v->texts, ids, v->count, &index, v->error), done);
    MR_TRY_OR(status, find_pairs(v, &index, &pairs, &count), done);
    if (count) qsort(pairs, count, sizeof *pairs, by_score);
    for (size_t i = 0; i < count && done; i++) {
        mr_str text = v->texts[pairs[i].id];
        done = append_merge(out, i == 0, (mr_str){ text.data, pairs[i].cut }, (mr_str){ text.data + pairs[i].cut, text.length - pairs[i].cut });
    }
    if (!done || !mr_buf_append(out, "]", 1)) status = MR_OUT_OF_MEMORY;
done:
    free(ids);
    free(pairs);
    mr_vocabulary_fini(&index);
    return status == MR_OUT_OF_MEMORY ? mr_error_set(v->error, status, "%s: out of memory", v->gguf->file) : status;
}

/* ---------------------------------------------------------------- the pipelines */

#define SPACES_TO_MARKS "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" SPACE_MARK "\"}"
#define MARKS_TO_SPACES "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" SPACE_MARK "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"

static bool append_unk(const vocabulary *v, mr_buf *out)
{
    return mr_buf_append_str(out, ",\"unk_token\":") && (v->unk < 0 ? mr_buf_append_str(out, "null") : mr_json_append_quoted(out, v->texts[v->unk]));
}

static mr_status append_spm(const vocabulary *v, mr_buf *out)
{
    bool prefix = v->space_prefix && v->model->kind == SPM;
    TRY_APPEND(mr_buf_printf(out, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s" SPACES_TO_MARKS "]},", prefix ? "{\"type\":\"Prepend\",\"prepend\":\"" SPACE_MARK "\"}," : "") &&
               mr_buf_printf(out, "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" MARKS_TO_SPACES "%s]},", prefix ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "") &&
               mr_buf_append_str(out, "\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"byte_fallback\":true"));
    TRY_APPEND(append_unk(v, out) && mr_buf_append(out, ",", 1));
    MR_TRY(append_vocabulary(v, out));
    MR_TRY(v->model->kind == SPM ? append_spm_merges(v, out) : append_merges(v, out));
    TRY_APPEND(mr_buf_append(out, "}", 1));
    return MR_OK;
}

static mr_status append_bpe(const vocabulary *v, mr_buf *out)
{
    const pre_rules *pre = v->pre;
    if (pre->normalizer) TRY_APPEND(mr_buf_printf(out, "\"normalizer\":%s,", pre->normalizer));
    TRY_APPEND(mr_buf_append_str(out, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["));
    if (pre->digits) TRY_APPEND(mr_buf_append_str(out, "{\"type\":\"Digits\",\"individual_digits\":true},"));
    for (size_t i = 0; i < sizeof pre->splits / sizeof *pre->splits && pre->splits[i]; i++)
        TRY_APPEND(mr_buf_append_str(out, "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":") && mr_json_append_quoted(out, mr_str_of(pre->splits[i])) &&
                   mr_buf_append_str(out, "}},"));
    TRY_APPEND(mr_buf_append_str(out, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"decoder\":{\"type\":\"ByteLevel\"},") &&
               mr_buf_printf(out, "\"model\":{\"type\":\"BPE\",\"ignore_merges\":%s,", pre->ignore_merges ? "true" : "false"));
    MR_TRY(append_vocabulary(v, out));
    MR_TRY(append_merges(v, out));
    TRY_APPEND(mr_buf_append(out, "}", 1));
    return MR_OK;
}

/* Old files do not say whether texts are lower-cased: a vocabulary with capital letters is of no use if they are. */
static bool has_capitals(const vocabulary *v)
{
    for (size_t id = 0; id < v->count; id++) {
        bool special;
        if (is_added(v, id, &special) || v->texts[id].length <= 3 || memcmp(v->texts[id].data, SPACE_MARK, 3) != 0) continue;
        for (size_t i = 3; i < v->texts[id].length; i++)
            if (v->texts[id].data[i] >= 'A' && v->texts[id].data[i] <= 'Z') return true;
    }
    return false;
}

static mr_status append_wpm(const vocabulary *v, mr_buf *out)
{
    bool lower, strip;
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "normalizer.lowercase", !has_capitals(v), &lower, v->error));
    MR_TRY(mr_gguf_get_bool(v->gguf, PREFIX "normalizer.strip_accents", lower, &strip, v->error));
    if (v->unk < 0) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "unknown_token_id is missing", v->gguf->file);
    TRY_APPEND(mr_buf_printf(out, "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":%s,\"strip_accents\":%s},", lower ? "true" : "false", strip ? "true" : "false") &&
               mr_buf_append_str(out, "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\"},\"model\":{\"type\":\"WordPiece\""));
    TRY_APPEND(append_unk(v, out) && mr_buf_append(out, ",", 1));
    MR_TRY(append_vocabulary(v, out));
    TRY_APPEND(mr_buf_append(out, "}", 1));
    return MR_OK;
}

static bool append_base64(mr_buf *out, const unsigned char *data, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!mr_buf_reserve(out, length / 3 * 4 + 4)) return false;
    for (size_t i = 0; i < length; i += 3) {
        size_t have = length - i < 3 ? length - i : 3;
        uint32_t word = (uint32_t)data[i] << 16 | (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (have > 2 ? data[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) out->data[out->length++] = k <= have ? digits[word >> (18 - 6 * k) & 63] : '=';
    }
    return true;
}

static mr_status append_ugm(const vocabulary *v, mr_buf *out)
{
    const mr_gguf_value *map;
    bool fallback = false;
    MR_TRY(mr_gguf_get_integers(v->gguf, PREFIX "precompiled_charsmap", &map, v->error));
    if (map && map->type != MR_GGUF_VALUE_U8 && map->type != MR_GGUF_VALUE_I8)
        return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "precompiled_charsmap must be an array of bytes", v->gguf->file);
    if (!v->scores) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "scores is missing", v->gguf->file);
    if (map && map->count)
        TRY_APPEND(mr_buf_append_str(out, "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"") && append_base64(out, map->data, map->count) &&
                   mr_buf_append_str(out, "\"},"));
    TRY_APPEND(mr_buf_printf(out, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[%s{\"type\":\"Metaspace\",\"prepend_scheme\":\"%s\"}]},",
                             v->squeeze ? "{\"type\":\"WhitespaceSplit\"}," : "", v->space_prefix || v->squeeze ? "always" : "never") &&
               mr_buf_append_str(out, "\"decoder\":{\"type\":\"Metaspace\"},\"model\":{\"type\":\"Unigram\",\"vocab\":["));
    for (size_t id = 0; id < v->count; id++) {
        double score = mr_gguf_float(v->scores, id);
        if (!(score > -1e30 && score < 1e30)) return mr_error_set(v->error, MR_MODEL_CORRUPT, "%s: " PREFIX "scores: entry %zu is out of range", v->gguf->file, id);
        TRY_APPEND(mr_buf_append_str(out, id ? ",[" : "[") && mr_json_append_quoted(out, v->texts[id]) && mr_buf_printf(out, ",%.9g]", score));
        fallback = fallback || v->types[id] == BYTE;
    }
    TRY_APPEND(mr_buf_printf(out, "],\"byte_fallback\":%s", fallback ? "true" : "false"));
    if (v->unk >= 0) TRY_APPEND(mr_buf_printf(out, ",\"unk_id\":%ld", v->unk));
    TRY_APPEND(mr_buf_append(out, "}", 1));
    return MR_OK;
}

static mr_status append_pipeline(const vocabulary *v, mr_buf *out)
{
    TRY_APPEND(mr_buf_append(out, "{", 1));
    switch (v->model->kind) {
    case SPM:
    case BPE_RAW: MR_TRY(append_spm(v, out)); break;
    case BPE: MR_TRY(append_bpe(v, out)); break;
    case WPM: MR_TRY(append_wpm(v, out)); break;
    case UGM: MR_TRY(append_ugm(v, out)); break;
    }
    MR_TRY(append_post_processor(v, out));
    MR_TRY(append_added(v, out));
    TRY_APPEND(mr_buf_append(out, "}", 1));
    return MR_OK;
}

mr_status mr_gguf_vocabulary_convert(const mr_gguf *gguf, mr_buf *json, mr_error *error)
{
    vocabulary v = { .gguf = gguf, .error = error };
    mr_str whole;
    MR_TRY(mr_gguf_get_str(gguf, "tokenizer.huggingface.json", (mr_str){ 0 }, &whole, error));
    if (whole.data) return mr_buf_append(json, whole.data, whole.length) ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", gguf->file);
    mr_status status = find_model(&v);
    if (status == MR_OK) status = read_tokens(&v);
    if (status == MR_OK) status = read_facts(&v);
    if (status == MR_OK) status = append_pipeline(&v, json);
    free(v.texts);
    free(v.types);
    return status;
}
