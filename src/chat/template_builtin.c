/* Filters, tests, methods and functions: one table each. */
#include "chat/template_value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tokenizer/unicode.h"

#define ONLY_NAMED MR_MAX_ARGUMENTS
mr_value mr_argument(const mr_arguments *arguments, size_t position, const char *name)
{
    if (position < ONLY_NAMED && position < arguments->count) return arguments->positional[position];
    for (size_t i = 0; i < arguments->keyword_count; i++)
        if (mr_str_equal(arguments->keyword[i].name, mr_str_of(name))) return arguments->keyword[i].value;
    return (mr_value){ 0 };
}

static mr_status out_of_memory(mr_render *r)
{
    return mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
}

static mr_status keep_buf(mr_render *r, const mr_node *node, bool done, mr_buf *text, mr_value *out)
{
    mr_status status = done ? mr_render_keep_text(r, node, (mr_str){ text->data, text->length }, out) : out_of_memory(r);
    mr_buf_fini(text);
    return status;
}

/* The value as a text: what the filters do before anything else. */
static mr_status text_of(mr_render *r, const mr_node *node, mr_value value, mr_str *out)
{
    mr_buf text = { 0 };
    mr_value kept;
    if (mr_value_is_string(value)) return *out = mr_value_text(value), MR_OK;
    mr_status status = mr_value_print(r, node, value, &text);
    if (status == MR_OK) status = mr_render_keep_text(r, node, (mr_str){ text.data, text.length }, &kept);
    mr_buf_fini(&text);
    if (status == MR_OK) *out = mr_value_text(kept);
    return status;
}

/* ---------------------------------------------------------------- texts */

static bool is_space(uint32_t c)
{
    return mr_unicode_is_space(c) || (c >= 0x1C && c <= 0x1F); /* Python's */
}

static bool stripped(uint32_t c, mr_str set)
{
    if (!set.data) return is_space(c);
    for (size_t at = 0, length; at < set.length; at += length)
        if (mr_utf8_decode(set.data + at, &length) == c) return true;
    return false;
}

/* set.data NULL: white space. */
static mr_str strip(mr_str text, mr_str set, bool left, bool right)
{
    size_t length;
    while (left && text.length && stripped(mr_utf8_decode(text.data, &length), set)) text = (mr_str){ text.data + length, text.length - length };
    while (right && text.length) {
        size_t before = mr_utf8_before(text.data, text.length);
        if (!stripped(mr_utf8_decode(text.data + before, &length), set)) break;
        text.length = before;
    }
    return text;
}

static mr_status change_case(mr_render *r, const mr_node *node, mr_str text, bool upper, mr_value *out)
{
    mr_buf changed = { 0 };
    bool done = mr_buf_reserve(&changed, 3 * text.length + 1);
    for (size_t at = 0, length; at < text.length && done; at += length) {
        uint32_t c = mr_utf8_decode(text.data + at, &length);
        if (upper && c >= 0x80) return mr_buf_fini(&changed), mr_render_fail(r, node, "upper of a character beyond ASCII");
        if (!upper && c == 0x3A3) return mr_buf_fini(&changed), mr_render_fail(r, node, "lower of a capital sigma, which depends on its place");
        if (upper && c >= 'a' && c <= 'z') c -= 'a' - 'A';
        if (!upper && c == 0x130) done = mr_buf_append(&changed, "i\xCC\x87", 3);
        else changed.length += mr_utf8_encode(upper ? c : mr_unicode_lower(c), changed.data + changed.length);
    }
    return keep_buf(r, node, done, &changed, out);
}

mr_status mr_template_lower(mr_render *r, const mr_node *node, mr_str text, mr_value *out)
{
    return change_case(r, node, text, false, out);
}

/* Bytes of the line end at text.data[at], as Python's splitlines has them; 0: none. */
static size_t line_end(mr_str text, size_t at)
{
    size_t length;
    uint32_t c = mr_utf8_decode(text.data + at, &length);
    if (c == '\r' && at + 1 < text.length && text.data[at + 1] == '\n') return 2;
    return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029 ? length : 0;
}

