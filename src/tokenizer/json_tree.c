#include "tokenizer/json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "tokenizer/ascii_block.h"
#include "tokenizer/unicode.h"

#define MAX_DEPTH 64 /* real files nest 6 deep; everything that walks a tree may recurse this far */

typedef struct parser {
    char *text;
    size_t length;
    size_t at;
    mr_json_node *nodes;
    size_t count;
    size_t capacity;
    const char *path;
    mr_error *error;
} parser;

static mr_status bad(parser *p, const char *what)
{
    size_t line = 1;
    for (size_t i = 0; i < p->at && i < p->length; i++) line += p->text[i] == '\n';
    return mr_error_set(p->error, MR_MODEL_CORRUPT, "%s:%zu: not valid JSON: %s", p->path, line, what);
}

static mr_status add(parser *p, mr_json_type type, size_t at, size_t size)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : p->length / 8 + 64;
        mr_json_node *grown = mr_mem_realloc(p->nodes, capacity * sizeof *grown, MR_MEM_TOKENIZER);
        if (!grown) return mr_error_set(p->error, MR_OUT_OF_MEMORY, "%s: out of memory", p->path);
        p->nodes = grown;
        p->capacity = capacity;
    }
    p->nodes[p->count++] = (mr_json_node){ .type = (uint32_t)type & 7, .size = (uint32_t)size & MR_JSON_MAX_BYTES, .at = (uint32_t)at };
    return MR_OK;
}

static void skip_space(parser *p)
{
    while (p->at < p->length && (p->text[p->at] == ' ' || p->text[p->at] == '\n' || p->text[p->at] == '\r' || p->text[p->at] == '\t')) p->at++;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(const parser *p, size_t at)
{
    if (p->length - at < 4) return -1;
    int32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = p->text[at + i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* At the character behind \u; writes the code point at *to. */
static mr_status unicode_escape(parser *p, size_t *to)
{
    int32_t c = hex4(p, p->at);
    if (c < 0) return bad(p, "\\u needs four hexadecimal digits");
    p->at += 4;
    if (c >= 0xD800 && c <= 0xDFFF) {
        int32_t low = c < 0xDC00 && p->length - p->at >= 6 && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u' ? hex4(p, p->at + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF) return bad(p, "lone surrogate");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        p->at += 6;
    }
    *to += mr_utf8_encode((uint32_t)c, p->text + *to);
    return MR_OK;
}

/* Bytes at the front that stand for themselves in a string, eight at a time: up to a quote, a backslash or a control character. */
static size_t plain_bytes(const char *text, size_t length)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t at = 0;
    for (; length - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, 8);
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        uint64_t stops = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word)) & ones * 0x80; /* the lowest is exact */
        if (stops) return at + mr_lowest_bit(stops) / 8;
    }
    while (at < length && text[at] != '"' && text[at] != '\\' && (unsigned char)text[at] >= 0x20) at++;
    return at;
}

/* At the character behind the opening quote. The unescaped text is never longer than the escaped one. */
static mr_status parse_string(parser *p)
{
    size_t start = p->at;
    p->at += plain_bytes(p->text + start, p->length - start);
    size_t to = p->at;
    while (p->at < p->length && p->text[p->at] != '"') {
        char c = p->text[p->at++];
        if ((unsigned char)c < 0x20) return bad(p, "control character in a string");
        if (c == '\\') {
            if (p->at == p->length) break;
            static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
            c = p->text[p->at++];
            if (c == 'u') {
                MR_TRY(unicode_escape(p, &to));
                continue;
            }
            const char *escape = c ? strchr(escapes, c) : NULL;
            if (!escape) return bad(p, "unknown escape");
            c = meanings[escape - escapes];
        }
        p->text[to++] = c;
    }
    if (p->at == p->length) return bad(p, "unterminated string");
    p->at++;
    return add(p, MR_JSON_STRING, start, to - start);
}

static size_t digits(const parser *p, size_t at)
{
    size_t count = 0;
    while (at + count < p->length && p->text[at + count] >= '0' && p->text[at + count] <= '9') count++;
    return count;
}

static mr_status parse_number(parser *p)
{
    size_t at = p->at;
    if (p->text[at] == '-') at++;
    size_t whole = digits(p, at);
    if (whole == 0 || (whole > 1 && p->text[at] == '0')) return bad(p, "malformed number");
    at += whole;
    if (at < p->length && p->text[at] == '.') {
        size_t fraction = digits(p, at + 1);
        if (fraction == 0) return bad(p, "malformed number");
        at += 1 + fraction;
    }
    if (at < p->length && (p->text[at] == 'e' || p->text[at] == 'E')) {
        at++;
        if (at < p->length && (p->text[at] == '+' || p->text[at] == '-')) at++;
        size_t exponent = digits(p, at);
        if (exponent == 0) return bad(p, "malformed number");
        at += exponent;
    }
    mr_status status = add(p, MR_JSON_NUMBER, p->at, at - p->at);
    p->at = at;
    return status;
}

