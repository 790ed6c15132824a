/* Inside tags: names, strings, numbers, signs. */
#ifndef MR_CHAT_TEMPLATE_LEXER_H
#define MR_CHAT_TEMPLATE_LEXER_H

#include "chat/template_node.h"

typedef enum mr_token_type { MR_TOKEN_NAME, MR_TOKEN_STRING, MR_TOKEN_NUMBER, MR_TOKEN_SIGN, MR_TOKEN_TAG_END } mr_token_type;

typedef struct mr_token {
    mr_token_type type;
    mr_str text; /* of a string: between its quotes */
    size_t at;
} mr_token;

typedef struct mr_lexer {
    const mr_chat_template *made;
    const char *source;
    size_t length, at;
    mr_token now;
    size_t braces; /* of open mappings */
    mr_error *error;
} mr_lexer;

/* The next token becomes `now`. */
mr_status mr_lexer_next(mr_lexer *lexer);
bool mr_lexer_is(const mr_lexer *lexer, mr_token_type type, const char *text);
/* Sets the error "where:line: what "name"" and gives `status`. */
mr_status mr_lexer_refuse(const mr_lexer *lexer, mr_status status, const char *what, mr_str name);
/* `now` stands where it can't. */
mr_status mr_lexer_unexpected(const mr_lexer *lexer);
/* What the string token `raw` means; false for an escape that is not known, or when out of memory. */
bool mr_lexer_unescape(mr_str raw, mr_buf *out);

#endif