/* indent(width, first, blank): white space in front of the lines, and LF between them. */
static mr_status indent(mr_render *r, const mr_node *node, mr_str text, const mr_arguments *arguments, mr_value *out)
{
    mr_value width = mr_argument(arguments, 0, "width");
    bool first = mr_value_true(mr_argument(arguments, 1, "first")), blank = mr_value_true(mr_argument(arguments, 2, "blank")), done = true;
    json_int_t spaces = width.kind == MR_VALUE_UNDEFINED ? 4 : width.kind == MR_VALUE_JSON && json_is_integer(width.json) ? json_integer_value(width.json) : -1;
    mr_buf indented = { 0 };
    if (!mr_value_is_string(width) && (spaces < 0 || spaces > 1000)) return mr_render_fail(r, node, "indent: the width must be a text or 0 to 1000");
    for (size_t at = 0, gap; at <= text.length && done; at += gap) {
        size_t end = at;
        while (end < text.length && line_end(text, end) == 0) end++;
        if (at == 0 ? first : end > at || blank) {
            if (mr_value_is_string(width)) done = mr_buf_append(&indented, json_string_value(width.json), json_string_length(width.json));
            for (json_int_t i = 0; i < spaces && done; i++) done = mr_buf_append(&indented, " ", 1);
        }
        done = done && mr_buf_append(&indented, text.data + at, end - at) && (end == text.length || mr_buf_append(&indented, "\n", 1));
        gap = end - at + (end < text.length ? line_end(text, end) : 1);
        if (indented.length > (64u << 20)) return mr_buf_fini(&indented), mr_render_fail(r, node, "the text grows beyond 64 MiB");
    }
    return keep_buf(r, node, done, &indented, out);
}

/* "{} {}".format(a, b); nothing else inside the braces. */
static mr_status format(mr_render *r, const mr_node *node, mr_str text, const mr_arguments *arguments, mr_value *out)
{
    mr_buf made = { 0 };
    size_t used = 0;
    mr_status status = MR_OK;
    for (size_t i = 0; i < text.length && status == MR_OK; i++) {
        char c = text.data[i], following = i + 1 < text.length ? text.data[i + 1] : 0;
        bool brace = c == '{' || c == '}', done = true;
        if (!brace || following == c) done = mr_buf_append(&made, &c, 1);
        else if (c == '}' || following != '}') status = mr_render_fail(r, node, "format with more than {} in the text");
        else if (used == arguments->count) status = mr_render_fail(r, node, "format with fewer values than places");
        else status = mr_value_print(r, node, arguments->positional[used++], &made);
        i += brace;
        if (!done) status = out_of_memory(r);
    }
    if (status == MR_OK) return keep_buf(r, node, true, &made, out);
    mr_buf_fini(&made);
    return status;
}

static mr_status replace(mr_render *r, const mr_node *node, mr_str text, mr_value from, mr_value to, mr_value *out)
{
    mr_buf changed = { 0 };
    if (!mr_value_is_string(from) || !mr_value_is_string(to)) return mr_render_fail(r, node, "replace needs two texts");
    mr_str old = mr_value_text(from), new = mr_value_text(to);
    if (old.length == 0) return mr_render_fail(r, node, "replace of an empty text");
    for (;;) {
        const char *hit = memmem(text.data, text.length, old.data, old.length);
        size_t before = hit ? (size_t)(hit - text.data) : text.length;
        bool done = mr_buf_append(&changed, text.data, before) && (!hit || mr_buf_append(&changed, new.data, new.length));
        if (!hit || !done || changed.length > (64u << 20)) return keep_buf(r, node, done, &changed, out);
        text = (mr_str){ text.data + before + old.length, text.length - before - old.length };
    }
}

