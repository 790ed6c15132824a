#include "chat/template_lexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

mr_status mr_lexer_refuse(const mr_lexer *lexer, mr_status status, const char *what, mr_str name)
{
    return mr_error_set(lexer->error, status, "%s:%u: %s%s%.*s%s", lexer->made->where, mr_template_line(lexer->made, lexer->now.at), what, name.data ? " \"" : "", (int)(name.length < 64 ? name.length : 64),
                        name.data ? name.data : "", name.data ? "\"" : "");
}

mr_status mr_lexer_unexpected(const mr_lexer *lexer)
{
    bool end = lexer->now.type == MR_TOKEN_TAG_END;
    return mr_lexer_refuse(lexer, MR_MODEL_CORRUPT, end ? "the tag ends too early" : "this does not belong here:", end ? (mr_str){ 0 } : lexer->now.text);
}

static bool begins(const mr_lexer *lexer, const char *text)
{
    size_t length = strlen(text);
    return lexer->length - lexer->at >= length && memcmp(lexer->source + lexer->at, text, length) == 0;
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

mr_status mr_lexer_next(mr_lexer *lexer)
{
    static const char *const signs[] = { "-%}", "+%}", "%}", "-}}", "}}", "//", "**", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "~", "=", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}" };
    while (lexer->at < lexer->length && isspace((unsigned char)lexer->source[lexer->at])) lexer->at++;
    lexer->now = (mr_token){ .type = MR_TOKEN_TAG_END, .at = lexer->at };
    if (lexer->at >= lexer->length) return mr_lexer_refuse(lexer, MR_MODEL_CORRUPT, "a tag has no end", (mr_str){ 0 });
    const char *from = lexer->source + lexer->at;
    char c = *from;
    size_t end = lexer->at;
    if (isalpha((unsigned char)c) || c == '_') {
        while (end < lexer->length && is_name_byte(lexer->source[end])) end++;
        lexer->now.type = MR_TOKEN_NAME;
    } else if (isdigit((unsigned char)c)) {
        while (end < lexer->length && (is_name_byte(lexer->source[end]) || (lexer->source[end] == '.' && end + 1 < lexer->length && isdigit((unsigned char)lexer->source[end + 1])))) end++;
        lexer->now.type = MR_TOKEN_NUMBER;
    } else if (c == '"' || c == '\'') {
        for (end++; end < lexer->length && lexer->source[end] != c; end++) end += lexer->source[end] == '\\';
        if (end >= lexer->length) return mr_lexer_refuse(lexer, MR_MODEL_CORRUPT, "a string has no end", (mr_str){ 0 });
        lexer->now.type = MR_TOKEN_STRING;
        lexer->now.text = (mr_str){ from + 1, end - lexer->at - 1 };
        lexer->at = end + 1;
        return MR_OK;
    } else {
        for (size_t i = 0; i < sizeof signs / sizeof *signs && end == lexer->at; i++) {
            if (!begins(lexer, signs[i]) || (lexer->braces && (i == 3 || i == 4))) continue; /* two mappings may end, not the tag */
            end += strlen(signs[i]);
            lexer->now.type = i < 5 ? MR_TOKEN_TAG_END : MR_TOKEN_SIGN;
        }
        if (end == lexer->at) return mr_lexer_refuse(lexer, MR_MODEL_CORRUPT, "this character does not belong here:", (mr_str){ from, 1 });
    }
    lexer->now.text = (mr_str){ from, end - lexer->at };
    lexer->at = end;
    if (c == '{') lexer->braces++;
    if (c == '}' && lexer->now.type == MR_TOKEN_SIGN) lexer->braces--;
    return MR_OK;
}

bool mr_lexer_is(const mr_lexer *lexer, mr_token_type type, const char *text)
{
    return lexer->now.type == type && mr_str_equal(lexer->now.text, mr_str_of(text));
}

static bool append_escape(mr_str text, size_t *i, mr_buf *out)
{
    static const char letters[] = "ntr\\'\"abfv0", bytes[] = "\n\t\r\\'\"\a\b\f\v";
    char c = text.data[*i], utf8[4];
    const char *found = c ? strchr(letters, c) : NULL;
    if (c == '\n') return true;
    if (c == 'x' || c == 'u') {
        size_t digits = c == 'x' ? 2 : 4;
        char hex[5] = { 0 };
        if (text.length - *i <= digits) return false;
        for (size_t k = 0; k < digits; k++) {
            hex[k] = text.data[*i + 1 + k];
            if (!isxdigit((unsigned char)hex[k])) return false;
        }
        unsigned long point = strtoul(hex, NULL, 16);
        if (point >= 0xD800 && point <= 0xDFFF) return false;
        *i += digits;
        size_t length = 0;
        if (point < 0x80) utf8[length++] = (char)point;
        else if (point < 0x800) utf8[length++] = (char)(0xC0 | point >> 6), utf8[length++] = (char)(0x80 | (point & 0x3F));
        else utf8[length++] = (char)(0xE0 | point >> 12), utf8[length++] = (char)(0x80 | (point >> 6 & 0x3F)), utf8[length++] = (char)(0x80 | (point & 0x3F));
        return mr_buf_append(out, utf8, length);
    }
    if (!found) return !isalnum((unsigned char)c) ? mr_buf_append(out, "\\", 1) && mr_buf_append(out, &c, 1) : false;
    return c == '0' ? mr_buf_append(out, "", 1) : mr_buf_append(out, &bytes[found - letters], 1);
}

bool mr_lexer_unescape(mr_str raw, mr_buf *out)
{
    bool done = true;
    for (size_t i = 0; i < raw.length && done; i++) done = raw.data[i] != '\\' ? mr_buf_append(out, raw.data + i, 1) : (i++, append_escape(raw, &i, out));
    return done;
}
