/* Directories without a tokenizer.json: any bytes as vocab.txt, or as vocab.json and merges.txt, and as tokenizer_config.json. Parts end at
 * byte 0xFF: vocabulary, merges, configuration, text. A vocabulary that begins with `{` is a vocab.json. What is refused must be refused
 * with a status; what is made of them must be JSON, and when it opens, encode the text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocab_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCABULARY, MERGES, CONFIG, TEXT, PARTS };

/* A file in memory; its path. */
static int make_file(mr_str part, char path[64])
{
    int file = memfd_create("part", MFD_CLOEXEC);
    if (file < 0 || write(file, part.data, part.length) != (ssize_t)part.length) abort();
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

static void encode(const char *json, size_t length, mr_str text)
{
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    if (mr_tokenizer_open_bytes(json, length, &tokenizer, NULL) != MR_OK) return;
    if (mr_tokenizer_scratch_create(&scratch, NULL) != MR_OK) abort();
    (void)mr_tokenizer_encode(tokenizer, scratch, text, &(mr_encode_options){ .add_special_tokens = true }, &encoding, NULL);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_str parts[PARTS] = { { 0 } };
    char paths[2][64];
    mr_json_tree config_tree = { 0 }, made = { 0 };
    mr_json_value config = { 0 };
    mr_buf json = { 0 };
    const char *at = (const char *)data, *end = at + size;
    for (size_t i = 0; i < PARTS; i++) {
        const char *close = i + 1 < PARTS && at < end ? memchr(at, 0xFF, (size_t)(end - at)) : NULL;
        parts[i] = (mr_str){ at, (size_t)((close ? close : end) - at) };
        at = close ? close + 1 : end;
    }
    char *copy = mr_strndup(parts[CONFIG].data, parts[CONFIG].length);
    if (!copy) abort();
    if (mr_json_tree_parse(copy, parts[CONFIG].length, "config", &config_tree, NULL) == MR_OK) config = mr_json_root(&config_tree);
    int files[2] = { make_file(parts[VOCABULARY], paths[0]), make_file(parts[MERGES], paths[1]) };
    bool pairs = parts[VOCABULARY].length && parts[VOCABULARY].data[0] == '{';
    mr_status status = pairs ? mr_vocab_merges_convert(paths[0], paths[1], 1 << 20, config, &json, NULL) : mr_vocab_txt_convert(paths[0], 1 << 20, config, &json, NULL);
    if (status == MR_OK) {
        char *text = mr_strndup(json.data, json.length);
        /* Ill-formed UTF-8 in a file is found here; nothing else may be wrong. */
        if (!text || (mr_json_tree_parse(text, json.length, "made", &made, NULL) != MR_OK && mr_utf8_check(json.data, json.length) == json.length)) abort();
        encode(json.data, json.length, parts[TEXT]);
    }
    close(files[0]);
    close(files[1]);
    mr_json_tree_fini(&made);
    mr_json_tree_fini(&config_tree);
    mr_buf_fini(&json);
    return 0;
}