static mr_status split(mr_render *r, const mr_node *node, mr_str text, mr_value by, mr_value limit, mr_value *out)
{
    json_int_t left = limit.kind == MR_VALUE_JSON && json_is_integer(limit.json) ? json_integer_value(limit.json) : -1;
    bool blank = by.kind != MR_VALUE_JSON || json_is_null(by.json);
    mr_str cut = blank ? (mr_str){ 0 } : mr_value_text(by);
    if (!blank && (!json_is_string(by.json) || cut.length == 0)) return mr_render_fail(r, node, "split needs a text that is not empty");
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    if (blank) text = strip(text, (mr_str){ 0 }, true, left < 0);
    if (blank && text.length == 0) return MR_OK;
    for (;;) {
        size_t end = 0, gap = cut.length;
        if (blank) while (end < text.length && !is_space(mr_utf8_decode(text.data + end, &gap))) end += gap;
        else {
            const char *hit = memmem(text.data, text.length, cut.data, cut.length);
            end = hit ? (size_t)(hit - text.data) : text.length;
        }
        if (left == 0 || end >= text.length) end = text.length;
        r->bytes += end + 64;
        if (json_array_append_new(out->json, json_stringn(text.data, end)) != 0) return out_of_memory(r);
        if (end == text.length) return MR_OK;
        text = (mr_str){ text.data + end + gap, text.length - end - gap };
        if (blank) text = strip(text, (mr_str){ 0 }, true, false);
        if (blank && text.length == 0) return MR_OK;
        left -= left > 0;
    }
}

/* ---------------------------------------------------------------- lists */

static mr_status keep_items(mr_render *r, const mr_node *node, mr_value value, mr_value *out)
{
    if (value.kind != MR_VALUE_JSON || !json_is_object(value.json)) return mr_render_fail(r, node, "the pairs of something that is no mapping");
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    for (void *at = json_object_iter(value.json); at; at = json_object_iter_next(value.json, at)) {
        json_t *pair = json_array();
        json_array_append_new(pair, json_stringn(json_object_iter_key(at), json_object_iter_key_len(at)));
        json_array_append(pair, json_object_iter_value(at));
        r->bytes += 256;
        if (json_array_append_new(out->json, pair) != 0) return out_of_memory(r);
    }
    return MR_OK;
}

static mr_status values_of(mr_render *r, const mr_node *node, mr_value value, mr_value *out)
{
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    for (void *at = json_object_iter(value.json); at; at = json_object_iter_next(value.json, at)) json_array_append(out->json, json_object_iter_value(at));
    return MR_OK;
}

static mr_status join(mr_render *r, const mr_node *node, mr_value value, mr_value by, mr_value *out)
{
    json_t *list;
    mr_buf text = { 0 };
    mr_str gap = MR_STR("");
    MR_TRY(mr_value_items(r, node, value, &list));
    if (by.kind != MR_VALUE_UNDEFINED) MR_TRY(text_of(r, node, by, &gap));
    mr_status status = MR_OK;
    for (size_t i = 0; i < json_array_size(list) && status == MR_OK; i++) {
        if (i && !mr_buf_append(&text, gap.data, gap.length)) status = out_of_memory(r);
        if (status == MR_OK) status = mr_value_print(r, node, mr_value_of(json_array_get(list, i)), &text);
    }
    if (status == MR_OK) return keep_buf(r, node, true, &text, out);
    mr_buf_fini(&text);
    return status;
}

/* select, reject: items that pass a test or do not; selectattr, rejectattr: whose member does. */
/* Jinja's select and map take nothing for an empty list: none, too. */
static mr_value or_empty(mr_value value)
{
    return value.kind == MR_VALUE_JSON && json_is_null(value.json) ? (mr_value){ 0 } : value;
}

static mr_status choose(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, bool attribute, bool keep, mr_value *out)
{
    json_t *list;
    mr_arguments rest = { 0 };
    size_t used = attribute ? 1 : 0;
    MR_TRY(mr_value_items(r, node, or_empty(value), &list));
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    if ((attribute && (arguments->count == 0 || !mr_value_is_string(arguments->positional[0]))) || (arguments->count > used && !mr_value_is_string(arguments->positional[used])))
        return mr_render_fail(r, node, "the name of a member or of a test is missing");
    mr_str test = arguments->count > used ? mr_value_text(arguments->positional[used]) : (mr_str){ 0 };
    if (test.data && !mr_template_test_exists(test)) return mr_render_fail(r, node, "the test \"%.*s\"", (int)(test.length < 64 ? test.length : 64), test.data);
    for (size_t i = used + 1; i < arguments->count; i++) rest.positional[rest.count++] = arguments->positional[i];
    for (size_t i = 0; i < json_array_size(list); i++) {
        mr_value item = mr_value_of(json_array_get(list, i)), asked = item;
        bool passes;
        if (attribute) MR_TRY(mr_value_item(r, node, item, arguments->positional[0], &asked));
        if (test.data) MR_TRY(mr_template_test(r, node, test, asked, &rest, &passes));
        else passes = mr_value_true(asked);
        if (passes == keep && json_array_append(out->json, item.json) != 0) return out_of_memory(r);
    }
    r->bytes += 64 * json_array_size(out->json);
    return MR_OK;
}