static mr_status parse_word(parser *p)
{
    static const struct {
        const char *text;
        mr_json_type type;
    } words[] = { { "null", MR_JSON_NULL }, { "true", MR_JSON_TRUE }, { "false", MR_JSON_FALSE } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].text);
        if (p->length - p->at < length || memcmp(p->text + p->at, words[i].text, length) != 0) continue;
        p->at += length;
        return add(p, words[i].type, 0, 0);
    }
    return bad(p, "unexpected character");
}

/* Object keys, with their colon. */
static mr_status parse_key(parser *p)
{
    skip_space(p);
    if (p->at == p->length || p->text[p->at] != '"') return bad(p, "expected a key");
    p->at++;
    MR_TRY(parse_string(p));
    skip_space(p);
    if (p->at == p->length || p->text[p->at] != ':') return bad(p, "expected ':'");
    p->at++;
    return MR_OK;
}

/* One value; a non-empty container is left open: its index is pushed on the stack. */
static mr_status parse_value(parser *p, uint32_t *stack, size_t *depth)
{
    skip_space(p);
    if (p->at == p->length) return bad(p, "unexpected end");
    char c = p->text[p->at];
    if (c == '"') return p->at++, parse_string(p);
    if (c == '-' || (c >= '0' && c <= '9')) return parse_number(p);
    if (c != '{' && c != '[') return parse_word(p);
    p->at++;
    MR_TRY(add(p, c == '{' ? MR_JSON_OBJECT : MR_JSON_ARRAY, p->count + 1, 0));
    skip_space(p);
    if (p->at < p->length && p->text[p->at] == (c == '{' ? '}' : ']')) return p->at++, MR_OK;
    if (*depth == MAX_DEPTH) return bad(p, "nested too deeply");
    stack[(*depth)++] = (uint32_t)p->count - 1;
    return MR_OK;
}

static mr_status parse_all(parser *p)
{
    uint32_t stack[MAX_DEPTH];
    size_t depth = 0, before;
    MR_TRY(parse_value(p, stack, &depth));
    while (depth > 0) {
        mr_json_node *open = p->nodes + stack[depth - 1];
        bool object = open->type == MR_JSON_OBJECT;
        open->size++;
        if (object) MR_TRY(parse_key(p));
        before = depth;
        MR_TRY(parse_value(p, stack, &depth));
        if (depth > before) continue; /* contents of the new container first */
        for (;;) {
            skip_space(p);
            if (p->at == p->length) return bad(p, "unexpected end");
            char c = p->text[p->at++];
            if (c == ',') break;
            open = p->nodes + stack[depth - 1];
            if (c != (open->type == MR_JSON_OBJECT ? '}' : ']')) return bad(p, "expected ',' or the end of a list or object");
            open->at = (uint32_t)p->count;
            if (--depth == 0) break;
        }
    }
    skip_space(p);
    return p->at == p->length ? MR_OK : bad(p, "something behind the end");
}

mr_status mr_json_tree_parse(char *text, size_t length, const char *path, mr_json_tree *out, mr_error *error)
{
    parser p = { .text = text, .length = length, .path = path, .error = error };
    mr_status status;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) p.at = 3;
    size_t valid = mr_utf8_check(text, length);
    if (length > MR_JSON_MAX_BYTES) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: larger than %zu MiB", path, MR_JSON_MAX_BYTES >> 20);
    else if (valid < length) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: ill-formed UTF-8 at byte %zu", path, valid);
    else status = parse_all(&p);
    if (status != MR_OK) {
        free(text);
        mr_mem_free(p.nodes);
        return status;
    }
    *out = (mr_json_tree){ .text = text, .nodes = p.nodes, .count = p.count, .path = path };
    return MR_OK;
}

mr_status mr_json_tree_read(const char *path, size_t max_bytes, mr_json_tree *out, mr_error *error)
{
    char *text;
    size_t length;
    MR_TRY(mr_file_read(path, max_bytes, &text, &length, error));
    return mr_json_tree_parse(text, length, path, out, error);
}

void mr_json_tree_fini(mr_json_tree *tree)
{
    free(tree->text);
    mr_mem_free(tree->nodes);
    *tree = (mr_json_tree){ 0 };
}

mr_json_value mr_json_root(const mr_json_tree *tree)
{
    return (mr_json_value){ tree, 0 };
}

size_t mr_json_count(mr_json_value value)
{
    return value.tree && value.tree->nodes[value.index].type >= MR_JSON_ARRAY ? value.tree->nodes[value.index].size : 0;
}

mr_json_value mr_json_get(mr_json_value object, const char *key)
{
    mr_json_value found = { 0 };
    if (mr_json_type_of(object) != MR_JSON_OBJECT) return found;
    mr_str wanted = mr_str_of(key);
    for (mr_json_value k = mr_json_first(object); mr_json_more(object, k);) {
        mr_json_value value = mr_json_after(k);
        mr_str name = mr_json_bytes(k);
        if (name.length == wanted.length && memcmp(name.data, wanted.data, name.length) == 0) found = value;
        k = mr_json_after(value);
    }
    return found;
}

