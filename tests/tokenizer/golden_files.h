/* Reading the golden files of tests/data/tokenizer. */
#ifndef MR_TESTS_GOLDEN_FILES_H
#define MR_TESTS_GOLDEN_FILES_H

#include <jansson.h>

#include "core/str.h"
#include "tokenizer/tokenizer.h"

/* Whole contents of a .gz file; exits the test when it cannot be read. */
mr_buf golden_read(const char *path);
/* A gzip-compressed file of one JSON value per line, as an array. NULL when the file does not exist. */
json_t *golden_lines(const char *path);
/* CRC-32 of ids as little-endian u32, continuing `crc` (0 to start). */
uint32_t golden_crc_ids(uint32_t crc, const int32_t *ids, size_t count);
/* The same for their spans, start and end. */
uint32_t golden_crc_spans(uint32_t crc, const mr_span *spans, size_t count);
uint32_t golden_crc(const void *data, size_t length);
/* `base` tokenizer.json with the altered paths of `changes` (format: README.md beside the files). */
json_t *golden_alter(json_t *base, json_t *changes);

#endif