/* map(attribute=name) */
static mr_status map(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    json_t *list;
    mr_value name = mr_argument(arguments, ONLY_NAMED, "attribute"), member;
    if (!mr_value_is_string(name) || arguments->count) return mr_render_fail(r, node, "map is supported with attribute=\"...\" only");
    MR_TRY(mr_value_items(r, node, or_empty(value), &list));
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        MR_TRY(mr_value_item(r, node, mr_value_of(json_array_get(list, i)), name, &member));
        if (member.kind != MR_VALUE_JSON) return mr_render_fail(r, node, "map: an item has no such member");
        json_array_append(out->json, member.json);
    }
    return MR_OK;
}

static mr_status length_of(mr_render *r, const mr_node *node, mr_value value, mr_value *out)
{
    size_t length = 0;
    if (mr_value_is_string(value)) length = mr_utf8_count(mr_value_text(value));
    else if (value.kind == MR_VALUE_JSON && json_is_array(value.json)) length = json_array_size(value.json);
    else if (value.kind == MR_VALUE_JSON && json_is_object(value.json)) length = json_object_size(value.json);
    else if (value.kind != MR_VALUE_UNDEFINED) return mr_render_fail(r, node, "the length of something that has none");
    return mr_render_keep(r, node, json_integer((json_int_t)length), out);
}

/* JSON with what is not ASCII as \\u and four digits, or two of those. */
static bool escape_beyond_ascii(mr_str json, mr_buf *out)
{
    bool done = true;
    for (size_t at = 0, length; done && at < json.length; at += length) {
        uint32_t c = mr_utf8_decode(json.data + at, &length);
        if (c < 0x80) done = mr_buf_append(out, json.data + at, 1);
        else if (c < 0x10000) done = mr_buf_printf(out, "\\u%04x", (unsigned)c);
        else done = mr_buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)), (unsigned)(0xDC00 | (c & 0x3FF)));
    }
    return done;
}

/* tojson(ensure_ascii, indent, separators, sort_keys) */
static mr_status to_json(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    mr_value ascii = mr_argument(arguments, 0, "ensure_ascii"), indent = mr_argument(arguments, 1, "indent");
    mr_value separators = mr_argument(arguments, 2, "separators"), sorted = mr_argument(arguments, 3, "sort_keys");
    mr_buf text = { 0 }, escaped = { 0 };
    bool indented = indent.kind == MR_VALUE_JSON && json_is_integer(indent.json);
    if (value.kind == MR_VALUE_UNDEFINED || value.kind == MR_VALUE_CALLABLE) return mr_render_fail(r, node, "tojson of an undefined value");
    if (indented && (json_integer_value(indent.json) < 0 || json_integer_value(indent.json) > 16)) return mr_render_fail(r, node, "tojson: the indent must be 0 to 16");
    if (mr_value_true(separators)) return mr_render_fail(r, node, "tojson with separators is not supported");
    if (mr_value_true(sorted)) return mr_render_fail(r, node, "tojson with sort_keys is not supported");
    bool done = mr_value_dump(value.json, indented ? (int)json_integer_value(indent.json) : -1, 0, &text);
    if (!mr_value_true(ascii)) return keep_buf(r, node, done, &text, out);
    done = done && escape_beyond_ascii((mr_str){ text.data, text.length }, &escaped);
    mr_buf_fini(&text);
    return keep_buf(r, node, done, &escaped, out);
}

