/* Any bytes: a GGUF file. It is refused or every tensor and value can be read to its last byte; a tokenizer inside is
 * refused or encodes, decodes and shows its pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "tokenizer/tokenizer.h"
#include "weights/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sum; /* so that no read is left out */

static void read_values(const mr_gguf *gguf)
{
    for (size_t i = 0; i < gguf->value_count; i++) {
        const mr_gguf_value *value = &gguf->values[i];
        const unsigned char *at = value->data;
        for (size_t k = 0; k < value->count; k++) {
            if (value->type == MR_GGUF_VALUE_STRING) {
                mr_str text = mr_gguf_next_string(&at);
                if (text.length) sum += (unsigned char)text.data[text.length - 1];
            } else if (value->type == MR_GGUF_VALUE_F32 || value->type == MR_GGUF_VALUE_F64) {
                sum += mr_gguf_float(value, k) > 0;
            } else {
                sum += (uint64_t)mr_gguf_integer(value, k);
            }
        }
    }
}

static void run_tokenizer(const uint8_t *data, size_t size)
{
    static const char text[] = " Hello, w\xC3\xB6rld\xE2\x80\x99s  <s>12345\xF0\x9F\x99\x82\n";
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    mr_buf decoded = { 0 };
    if (mr_tokenizer_open_gguf_bytes(data, size, "input", &tokenizer, NULL) != MR_OK) return;
    if (mr_tokenizer_scratch_create(&scratch, NULL) != MR_OK) abort();
    const mr_encode_options options = { .add_special_tokens = true };
    if (mr_tokenizer_encode(tokenizer, scratch, MR_STR(text), &options, &encoding, NULL) == MR_OK) {
        if (mr_tokenizer_decode(tokenizer, encoding.ids, encoding.count, false, &decoded, NULL) != MR_OK) abort();
        for (size_t i = 0; i < encoding.count; i++) sum += mr_tokenizer_piece(tokenizer, encoding.ids[i]).length;
    }
    mr_buf_fini(&decoded);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_gguf gguf;
    mr_error error;
    if (mr_gguf_parse(data, size, "input", &gguf, &error) != MR_OK) return 0;
    read_values(&gguf);
    for (size_t i = 0; i < gguf.tensor_count; i++) sum += gguf.tensors[i].data[gguf.tensors[i].bytes - 1];
    mr_gguf_fini(&gguf);
    run_tokenizer(data, size);
    return 0;
}
