#include "chat/template_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode.h"

#define MAX_STEPS 10000000
#define MAX_BYTES ((size_t)256 << 20) /* of all texts made in one rendering */

mr_status mr_render_fail(mr_render *r, const mr_node *node, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return mr_error_set(r->error, MR_BAD_RECORD, "%s:%u: %s", r->made->where, mr_template_line(r->made, node->at), text);
}

mr_status mr_render_keep(mr_render *r, const mr_node *node, json_t *json, mr_value *out)
{
    r->bytes += json_is_string(json) ? json_string_length(json) : 64 * (1 + json_array_size(json));
    if (++r->steps > MAX_STEPS || r->bytes > MAX_BYTES) return json_decref(json), mr_render_fail(r, node, "the template takes too many steps or too much memory");
    if (json_array_append_new(r->values, json) != 0) return mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    *out = mr_value_of(json);
    return MR_OK;
}

mr_status mr_render_keep_text(mr_render *r, const mr_node *node, mr_str text, mr_value *out)
{
    return mr_render_keep(r, node, json_stringn(text.data ? text.data : "", text.length), out);
}

bool mr_value_true(mr_value value)
{
    if (value.kind == MR_VALUE_UNDEFINED) return false;
    if (value.kind != MR_VALUE_JSON) return true;
    switch (json_typeof(value.json)) {
    case JSON_OBJECT: return json_object_size(value.json) != 0;
    case JSON_ARRAY: return json_array_size(value.json) != 0;
    case JSON_STRING: return json_string_length(value.json) != 0;
    case JSON_INTEGER: return json_integer_value(value.json) != 0;
    case JSON_REAL: return json_real_value(value.json) != 0;
    default: return json_is_true(value.json);
    }
}

/* True and False are 1 and 0 in Python. */
static bool is_number(const json_t *json)
{
    return json_is_number(json) || json_is_boolean(json);
}

static double number_of(const json_t *json)
{
    return json_is_boolean(json) ? json_is_true(json) : json_number_value(json);
}

bool mr_value_equal(mr_value a, mr_value b)
{
    if (a.kind != b.kind) return false;
    if (a.kind == MR_VALUE_UNDEFINED) return true;
    if (a.kind == MR_VALUE_CALLABLE) return a.macro == b.macro;
    if (json_is_integer(a.json) && json_is_integer(b.json)) return json_integer_value(a.json) == json_integer_value(b.json);
    if (is_number(a.json) && is_number(b.json)) return number_of(a.json) == number_of(b.json);
    return json_equal(a.json, b.json);
}

mr_status mr_value_order(mr_render *r, const mr_node *node, mr_value a, mr_value b, int *out)
{
    if (mr_value_is_string(a) && mr_value_is_string(b)) {
        mr_str left = mr_value_text(a), right = mr_value_text(b);
        int difference = memcmp(left.data, right.data, left.length < right.length ? left.length : right.length);
        *out = difference ? difference : (left.length > right.length) - (left.length < right.length);
        return MR_OK;
    }
    if (a.kind != MR_VALUE_JSON || b.kind != MR_VALUE_JSON || !json_is_number(a.json) || !json_is_number(b.json))
        return mr_render_fail(r, node, "a comparison of values that have no order");
    double left = json_number_value(a.json), right = json_number_value(b.json);
    *out = (left > right) - (left < right);
    return MR_OK;
}

/* ---------------------------------------------------------------- printing */

/* Python's repr: the fewest digits that read back the same. */
static bool print_real(double value, mr_buf *out)
{
    char text[40];
    if (isnan(value)) return mr_buf_append_str(out, "nan");
    if (isinf(value)) return mr_buf_append_str(out, value < 0 ? "-inf" : "inf");
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) break;
    }
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1), places = (int)(e - text) - 2 - (text[0] == '-'); /* digits behind the point */
    if (exponent >= -4 && exponent < 16) return mr_buf_printf(out, "%.*f", places < 0 ? (exponent >= 0 ? 1 : -exponent) : places - exponent > 1 ? places - exponent : 1, value);
    return mr_buf_append(out, text, (size_t)(e - text)) && mr_buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

mr_status mr_value_print(mr_render *r, const mr_node *node, mr_value value, mr_buf *out)
{
    bool done = true;
    if (value.kind == MR_VALUE_UNDEFINED) return MR_OK;
    if (value.kind != MR_VALUE_JSON || json_is_array(value.json) || json_is_object(value.json))
        return mr_render_fail(r, node, "a %s stands where a text is needed", json_is_array(value.json) ? "list" : json_is_object(value.json) ? "mapping" : "function");
    switch (json_typeof(value.json)) {
    case JSON_STRING: done = mr_buf_append(out, json_string_value(value.json), json_string_length(value.json)); break;
    case JSON_INTEGER: done = mr_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value.json)); break;
    case JSON_REAL: done = print_real(json_real_value(value.json), out); break;
    default: done = mr_buf_append_str(out, json_is_true(value.json) ? "True" : json_is_false(value.json) ? "False" : "None");
    }
    return done ? MR_OK : mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
}