static mr_status to_integer(mr_render *r, const mr_node *node, mr_value value, mr_value *out)
{
    json_int_t number = 0;
    if (value.kind == MR_VALUE_JSON && json_is_integer(value.json)) number = json_integer_value(value.json);
    else if (value.kind == MR_VALUE_JSON && json_is_real(value.json) && json_real_value(value.json) > -9e15 && json_real_value(value.json) < 9e15) number = (json_int_t)json_real_value(value.json);
    else if (mr_value_is_string(value)) number = strtoll(json_string_value(value.json), NULL, 10);
    return mr_render_keep(r, node, json_integer(number), out);
}

/* ---------------------------------------------------------------- filters */

typedef enum filter { F_TOJSON, F_TRIM, F_LENGTH, F_STRING, F_ITEMS, F_JOIN, F_SAFE, F_SELECT, F_REJECT, F_SELECTATTR, F_REJECTATTR, F_MAP, F_FIRST, F_LAST,
                      F_DEFAULT, F_UPPER, F_LOWER, F_REPLACE, F_LIST, F_INT, F_SORT, F_MIN, F_MAX, F_UNIQUE, F_DICTSORT, F_INDENT } filter;

static const struct {
    const char *name;
    filter id;
} filters[] = { { "tojson", F_TOJSON }, { "trim", F_TRIM }, { "length", F_LENGTH }, { "count", F_LENGTH }, { "string", F_STRING }, { "items", F_ITEMS }, { "join", F_JOIN },
                { "safe", F_SAFE }, { "select", F_SELECT }, { "reject", F_REJECT }, { "selectattr", F_SELECTATTR }, { "rejectattr", F_REJECTATTR }, { "map", F_MAP },
                { "first", F_FIRST }, { "last", F_LAST }, { "default", F_DEFAULT }, { "d", F_DEFAULT }, { "upper", F_UPPER }, { "lower", F_LOWER }, { "replace", F_REPLACE },
                { "list", F_LIST }, { "int", F_INT }, { "sort", F_SORT }, { "min", F_MIN }, { "max", F_MAX }, { "unique", F_UNIQUE }, { "dictsort", F_DICTSORT }, { "indent", F_INDENT } };

#define FIND(table, wanted, found)                                                  \
    for (size_t i_ = 0; i_ < sizeof table / sizeof *table; i_++)                    \
        if (mr_str_equal(wanted, mr_str_of(table[i_].name))) found = (int)table[i_].id

bool mr_template_filter_exists(mr_str name)
{
    int found = -1;
    FIND(filters, name, found);
    return found >= 0;
}

mr_status mr_template_filter(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    int id = -1;
    mr_str text;
    json_t *list;
    mr_value argument = mr_argument(arguments, 0, "d"), pairs;
    FIND(filters, node->text, id);
    switch ((filter)id) {
    case F_TOJSON: return to_json(r, node, value, arguments, out);
    case F_LENGTH: return length_of(r, node, value, out);
    case F_ITEMS:
        if (value.kind == MR_VALUE_UNDEFINED) return mr_render_keep(r, node, json_array(), out);
        return keep_items(r, node, value, out);
    case F_JOIN: return join(r, node, value, argument, out);
    case F_SELECT: return choose(r, node, value, arguments, false, true, out);
    case F_REJECT: return choose(r, node, value, arguments, false, false, out);
    case F_SELECTATTR: return choose(r, node, value, arguments, true, true, out);
    case F_REJECTATTR: return choose(r, node, value, arguments, true, false, out);
    case F_MAP: return map(r, node, value, arguments, out);
    case F_DEFAULT:
        *out = value.kind == MR_VALUE_UNDEFINED || (mr_value_true(mr_argument(arguments, 1, "boolean")) && !mr_value_true(value)) ? mr_argument(arguments, 0, "default_value") : value;
        return MR_OK;
    case F_LIST:
        MR_TRY(mr_value_items(r, node, value, &list));
        return *out = mr_value_of(list), MR_OK;
    case F_FIRST:
    case F_LAST:
        MR_TRY(mr_value_items(r, node, value, &list));
        *out = mr_value_of(json_array_get(list, id == F_FIRST ? 0 : json_array_size(list) - 1));
        return MR_OK;
    case F_INT: return to_integer(r, node, value, out);
    case F_SORT: return mr_template_sort(r, node, value, arguments, out);
    case F_MIN:
    case F_MAX: return mr_template_extreme(r, node, value, arguments, id == F_MAX, out);
    case F_UNIQUE: return mr_template_unique(r, node, value, arguments, out);
    case F_DICTSORT:
        MR_TRY(keep_items(r, node, value, &pairs));
        return mr_template_sort_pairs(r, node, pairs, arguments, out);
    default: break;
    }
    bool same = id == F_TRIM || id == F_STRING || id == F_SAFE;
    if (value.safe && !same) return mr_render_fail(r, node, "the filter \"%.*s\" of a safe text", (int)node->text.length, node->text.data);
    MR_TRY(text_of(r, node, value, &text));
    if (id == F_TRIM) text = strip(text, argument.kind == MR_VALUE_JSON && json_is_string(argument.json) ? mr_value_text(argument) : (mr_str){ 0 }, true, true);
    if (id == F_UPPER || id == F_LOWER) return change_case(r, node, text, id == F_UPPER, out);
    if (id == F_REPLACE) return replace(r, node, text, argument, mr_argument(arguments, 1, "new"), out);
    if (id == F_INDENT) return mr_value_is_string(value) ? indent(r, node, text, arguments, out) : mr_render_fail(r, node, "indent of something that is no text");
    MR_TRY(mr_render_keep_text(r, node, text, out)); /* trim, string, safe */
    return out->safe = value.safe || id == F_SAFE, MR_OK;
}