const char *mr_json_path(mr_json_value value)
{
    return value.tree ? value.tree->path : "tokenizer";
}

static mr_status wrong(mr_json_value object, const char *key, const char *expected, mr_error *error)
{
    mr_json_value type = mr_json_get(object, "type");
    mr_str name = mr_json_type_of(type) == MR_JSON_STRING ? mr_json_bytes(type) : MR_STR("object");
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %.*s: \"%s\" must be %s", mr_json_path(object),
                        (int)(name.length < 64 ? name.length : 64), name.data, key, expected);
}

mr_status mr_json_get_bool(mr_json_value object, const char *key, bool fallback, bool *out, mr_error *error)
{
    mr_json_value value = mr_json_get(object, key);
    mr_json_type type = mr_json_type_of(value);
    if (type != MR_JSON_NULL && type != MR_JSON_TRUE && type != MR_JSON_FALSE) return wrong(object, key, "true or false", error);
    *out = type == MR_JSON_NULL ? fallback : type == MR_JSON_TRUE;
    return MR_OK;
}

bool mr_json_to_size(mr_json_value value, size_t maximum, size_t *out)
{
    return mr_json_type_of(value) == MR_JSON_NUMBER && mr_str_to_size(mr_json_bytes(value), maximum, out);
}

bool mr_str_to_size(mr_str text, size_t maximum, size_t *out)
{
    size_t number = 0;
    if (text.length == 0) return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > (SIZE_MAX - 9) / 10) return false;
        number = number * 10 + (size_t)(text.data[i] - '0');
    }
    if (number > maximum) return false;
    *out = number;
    return true;
}

mr_status mr_json_get_size(mr_json_value object, const char *key, size_t maximum, size_t fallback, size_t *out, mr_error *error)
{
    mr_json_value value = mr_json_get(object, key);
    if (!mr_json_present(value)) return *out = fallback, MR_OK;
    if (!mr_json_to_size(value, maximum, out)) return wrong(object, key, "a non-negative whole number in range", error);
    return MR_OK;
}

mr_status mr_json_get_str(mr_json_value object, const char *key, mr_str fallback, mr_str *out, mr_error *error)
{
    mr_json_value value = mr_json_get(object, key);
    if (!mr_json_present(value)) return *out = fallback, MR_OK;
    if (mr_json_type_of(value) != MR_JSON_STRING) return wrong(object, key, "a string", error);
    *out = mr_json_bytes(value);
    return MR_OK;
}

mr_status mr_json_expect(mr_json_value value, mr_json_type type, const char *what, mr_error *error)
{
    static const char *const names[] = { "null", "false", "true", "a number", "a string", "a list", "an object" };
    if (mr_json_type_of(value) == type) return MR_OK;
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %s must be %s", mr_json_path(value), what, names[type]);
}

bool mr_json_append_quoted(mr_buf *out, mr_str text)
{
    size_t from = 0;
    bool done = mr_buf_append(out, "\"", 1);
    for (size_t i = 0; i < text.length && done; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        done = mr_buf_append(out, text.data + from, i - from) && mr_buf_printf(out, c < 0x20 ? "\\u%04x" : "\\%c", c);
        from = i + 1;
    }
    return done && mr_buf_append(out, text.data + from, text.length - from) && mr_buf_append(out, "\"", 1);
}

bool mr_json_append_value(mr_buf *out, mr_json_value value, const char *without)
{
    mr_json_type type = mr_json_type_of(value);
    mr_str text = mr_json_bytes(value);
    bool object = type == MR_JSON_OBJECT, done, first = true;
    switch (type) {
    case MR_JSON_NULL: return mr_buf_append_str(out, "null");
    case MR_JSON_FALSE: return mr_buf_append_str(out, "false");
    case MR_JSON_TRUE: return mr_buf_append_str(out, "true");
    case MR_JSON_NUMBER: return mr_buf_append(out, text.data, text.length);
    case MR_JSON_STRING: return mr_json_append_quoted(out, text);
    case MR_JSON_ARRAY:
    case MR_JSON_OBJECT: break;
    }
    done = mr_buf_append_str(out, object ? "{" : "[");
    for (mr_json_value item = mr_json_first(value); done && mr_json_more(value, item); item = mr_json_after(item)) {
        mr_json_value key = item;
        if (object) item = mr_json_after(key);
        if (object && without && mr_str_equal(mr_json_bytes(key), mr_str_of(without))) continue;
        done = (first || mr_buf_append_str(out, ",")) && (!object || (mr_json_append_quoted(out, mr_json_bytes(key)) && mr_buf_append_str(out, ":"))) &&
               mr_json_append_value(out, item, NULL);
        first = false;
    }
    return done && mr_buf_append_str(out, object ? "}" : "]");
}
