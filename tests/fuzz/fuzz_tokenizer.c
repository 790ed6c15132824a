/* Any bytes: a tokenizer.json, a byte 0xFF, a text. The file is refused or opened; an opened one encodes the text
 * and decodes the ids. What does not look like JSON is read as a tiktoken.model and as a regular expression. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/split_regex.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void other_files(const char *data, size_t length, mr_str text)
{
    mr_model model;
    mr_regex *regex;
    mr_regex_scratch scratch = { 0 };
    size_t start, end;
    if (mr_tiktoken_open(data, length, "input", &model, NULL) == MR_OK) mr_model_fini(&model);
    if (mr_utf8_check(data, length) < length || mr_utf8_check(text.data, text.length) < text.length) return;
    if (mr_regex_open((mr_str){ data, length }, "input", &regex, NULL) != MR_OK) return;
    if (mr_regex_scratch_prepare(&scratch, NULL) != MR_OK) abort();
    if (mr_regex_next(regex, &scratch, mr_regex_show(&scratch, text), 0, &start, &end) == MR_REGEX_MATCH && (start >= end || end > text.length)) abort();
    mr_regex_scratch_fini(&scratch);
    mr_regex_close(regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0xFF, size) : NULL;
    size_t length = end ? (size_t)(end - data) : size;
    mr_str text = { end ? (const char *)end + 1 : "", end ? size - length - 1 : 0 };
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    mr_buf decoded = { 0 };
    mr_error error;
    if (length && data[0] != '{') return other_files((const char *)data, length, text), 0;
    if (mr_tokenizer_open_bytes(data, length, &tokenizer, &error) != MR_OK) return 0;
    if (mr_tokenizer_scratch_create(&scratch, &error) != MR_OK) abort();
    mr_encode_options options = { .add_special_tokens = size & 1, .truncate_left = size & 2, .max_tokens = size & 4 ? 10 : 0, .offsets = size & 16 };
    if (mr_tokenizer_encode(tokenizer, scratch, text, &options, &encoding, &error) == MR_OK) {
        if (options.max_tokens && encoding.count > options.max_tokens) abort();
        for (size_t i = 0; options.offsets && i < encoding.count; i++)
            if (encoding.spans[i].start > encoding.spans[i].end || encoding.spans[i].end > text.length) abort();
        if (mr_tokenizer_decode(tokenizer, encoding.ids, encoding.count, size & 8, &decoded, &error) != MR_OK) abort();
        if (mr_utf8_check(decoded.data, decoded.length) != decoded.length) abort();
    }
    if (mr_tokenizer_encode_pair(tokenizer, scratch, text, text, &options, &encoding, &error) == MR_OK && options.max_tokens && encoding.count > options.max_tokens) abort();
    mr_buf_fini(&decoded);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
    return 0;
}