/* ---------------------------------------------------------------- tests */

typedef enum test { T_DEFINED, T_UNDEFINED, T_STRING, T_NONE, T_MAPPING, T_ITERABLE, T_SEQUENCE, T_FALSE, T_TRUE, T_NUMBER, T_INTEGER, T_BOOLEAN, T_EQUAL, T_NOT_EQUAL, T_IN } test;

static const struct {
    const char *name;
    test id;
} tests[] = { { "defined", T_DEFINED }, { "undefined", T_UNDEFINED }, { "string", T_STRING }, { "none", T_NONE }, { "mapping", T_MAPPING }, { "iterable", T_ITERABLE },
              { "sequence", T_SEQUENCE }, { "false", T_FALSE }, { "true", T_TRUE }, { "number", T_NUMBER }, { "integer", T_INTEGER }, { "boolean", T_BOOLEAN },
              { "equalto", T_EQUAL }, { "eq", T_EQUAL }, { "ne", T_NOT_EQUAL }, { "in", T_IN } };

bool mr_template_test_exists(mr_str name)
{
    int found = -1;
    FIND(tests, name, found);
    return found >= 0;
}

mr_status mr_template_test(mr_render *r, const mr_node *node, mr_str name, mr_value value, const mr_arguments *arguments, bool *out)
{
    int id = -1;
    const json_t *json = value.kind == MR_VALUE_JSON ? value.json : NULL;
    FIND(tests, name, id);
    if (id >= T_EQUAL && arguments->count != 1) return mr_render_fail(r, node, "the test needs one argument");
    switch ((test)id) {
    case T_DEFINED: *out = value.kind != MR_VALUE_UNDEFINED; break;
    case T_UNDEFINED: *out = value.kind == MR_VALUE_UNDEFINED; break;
    case T_STRING: *out = json_is_string(json); break;
    case T_NONE: *out = json_is_null(json); break;
    case T_MAPPING: *out = json_is_object(json); break;
    case T_ITERABLE:
    case T_SEQUENCE: *out = json_is_array(json) || json_is_object(json) || json_is_string(json) || value.kind == MR_VALUE_UNDEFINED; break;
    case T_FALSE: *out = json_is_false(json); break;
    case T_TRUE: *out = json_is_true(json); break;
    case T_NUMBER: *out = json_is_number(json) || json_is_boolean(json); break;
    case T_INTEGER: *out = json_is_integer(json); break;
    case T_BOOLEAN: *out = json_is_boolean(json); break;
    case T_EQUAL: *out = mr_value_equal(value, arguments->positional[0]); break;
    case T_NOT_EQUAL: *out = !mr_value_equal(value, arguments->positional[0]); break;
    case T_IN: return mr_value_contains(r, node, arguments->positional[0], value, out);
    }
    return MR_OK;
}

