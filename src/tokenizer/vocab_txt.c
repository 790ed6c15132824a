/* A BERT directory from before tokenizer.json: vocab.txt, one text a line, the id is the line. What its class does is
 * written down as the tokenizer.json it is equal to, and read from there. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "tokenizer/component.h"
#include "tokenizer/vocab_files.h"

static const char *const special_names[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" };
enum { UNK = 1, CLS = 2, SEP = 3, SPECIALS = 5 };

/* Appends "text": line, ... and finds the special tokens. */
static bool append_vocabulary(mr_buf *out, mr_str file, long lines[SPECIALS])
{
    long line = 0;
    for (size_t i = 0; i < SPECIALS; i++) lines[i] = -1;
    for (size_t at = 0; at < file.length; line++) {
        const char *end = memchr(file.data + at, '\n', file.length - at);
        mr_str text = { file.data + at, end ? (size_t)(end - file.data) - at : file.length - at };
        at += text.length + 1;
        if (text.length && text.data[text.length - 1] == '\r') text.length--;
        for (size_t i = 0; i < SPECIALS; i++)
            if (mr_type_is(text, special_names[i])) lines[i] = line;
        if ((line && !mr_buf_append(out, ",", 1)) || !mr_json_append_quoted(out, text) || !mr_buf_printf(out, ":%ld", line)) return false;
    }
    return true;
}

static bool append_specials(mr_buf *out, const long lines[SPECIALS])
{
    bool done = mr_buf_append_str(out, "\"added_tokens\":[");
    for (size_t i = 0, count = 0; i < SPECIALS && done; i++)
        if (lines[i] >= 0) done = mr_buf_printf(out, "%s{\"id\":%ld,\"content\":\"%s\",\"special\":true,\"normalized\":false}", count++ ? "," : "", lines[i], special_names[i]);
    return done && mr_buf_printf(out, "],\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",%ld],\"sep\":[\"[SEP]\",%ld]}", lines[CLS], lines[SEP]);
}

mr_status mr_vocab_txt_convert(const char *path, size_t max_bytes, mr_json_value config, mr_buf *json, mr_error *error)
{
    char *data;
    size_t length;
    bool lowercase;
    long lines[SPECIALS];
    MR_TRY(mr_json_get_bool(config, "do_lower_case", true, &lowercase, error));
    MR_TRY(mr_file_read(path, max_bytes, &data, &length, error));
    bool done = mr_buf_append_str(json, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{") && append_vocabulary(json, (mr_str){ data, length }, lines) &&
                mr_buf_printf(json, "}},\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":%s},", lowercase ? "true" : "false") &&
                mr_buf_append_str(json, "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\"},") && append_specials(json, lines) &&
                mr_buf_append_str(json, "}");
    free(data);
    if (!done) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    if (lines[UNK] < 0 || lines[CLS] < 0 || lines[SEP] < 0) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: a vocabulary without [UNK], [CLS] and [SEP] is not BERT's", path);
    return MR_OK;
}
