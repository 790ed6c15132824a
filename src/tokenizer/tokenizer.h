/* Text -> token ids and back, exactly as the model's tokenizer.json says.
 *
 * A tokenizer is immutable after open and may be used by any number of threads; each thread brings its own
 * scratch. Definition followed: the components of tokenizer.json as the `tokenizers` library executes them
 * (huggingface/tokenizers 0.23). A component this file does not implement is refused at open, by name. */
#ifndef MR_TOKENIZER_TOKENIZER_H
#define MR_TOKENIZER_TOKENIZER_H

#include "core/cache.h"
#include "core/error.h"
#include "core/str.h"
#include "tokenizer/span.h"

typedef struct mr_tokenizer mr_tokenizer;
typedef struct mr_tokenizer_scratch mr_tokenizer_scratch;

/* `path` is a .gguf file with a tokenizer inside, or a directory that holds tokenizer.json, else tiktoken.model, else BERT's vocab.txt, else vocab.json with
 * merges.txt (CLIP, GPT-2, RoBERTa, Qwen2); and tokenizer_config.json (optional with the first and third). The truncation and padding stored
 * in the file are ignored: the caller's max_tokens decides. `cache` (borrowed for the call; NULL: none) keeps what was made from a
 * tokenizer.json or tiktoken.model, under the digest of the file: opening it again takes milliseconds.
 * MODEL_FILES_MISSING, MODEL_CORRUPT (file, key), MODEL_UNSUPPORTED (component type). */
mr_status mr_tokenizer_open(const char *path, const mr_cache *cache, mr_tokenizer **out, mr_error *error);
/* From the bytes of a tokenizer.json, without tokenizer_config.json. Nothing is borrowed. */
mr_status mr_tokenizer_open_bytes(const void *json, size_t length, mr_tokenizer **out, mr_error *error);
/* From the bytes of a GGUF file; `file` is its name for messages. Nothing is borrowed. */
mr_status mr_tokenizer_open_gguf_bytes(const unsigned char *bytes, size_t length, const char *file, mr_tokenizer **out, mr_error *error);
void mr_tokenizer_close(mr_tokenizer *tokenizer);

mr_status mr_tokenizer_scratch_create(mr_tokenizer_scratch **out, mr_error *error);
void mr_tokenizer_scratch_destroy(mr_tokenizer_scratch *scratch);

typedef struct mr_encode_options {
    bool add_special_tokens;
    bool truncate_left;  /* keep the tail instead of the head */
    size_t max_tokens;   /* special tokens included; 0 = no limit */
    bool offsets;        /* fill spans; slower */
} mr_encode_options;

/* Reusable output; zero-initialise, mr_encoding_fini when done. */
typedef struct mr_encoding {
    int32_t *ids;      /* [count] */
    uint8_t *type_ids; /* [count] which part of a pair, as the post-processor says; 0 for one text in nearly all models */
    mr_span *spans;    /* [count] with options.offsets: where an id comes from, whole characters; 0, 0 for special ids that were added */
    size_t count;
    size_t capacity;
    size_t full_count; /* ids there would have been without max_tokens */
} mr_encoding;

void mr_encoding_fini(mr_encoding *encoding);
/* One id more at the end, of type 0. False when out of memory, then unchanged. */
bool mr_encoding_append(mr_encoding *encoding, int32_t id);

/* BAD_RECORD when the text is not well-formed UTF-8 (the text names the byte offset);
 * INVALID_ARGUMENT when max_tokens is smaller than the number of special tokens. */
mr_status mr_tokenizer_encode(const mr_tokenizer *tokenizer, mr_tokenizer_scratch *scratch, mr_str text,
                              const mr_encode_options *options, mr_encoding *out, mr_error *error);

/* Two texts, as cross-encoders take them; max_tokens shortens the longer one first. */
mr_status mr_tokenizer_encode_pair(const mr_tokenizer *tokenizer, mr_tokenizer_scratch *scratch, mr_str first, mr_str second,
                                   const mr_encode_options *options, mr_encoding *out, mr_error *error);

/* Appends the text of ids to `out`; unknown ids vanish. */
mr_status mr_tokenizer_decode(const mr_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special_tokens,
                              mr_buf *out, mr_error *error);

/* Decoding id by id, for one sequence: the pieces add up to mr_tokenizer_decode of all ids, and none ends inside a
 * character. Borrows the tokenizer. MODEL_UNSUPPORTED where a decoder needs all ids at once (CTC). */
typedef struct mr_tokenizer_stream mr_tokenizer_stream;
mr_status mr_tokenizer_stream_create(const mr_tokenizer *tokenizer, bool skip_special_tokens, mr_tokenizer_stream **out, mr_error *error);
void mr_tokenizer_stream_destroy(mr_tokenizer_stream *stream);
/* Appends what the id makes certain, possibly nothing. */
mr_status mr_tokenizer_stream_push(mr_tokenizer_stream *stream, int32_t id, mr_buf *out, mr_error *error);
/* Appends what was held back. */
mr_status mr_tokenizer_stream_finish(mr_tokenizer_stream *stream, mr_buf *out, mr_error *error);

/* The vocabulary text of an id (borrowed); {NULL, 0} for an unknown one. */
mr_str mr_tokenizer_piece(const mr_tokenizer *tokenizer, int32_t id);
/* -1 when absent. */
int32_t mr_tokenizer_id(const mr_tokenizer *tokenizer, mr_str piece);
bool mr_tokenizer_is_special(const mr_tokenizer *tokenizer, int32_t id);
/* One more than the largest id. */
size_t mr_tokenizer_vocab_size(const mr_tokenizer *tokenizer);
/* tokenizer_config.json's model_max_length; 0 = absent or unbounded. */
size_t mr_tokenizer_model_max_length(const mr_tokenizer *tokenizer);
size_t mr_tokenizer_bytes(const mr_tokenizer *tokenizer); /* memory held */

#endif