/* ---------------------------------------------------------------- methods */

typedef enum method { M_STRIP, M_LSTRIP, M_RSTRIP, M_STARTSWITH, M_ENDSWITH, M_SPLIT, M_UPPER, M_LOWER, M_REPLACE, M_JOIN, M_FORMAT, M_GET, M_ITEMS, M_KEYS, M_VALUES, M_CHANGES } method;

static const struct {
    const char *name;
    method id;
} methods[] = { { "strip", M_STRIP }, { "lstrip", M_LSTRIP }, { "rstrip", M_RSTRIP }, { "startswith", M_STARTSWITH }, { "endswith", M_ENDSWITH }, { "split", M_SPLIT },
                { "upper", M_UPPER }, { "lower", M_LOWER }, { "replace", M_REPLACE }, { "join", M_JOIN }, { "format", M_FORMAT }, { "get", M_GET }, { "items", M_ITEMS }, { "keys", M_KEYS },
                { "values", M_VALUES }, { "append", M_CHANGES }, { "pop", M_CHANGES } };

bool mr_template_method_exists(mr_str name)
{
    int found = -1;
    FIND(methods, name, found);
    return found >= 0;
}

static mr_status text_method(mr_render *r, const mr_node *node, method id, mr_str text, const mr_arguments *arguments, mr_value *out)
{
    mr_value first = mr_argument(arguments, 0, "sep");
    mr_str argument = mr_value_is_string(first) ? mr_value_text(first) : (mr_str){ 0 };
    switch (id) {
    case M_STRIP: return mr_render_keep_text(r, node, strip(text, argument, true, true), out);
    case M_LSTRIP: return mr_render_keep_text(r, node, strip(text, argument, true, false), out);
    case M_RSTRIP: return mr_render_keep_text(r, node, strip(text, argument, false, true), out);
    case M_STARTSWITH:
    case M_ENDSWITH:
        if (!argument.data) return mr_render_fail(r, node, "startswith and endswith need a text");
        if (argument.length > text.length) return mr_render_keep(r, node, json_false(), out);
        return mr_render_keep(r, node, json_boolean(memcmp(text.data + (id == M_ENDSWITH ? text.length - argument.length : 0), argument.data, argument.length) == 0), out);
    case M_SPLIT: return split(r, node, text, first, mr_argument(arguments, 1, "maxsplit"), out);
    case M_UPPER:
    case M_LOWER: return change_case(r, node, text, id == M_UPPER, out);
    case M_REPLACE: return replace(r, node, text, first, mr_argument(arguments, 1, "new"), out);
    case M_FORMAT: return format(r, node, text, arguments, out);
    case M_JOIN: {
        mr_value by;
        MR_TRY(mr_render_keep_text(r, node, text, &by));
        return join(r, node, first, by, out);
    }
    default: return mr_render_fail(r, node, "a text has no method \"%.*s\"", (int)node->text.length, node->text.data);
    }
}

mr_status mr_template_method(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    int id = -1;
    json_t *list;
    FIND(methods, node->text, id);
    if (value.safe) return mr_render_fail(r, node, "the method \"%.*s\" of a safe text", (int)node->text.length, node->text.data);
    if (mr_value_is_string(value)) return text_method(r, node, (method)id, mr_value_text(value), arguments, out);
    if (id == M_CHANGES) return mr_render_fail(r, node, "a method that changes a list");
    if (value.kind != MR_VALUE_JSON || !json_is_object(value.json)) return mr_render_fail(r, node, "the value has no method \"%.*s\"", (int)node->text.length, node->text.data);
    switch ((method)id) {
    case M_GET:
        if (arguments->count < 1) return mr_render_fail(r, node, "get needs a key");
        MR_TRY(mr_value_item(r, node, value, arguments->positional[0], out));
        if (out->kind != MR_VALUE_UNDEFINED) return MR_OK;
        if (arguments->count > 1) return *out = arguments->positional[1], MR_OK;
        return mr_render_keep(r, node, json_null(), out);
    case M_ITEMS: return keep_items(r, node, value, out);
    case M_KEYS:
        MR_TRY(mr_value_items(r, node, value, &list));
        return *out = mr_value_of(list), MR_OK;
    case M_VALUES: return values_of(r, node, value, out);
    default: return mr_render_fail(r, node, "a mapping has no method \"%.*s\"", (int)node->text.length, node->text.data);
    }
}