static bool dump_string(mr_str text, mr_buf *out)
{
    static const char named[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    bool done = mr_buf_append(out, "\"", 1);
    for (size_t i = 0; i < text.length && done; i++) {
        unsigned char c = (unsigned char)text.data[i];
        const char *found = c ? strchr(named, c) : NULL;
        if (found) done = mr_buf_printf(out, "\\%c", letters[found - named]);
        else if (c < 0x20) done = mr_buf_printf(out, "\\u%04x", c);
        else done = mr_buf_append(out, text.data + i, 1);
    }
    return done && mr_buf_append(out, "\"", 1);
}

static bool dump_gap(int indent, size_t level, bool first, mr_buf *out)
{
    if (indent < 0) return first || mr_buf_append(out, " ", 1);
    bool done = mr_buf_append(out, "\n", 1);
    for (size_t i = 0; i < level * (size_t)indent && done; i++) done = mr_buf_append(out, " ", 1);
    return done;
}

bool mr_value_dump(const json_t *json, int indent, size_t level, mr_buf *out)
{
    bool object = json_is_object(json), done = true;
    size_t i = 0, count = object ? json_object_size(json) : json_array_size(json);
    if (json_is_string(json)) return dump_string((mr_str){ json_string_value(json), json_string_length(json) }, out);
    if (json_is_integer(json)) return mr_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    if (json_is_real(json)) return print_real(json_real_value(json), out);
    if (!object && !json_is_array(json)) return mr_buf_append_str(out, json_is_true(json) ? "true" : json_is_false(json) ? "false" : "null");
    if (count == 0) return mr_buf_append_str(out, object ? "{}" : "[]");
    done = mr_buf_append(out, object ? "{" : "[", 1);
    void *at = object ? json_object_iter((json_t *)(uintptr_t)json) : NULL;
    for (; i < count && done; i++) {
        done = (i == 0 || mr_buf_append(out, ",", 1)) && dump_gap(indent, level + 1, i == 0, out);
        if (object) {
            const char *key = json_object_iter_key(at);
            done = done && dump_string((mr_str){ key, json_object_iter_key_len(at) }, out) && mr_buf_append(out, ": ", 2) && mr_value_dump(json_object_iter_value(at), indent, level + 1, out);
            at = json_object_iter_next((json_t *)(uintptr_t)json, at);
        } else {
            done = done && mr_value_dump(json_array_get(json, i), indent, level + 1, out);
        }
    }
    if (indent >= 0) done = done && dump_gap(indent, level, true, out);
    return done && mr_buf_append(out, object ? "}" : "]", 1);
}

/* ---------------------------------------------------------------- items */

mr_status mr_value_items(mr_render *r, const mr_node *node, mr_value value, json_t **out)
{
    mr_value list;
    if (value.kind == MR_VALUE_JSON && json_is_array(value.json)) return *out = value.json, MR_OK;
    if (value.kind != MR_VALUE_UNDEFINED && (value.kind != MR_VALUE_JSON || (!json_is_object(value.json) && !json_is_string(value.json))))
        return mr_render_fail(r, node, "a loop over something that is no list");
    MR_TRY(mr_render_keep(r, node, json_array(), &list));
    if (value.kind == MR_VALUE_JSON && json_is_object(value.json)) {
        for (void *at = json_object_iter(value.json); at; at = json_object_iter_next(value.json, at))
            json_array_append_new(list.json, json_stringn(json_object_iter_key(at), json_object_iter_key_len(at)));
    } else if (value.kind == MR_VALUE_JSON) {
        mr_str text = mr_value_text(value);
        for (size_t at = 0, length; at < text.length; at += length) {
            length = mr_utf8_length((unsigned char)text.data[at]);
            json_array_append_new(list.json, json_stringn(text.data + at, length));
        }
    }
    r->bytes += 64 * json_array_size(list.json);
    *out = list.json;
    return MR_OK;
}

/* Python's index: from the end when negative. False when outside. */
static bool place(json_int_t index, size_t count, size_t *out)
{
    if (index < 0) index += (json_int_t)count;
    if (index < 0 || (size_t)index >= count) return false;
    *out = (size_t)index;
    return true;
}

mr_status mr_value_item(mr_render *r, const mr_node *node, mr_value value, mr_value key, mr_value *out)
{
    size_t index;
    *out = (mr_value){ 0 };
    if (value.kind == MR_VALUE_UNDEFINED) return mr_render_fail(r, node, "a member of an undefined value");
    if (value.kind == MR_VALUE_CALLABLE) return MR_OK;
    if (json_is_object(value.json) && mr_value_is_string(key)) {
        *out = mr_value_of(json_object_getn(value.json, json_string_value(key.json), json_string_length(key.json)));
        return MR_OK;
    }
    if (key.kind != MR_VALUE_JSON || !json_is_integer(key.json)) return MR_OK;
    if (json_is_array(value.json) && place(json_integer_value(key.json), json_array_size(value.json), &index)) *out = mr_value_of(json_array_get(value.json, index));
    if (!json_is_string(value.json)) return MR_OK;
    mr_str text = mr_value_text(value);
    if (!place(json_integer_value(key.json), mr_utf8_count(text), &index)) return MR_OK;
    size_t at = 0;
    for (; index > 0; index--) at += mr_utf8_length((unsigned char)text.data[at]);
    return mr_render_keep_text(r, node, (mr_str){ text.data + at, mr_utf8_length((unsigned char)text.data[at]) }, out);
}

mr_status mr_value_slice(mr_render *r, const mr_node *node, mr_value value, const mr_value parts[3], mr_value *out)
{
    json_t *list;
    json_int_t numbers[3] = { 0, 0, 1 };
    bool given[3], text = mr_value_is_string(value);
    if (!text && !(value.kind == MR_VALUE_JSON && json_is_array(value.json))) return mr_render_fail(r, node, "a slice of something that is no list and no text");
    MR_TRY(mr_value_items(r, node, value, &list));
    for (size_t i = 0; i < 3; i++) {
        given[i] = parts[i].kind != MR_VALUE_JSON || !json_is_null(parts[i].json);
        if (given[i] && (parts[i].kind != MR_VALUE_JSON || !json_is_integer(parts[i].json))) return mr_render_fail(r, node, "a slice by something that is no number");
        if (given[i]) numbers[i] = json_integer_value(parts[i].json);
    }
    json_int_t count = (json_int_t)json_array_size(list), step = numbers[2];
    if (step == 0 || step > INT32_MAX || step < -INT32_MAX) return mr_render_fail(r, node, "a slice with a step of 0 or a huge one");
    for (size_t i = 0; i < 2; i++) { /* clamped as Python does */
        json_int_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? count - 1 : count;
        if (numbers[i] < 0) numbers[i] += count;
        if (!given[i]) numbers[i] = (i == 0) == (step > 0) ? lowest : highest;
        numbers[i] = numbers[i] < lowest ? lowest : numbers[i] > highest ? highest : numbers[i];
    }
    mr_buf joined = { 0 };
    mr_value made;
    MR_TRY(mr_render_keep(r, node, json_array(), &made));
    for (json_int_t i = numbers[0]; step > 0 ? i < numbers[1] : i > numbers[1]; i += step) {
        json_t *item = json_array_get(list, (size_t)i);
        if (text ? !mr_buf_append(&joined, json_string_value(item), json_string_length(item)) : json_array_append(made.json, item) != 0)
            return mr_buf_fini(&joined), mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    }
    mr_status status = MR_OK;
    if (text) status = mr_render_keep_text(r, node, (mr_str){ joined.data, joined.length }, out);
    else *out = made;
    mr_buf_fini(&joined);
    return status;
}

mr_status mr_value_contains(mr_render *r, const mr_node *node, mr_value hay, mr_value needle, bool *out)
{
    *out = false;
    if (hay.kind == MR_VALUE_UNDEFINED) return MR_OK;
    if (hay.kind != MR_VALUE_JSON) return mr_render_fail(r, node, "\"in\" something that is no list");
    if (json_is_string(hay.json)) {
        if (!mr_value_is_string(needle)) return mr_render_fail(r, node, "something that is no text \"in\" a text");
        mr_str text = mr_value_text(hay), part = mr_value_text(needle);
        *out = part.length == 0 || memmem(text.data, text.length, part.data, part.length) != NULL;
    } else if (json_is_object(hay.json)) {
        *out = mr_value_is_string(needle) && json_object_getn(hay.json, json_string_value(needle.json), json_string_length(needle.json));
    } else if (json_is_array(hay.json)) {
        for (size_t i = 0; i < json_array_size(hay.json) && !*out; i++) *out = mr_value_equal(mr_value_of(json_array_get(hay.json, i)), needle);
    } else {
        return mr_render_fail(r, node, "\"in\" something that is no list");
    }
    return MR_OK;
}
