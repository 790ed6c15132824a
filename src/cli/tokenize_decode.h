/* Lines of JSON that are no texts: token ids to decode, conversations. */
#ifndef MR_CLI_TOKENIZE_DECODE_H
#define MR_CLI_TOKENIZE_DECODE_H

#include <jansson.h>

#include "tokenizer/tokenizer.h"

/* Calls `each` for every line of `path` ("-": stdin) that is an object, `bad` for the others; blank lines are passed over.
 * The id is the line's (id_field, NULL: id, custom_id), as text, else "file#line". */
mr_status mr_tokenize_each_line(const char *path, const char *id_field, void (*each)(const json_t *line, const char *id, void *context),
                                void (*bad)(const char *id, const char *problem, void *context), void *context, mr_error *error);

/* Appends the text of the line's "ids". NULL, or what is wrong with it. */
const char *mr_tokenize_decode_line(const mr_tokenizer *tokenizer, const json_t *line, bool skip_special, mr_buf *text);

#endif