/* ---------------------------------------------------------------- functions */

typedef enum function { C_RAISE, C_STRFTIME, C_NAMESPACE, C_RANGE, C_DICT } function;

static const struct {
    const char *name;
    function id;
} functions[] = { { "raise_exception", C_RAISE }, { "strftime_now", C_STRFTIME }, { "namespace", C_NAMESPACE }, { "range", C_RANGE }, { "dict", C_DICT } };

bool mr_template_function_exists(mr_str name)
{
    int found = -1;
    FIND(functions, name, found);
    return found >= 0;
}

static mr_status range(mr_render *r, const mr_node *node, const mr_arguments *arguments, mr_value *out)
{
    json_int_t numbers[3] = { 0, 0, 1 };
    for (size_t i = 0; i < arguments->count && i < 3; i++) {
        if (arguments->positional[i].kind != MR_VALUE_JSON || !json_is_integer(arguments->positional[i].json)) return mr_render_fail(r, node, "range of something that is no number");
        numbers[arguments->count == 1 ? 1 : i] = json_integer_value(arguments->positional[i].json);
    }
    json_int_t from = numbers[0], to = numbers[1], step = numbers[2];
    double count = step ? ((double)to - (double)from) / (double)step : 0;
    if (step == 0 || !(count <= 100000)) return mr_render_fail(r, node, "range has no end or more than 100000 numbers");
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    for (; step > 0 ? from < to : from > to; from += step) json_array_append_new(out->json, json_integer(from));
    r->bytes += 64 * json_array_size(out->json);
    return MR_OK;
}

static mr_status make_mapping(mr_render *r, const mr_node *node, const mr_arguments *arguments, mr_value *out)
{
    MR_TRY(mr_render_keep(r, node, json_object(), out));
    for (size_t i = 0; i < arguments->keyword_count; i++) {
        mr_value member = arguments->keyword[i].value;
        if (member.kind == MR_VALUE_JSON && !member.safe) json_object_setn_new(out->json, arguments->keyword[i].name.data, arguments->keyword[i].name.length, json_incref(member.json));
        else if (member.kind != MR_VALUE_UNDEFINED) return mr_render_fail(r, node, "a namespace, a function or a safe text inside a namespace");
    }
    return MR_OK;
}

mr_status mr_template_function(mr_render *r, const mr_node *node, const mr_arguments *arguments, mr_value *out)
{
    int id = -1;
    mr_value first = arguments->count ? arguments->positional[0] : (mr_value){ 0 };
    FIND(functions, node->text, id);
    switch ((function)id) {
    case C_RAISE: return mr_render_fail(r, node, "the template refuses: %.*s", mr_value_is_string(first) ? (int)(json_string_length(first.json) < 200 ? json_string_length(first.json) : 200) : 0,
                                        mr_value_is_string(first) ? json_string_value(first.json) : "");
    case C_STRFTIME: {
        char text[256];
        time_t now = time(NULL);
        struct tm parts;
        if (!mr_value_is_string(first) || !localtime_r(&now, &parts)) return mr_render_fail(r, node, "strftime_now needs a format");
        size_t length = strftime(text, sizeof text, json_string_value(first.json), &parts);
        return mr_render_keep_text(r, node, (mr_str){ text, length }, out);
    }
    case C_RANGE: return range(r, node, arguments, out);
    case C_NAMESPACE:
    case C_DICT:
        if (arguments->count) return mr_render_fail(r, node, "arguments without names");
        MR_TRY(make_mapping(r, node, arguments, out));
        if (id == C_NAMESPACE) out->kind = MR_VALUE_NAMESPACE;
        return MR_OK;
    }
    return MR_OK;
}
