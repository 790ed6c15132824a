/* A directory from before tokenizer.json: vocab.json and merges.txt. Which pipeline they belong to is known from
 * tokenizer_config.json's class; it is written down as the tokenizer.json it is equal to, and read from there. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "tokenizer/vocab_files.h"
#include "tokenizer/vocabulary.h"

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"
#define NO_SPLIT "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define CLIP_WORDS "<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+"
#define QWEN_WORDS \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

typedef struct special {
    const char *content;
    const char *flags; /* JSON members */
} special;

/* As the converters of the classes' own library make them (convert_slow_tokenizer.py). */
typedef struct class_rules {
    const char *name;
    const char *pipeline; /* JSON members: normalizer, pre_tokenizer */
    const char *model;    /* JSON members */
    const char *cls, *sep; /* NULL: nothing is added */
    special specials[5];   /* used when the configuration lists none */
} class_rules;

static const class_rules classes[] = {
    { "CLIPTokenizer",
      "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"},"
      "{\"type\":\"Lowercase\"}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" CLIP_WORDS
      "\"},\"behavior\":\"Removed\",\"invert\":true}," BYTE_LEVEL "]}",
      "\"unk_token\":\"<|endoftext|>\",\"end_of_word_suffix\":\"</w>\"", "<|startoftext|>", "<|endoftext|>",
      { { "<|startoftext|>", "\"normalized\":true" }, { "<|endoftext|>", "\"normalized\":false" } } },
    { "GPT2Tokenizer", "\"pre_tokenizer\":" BYTE_LEVEL, "\"unk_token\":null", NULL, NULL, { { "<|endoftext|>", "\"normalized\":true" } } },
    { "RobertaTokenizer", "\"pre_tokenizer\":" BYTE_LEVEL, "\"unk_token\":null", "<s>", "</s>",
      { { "<s>", "\"normalized\":true" }, { "<pad>", "\"normalized\":true" }, { "</s>", "\"normalized\":true" }, { "<unk>", "\"normalized\":true" },
        { "<mask>", "\"lstrip\":true,\"normalized\":false" } } },
    { "Qwen2Tokenizer",
      "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" QWEN_WORDS
      "\"},\"behavior\":\"Isolated\"}," NO_SPLIT "]}",
      "\"unk_token\":null", NULL, NULL, { { "<|endoftext|>", "\"normalized\":false" } } },
};

static const class_rules *find_class(mr_str name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        mr_str known = mr_str_of(classes[i].name);
        if (mr_str_equal(name, known)) return &classes[i];
        if (name.length == known.length + 4 && memcmp(name.data, known.data, known.length) == 0 && memcmp(name.data + known.length, "Fast", 4) == 0) return &classes[i];
    }
    return NULL;
}

/* A line of merges.txt is two texts with a space between them; the first line may be a comment. */
static bool append_merges(mr_buf *out, mr_str file)
{
    bool done = mr_buf_append_str(out, "\"merges\":[");
    for (size_t at = 0, count = 0, line = 0; at < file.length && done; line++) {
        const char *end = memchr(file.data + at, '\n', file.length - at);
        mr_str text = { file.data + at, end ? (size_t)(end - file.data) - at : file.length - at };
        at += text.length + 1;
        if (text.length && text.data[text.length - 1] == '\r') text.length--;
        if (text.length == 0 || (line == 0 && text.length >= 8 && memcmp(text.data, "#version", 8) == 0)) continue;
        done = (count++ == 0 || mr_buf_append(out, ",", 1)) && mr_json_append_quoted(out, text);
    }
    return done && mr_buf_append(out, "]", 1);
}

/* Id of `text` in vocab.json, -1 when absent. */
static long id_of(mr_json_value vocabulary, const char *text)
{
    size_t id;
    return mr_json_to_size(mr_json_get(vocabulary, text), MR_VOCABULARY_MAX_ID, &id) ? (long)id : -1;
}

static bool append_specials(mr_buf *out, const class_rules *rules, mr_json_value vocabulary)
{
    size_t count = 0;
    bool done = mr_buf_append_str(out, ",\"added_tokens\":[");
    for (size_t i = 0; i < sizeof rules->specials / sizeof *rules->specials && rules->specials[i].content && done; i++) {
        long id = id_of(vocabulary, rules->specials[i].content);
        if (id >= 0) done = mr_buf_printf(out, "%s{\"id\":%ld,\"content\":\"%s\",\"special\":true,%s}", count++ ? "," : "", id, rules->specials[i].content, rules->specials[i].flags);
    }
    done = done && mr_buf_append(out, "]", 1);
    if (!rules->cls || !done) return done;
    return mr_buf_printf(out, ",\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"%s\",%ld],\"sep\":[\"%s\",%ld]}", rules->cls, id_of(vocabulary, rules->cls),
                         rules->sep, id_of(vocabulary, rules->sep));
}

static mr_status convert(mr_str vocab, mr_str merges, const class_rules *rules, const char *path, mr_buf *json, mr_error *error)
{
    mr_json_tree tree;
    char *copy = mr_strndup(vocab.data, vocab.length);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    MR_TRY(mr_json_tree_parse(copy, vocab.length, path, &tree, error)); /* so that it can stand inside another file as it is */
    bool done = mr_buf_append_str(json, "{\"model\":{\"type\":\"BPE\",\"vocab\":") && mr_buf_append(json, vocab.data, vocab.length) && mr_buf_append(json, ",", 1) &&
                append_merges(json, merges) && mr_buf_printf(json, ",%s},", rules->model) && mr_buf_append_str(json, rules->pipeline) &&
                mr_buf_append_str(json, ",\"decoder\":{\"type\":\"ByteLevel\"}") && append_specials(json, rules, mr_json_root(&tree)) && mr_buf_append(json, "}", 1);
    bool complete = !rules->cls || (id_of(mr_json_root(&tree), rules->cls) >= 0 && id_of(mr_json_root(&tree), rules->sep) >= 0);
    mr_json_tree_fini(&tree);
    if (!done) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    return complete ? MR_OK : mr_error_set(error, MR_MODEL_CORRUPT, "%s: %s needs %s and %s in the vocabulary", path, rules->name, rules->cls, rules->sep);
}

mr_status mr_vocab_merges_convert(const char *vocab_path, const char *merges_path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error)
{
    char *vocab = NULL, *merges = NULL;
    size_t vocab_length, merges_length;
    bool prefix_space;
    mr_str class;
    mr_status status = MR_OK;
    MR_TRY(mr_json_get_str(config, "tokenizer_class", MR_STR(""), &class, error));
    MR_TRY(mr_json_get_bool(config, "add_prefix_space", false, &prefix_space, error));
    const class_rules *rules = find_class(class);
    if (!rules || prefix_space)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: without a tokenizer.json its pipeline is not known for the tokenizer_class \"%.*s\"%s; convert the tokenizer",
                            vocab_path, (int)(class.length < 64 ? class.length : 64), class.data, prefix_space ? " with add_prefix_space" : "");
    MR_TRY_OR(status, mr_file_read(vocab_path, max_bytes, &vocab, &vocab_length, error), done);
    MR_TRY_OR(status, mr_file_read(merges_path, max_bytes, &merges, &merges_length, error), done);
    status = convert((mr_str){ vocab, vocab_length }, (mr_str){ merges, merges_length }, rules, vocab_path, json, error);
done:
    free(vocab);
    free(merges);
    return status;
}
