/* Byte strings. Text may hold U+0000, so lengths travel with pointers. */
#ifndef MR_CORE_STR_H
#define MR_CORE_STR_H

#include <stdarg.h>

#include "core/error.h"

#define MR_STR(literal) ((mr_str){ (literal), sizeof(literal) - 1 })
mr_str mr_str_of(const char *c_string); /* NULL gives the empty string */
bool mr_str_equal(mr_str a, mr_str b);
bool mr_str_ends_with(mr_str text, const char *suffix); /* ASCII case-insensitive */

/* A growing byte buffer in caller storage: zero-initialise, mr_buf_fini when done. `data` is NUL-terminated
 * after every successful append. Appends return false when out of memory and then change nothing. */
typedef struct mr_buf {
    char *data;
    size_t length;
    size_t capacity;
} mr_buf;

void mr_buf_fini(mr_buf *buffer);
bool mr_buf_reserve(mr_buf *buffer, size_t extra);
bool mr_buf_append(mr_buf *buffer, const void *data, size_t length);
bool mr_buf_append_str(mr_buf *buffer, const char *c_string);
bool mr_buf_printf(mr_buf *buffer, const char *format, ...) MR_PRINTF(2, 3);
/* Gives the bytes to the caller (free() them) and empties the buffer. NULL when out of memory. */
char *mr_buf_detach(mr_buf *buffer);

/* malloc'ed copies; NULL when out of memory. */
char *mr_strdup(const char *c_string);
char *mr_strndup(const char *data, size_t length);
char *mr_strf(const char *format, ...) MR_PRINTF(1, 2);

/* Offset of the first ill-formed UTF-8 sequence, or `length` when all is well-formed (Unicode 15, table 3-7). */
size_t mr_utf8_check(const char *data, size_t length);
/* Bytes of the longest prefix of a well-formed sequence at data[0..length) ("maximal subpart"), at least 1; *complete
 * says whether it is a whole sequence. length > 0. */
size_t mr_utf8_subpart(const char *data, size_t length, bool *complete);
/* Appends `data` with every maximal ill-formed subpart replaced by U+FFFD. */
bool mr_utf8_append_replacing(mr_buf *out, const char *data, size_t length);

/* The candidate nearest to `word` by edit distance, NULL when none is near (more than a third differs). */
const char *mr_str_nearest(const char *word, const char *const *candidates, size_t count);

/* "1.5 GiB", "640 B". Writes at most 16 bytes with the NUL; returns `out`. */
char *mr_str_bytes(char out[16], uint64_t bytes);
/* "300M", "8G", "1.5GiB", "4096": binary multiples. False when malformed or overflowing. */
bool mr_str_parse_bytes(const char *text, uint64_t *out);

#endif
