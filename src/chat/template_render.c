#include "chat/template_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 500 /* of nodes being run */
#define MAX_VARIABLES 100000
#define MAX_OUTPUT ((size_t)64 << 20)

static mr_status evaluate(mr_render *r, const mr_node *node, mr_value *out);

/* ---------------------------------------------------------------- variables */

static mr_status set_variable(mr_render *r, const mr_node *node, mr_str name, mr_value value)
{
    for (size_t i = r->count; i-- > 0 && r->variables[i].frame == r->frame;)
        if (mr_str_equal(r->variables[i].name, name)) return r->variables[i].value = value, MR_OK;
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        mr_variable *grown = capacity <= MAX_VARIABLES ? realloc(r->variables, capacity * sizeof *grown) : NULL;
        if (!grown) return mr_render_fail(r, node, "too many variables");
        r->variables = grown;
        r->capacity = capacity;
    }
    r->variables[r->count++] = (mr_variable){ name, value, r->frame };
    return MR_OK;
}

static mr_value get_variable(const mr_render *r, mr_str name)
{
    for (size_t i = r->count; i-- > 0;)
        if ((r->variables[i].frame >= r->base || r->variables[i].frame == 0) && mr_str_equal(r->variables[i].name, name)) return r->variables[i].value;
    json_t *given = json_object_getn(r->input, name.data, name.length);
    if (given) return mr_value_of(given);
    if (mr_template_function_exists(name)) return (mr_value){ .kind = MR_VALUE_CALLABLE };
    return (mr_value){ 0 };
}

static void leave_frame(mr_render *r)
{
    while (r->count && r->variables[r->count - 1].frame == r->frame) r->count--;
    r->frame--;
}

/* ---------------------------------------------------------------- operators */

static mr_status join_texts(mr_render *r, const mr_node *node, mr_value a, mr_value b, mr_value *out)
{
    mr_buf text = { 0 };
    mr_status status = mr_value_print(r, node, a, &text);
    if (status == MR_OK) status = mr_value_print(r, node, b, &text);
    if (status == MR_OK) status = mr_render_keep_text(r, node, (mr_str){ text.data, text.length }, out);
    mr_buf_fini(&text);
    return status;
}

static bool append_escaped(mr_value value, mr_buf *out)
{
    static const char signs[] = "&<>\"'";
    static const char *const names[] = { "&amp;", "&lt;", "&gt;", "&#34;", "&#39;" };
    mr_str text = mr_value_text(value);
    bool done = true;
    for (size_t i = 0; i < text.length && done; i++) {
        const char *found = !value.safe && text.data[i] ? strchr(signs, text.data[i]) : NULL;
        done = found ? mr_buf_append_str(out, names[found - signs]) : mr_buf_append(out, text.data + i, 1);
    }
    return done;
}

/* With a text that is `safe`, the sum is so, and the other text is escaped: though nothing else is. */
static mr_status add_texts(mr_render *r, const mr_node *node, mr_value a, mr_value b, mr_value *out)
{
    mr_buf text = { 0 };
    if (!a.safe && !b.safe) return join_texts(r, node, a, b, out);
    bool done = append_escaped(a, &text) && append_escaped(b, &text);
    mr_status status = done ? mr_render_keep_text(r, node, (mr_str){ text.data, text.length }, out) : mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    mr_buf_fini(&text);
    if (status == MR_OK) out->safe = true;
    return status;
}

static mr_status join_lists(mr_render *r, const mr_node *node, mr_value a, mr_value b, mr_value *out)
{
    MR_TRY(mr_render_keep(r, node, json_array(), out));
    if (json_array_extend(out->json, a.json) != 0 || json_array_extend(out->json, b.json) != 0) return mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    r->bytes += 64 * json_array_size(out->json);
    return MR_OK;
}

static mr_status add_numbers(mr_render *r, const mr_node *node, json_int_t a, json_int_t b, mr_value *out)
{
    json_int_t result = 0, quotient, rest;
    bool overflow = false;
    switch (node->op) {
    case MR_OP_ADD: overflow = __builtin_add_overflow(a, b, &result); break;
    case MR_OP_SUBTRACT: overflow = __builtin_sub_overflow(a, b, &result); break;
    case MR_OP_MULTIPLY: overflow = __builtin_mul_overflow(a, b, &result); break;
    default: /* // and %, rounding down as Python does */
        if (b == 0) return mr_render_fail(r, node, "a division by zero");
        if (b == -1) {
            overflow = node->op == MR_OP_FLOOR_DIVIDE && __builtin_sub_overflow((json_int_t)0, a, &result);
            break;
        }
        quotient = a / b;
        rest = a % b;
        if (rest != 0 && (rest < 0) != (b < 0)) quotient--, rest += b;
        result = node->op == MR_OP_MODULO ? rest : quotient;
    }
    return overflow ? mr_render_fail(r, node, "a number grows too large") : mr_render_keep(r, node, json_integer(result), out);
}

static mr_status calculate(mr_render *r, const mr_node *node, mr_value a, mr_value b, mr_value *out)
{
    bool json = a.kind == MR_VALUE_JSON && b.kind == MR_VALUE_JSON;
    if (json && node->op == MR_OP_ADD && json_is_string(a.json) && json_is_string(b.json)) return add_texts(r, node, a, b, out);
    if (json && node->op == MR_OP_ADD && json_is_array(a.json) && json_is_array(b.json)) return join_lists(r, node, a, b, out);
    if (!json || !json_is_number(a.json) || !json_is_number(b.json)) return mr_render_fail(r, node, "an operator between values that do not go together");
    if (json_is_integer(a.json) && json_is_integer(b.json) && node->op != MR_OP_DIVIDE)
        return add_numbers(r, node, json_integer_value(a.json), json_integer_value(b.json), out);
    double left = json_number_value(a.json), right = json_number_value(b.json), result = 0;
    switch (node->op) {
    case MR_OP_ADD: result = left + right; break;
    case MR_OP_SUBTRACT: result = left - right; break;
    case MR_OP_MULTIPLY: result = left * right; break;
    case MR_OP_DIVIDE: result = left / right; break;
    case MR_OP_FLOOR_DIVIDE: result = floor(left / right); break;
    default: result = left - right * floor(left / right);
    }
    if (!isfinite(result)) return mr_render_fail(r, node, "a division by zero, or a number grows too large");
    return mr_render_keep(r, node, json_real(result), out);
}

static mr_status run_binary(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value a, b;
    bool result = false;
    int difference = 0;
    MR_TRY(evaluate(r, node->a, &a));
    MR_TRY(evaluate(r, node->b, &b));
    if (node->op < MR_OP_CONCATENATE) return calculate(r, node, a, b, out);
    if (node->op == MR_OP_CONCATENATE) return join_texts(r, node, a, b, out);
    if (node->op >= MR_OP_LESS && node->op <= MR_OP_GREATER_EQUAL) MR_TRY(mr_value_order(r, node, a, b, &difference));
    switch (node->op) {
    case MR_OP_EQUAL: result = mr_value_equal(a, b); break;
    case MR_OP_NOT_EQUAL: result = !mr_value_equal(a, b); break;
    case MR_OP_LESS: result = difference < 0; break;
    case MR_OP_LESS_EQUAL: result = difference <= 0; break;
    case MR_OP_GREATER: result = difference > 0; break;
    case MR_OP_GREATER_EQUAL: result = difference >= 0; break;
    default:
        MR_TRY(mr_value_contains(r, node, b, a, &result));
        result = result == (node->op == MR_OP_IN);
    }
    return mr_render_keep(r, node, json_boolean(result), out);
}

/* ---------------------------------------------------------------- calls */

static mr_status read_arguments(mr_render *r, const mr_node *node, mr_arguments *out)
{
    out->count = out->keyword_count = 0;
    for (const mr_node *item = node->first; item; item = item->next) {
        bool named = item->type == MR_NODE_PARAMETER;
        if (out->count == MR_MAX_ARGUMENTS || out->keyword_count == MR_MAX_ARGUMENTS) return mr_render_fail(r, node, "more than %d arguments", MR_MAX_ARGUMENTS);
        if (!named) {
            MR_TRY(evaluate(r, item, &out->positional[out->count++]));
            continue;
        }
        MR_TRY(evaluate(r, item->a, &out->keyword[out->keyword_count].value));
        out->keyword[out->keyword_count++].name = item->text;
    }
    return MR_OK;
}

typedef enum outcome { GOES_ON, BREAKS, CONTINUES } outcome;
static mr_status run_block(mr_render *r, const mr_node *first, outcome *flow);

/* A macro sees its parameters and what stands outside of all blocks. Its text is its value. */
static mr_status run_macro(mr_render *r, const mr_node *macro, const mr_arguments *arguments, mr_value *out)
{
    mr_buf text = { 0 }, *outer = r->out;
    size_t base = r->base, position = 0;
    outcome flow = GOES_ON;
    mr_status status = MR_OK;
    r->frame++;
    for (const mr_node *parameter = macro->a; parameter && status == MR_OK; parameter = parameter->next, position++) {
        mr_value value = { 0 };
        bool given = position < arguments->count;
        if (given) value = arguments->positional[position];
        for (size_t i = 0; i < arguments->keyword_count && !given; i++) {
            given = mr_str_equal(arguments->keyword[i].name, parameter->text);
            if (given) value = arguments->keyword[i].value;
        }
        if (!given && parameter->a) status = evaluate(r, parameter->a, &value);
        if (status == MR_OK) status = set_variable(r, macro, parameter->text, value);
    }
    r->base = r->frame;
    r->out = &text;
    if (status == MR_OK && arguments->count > position) status = mr_render_fail(r, macro, "the macro is called with too many arguments");
    if (status == MR_OK) status = run_block(r, macro->first, &flow);
    r->out = outer;
    r->base = base;
    leave_frame(r);
    if (status == MR_OK) status = mr_render_keep_text(r, macro, (mr_str){ text.data, text.length }, out);
    mr_buf_fini(&text);
    return status;
}

/* The text of statements, which have a scope of their own. */
static mr_status run_capture(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_buf text = { 0 }, *outer = r->out;
    outcome flow = GOES_ON;
    r->frame++;
    r->out = &text;
    mr_status status = run_block(r, node->first, &flow);
    r->out = outer;
    leave_frame(r);
    if (status == MR_OK) status = mr_render_keep_text(r, node, (mr_str){ text.data, text.length }, out);
    mr_buf_fini(&text);
    return status;
}

static mr_status run_call(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_arguments arguments;
    mr_value callee = get_variable(r, node->text);
    if (callee.kind != MR_VALUE_CALLABLE) return mr_render_fail(r, node, "\"%.*s\" is no function", (int)(node->text.length < 64 ? node->text.length : 64), node->text.data);
    MR_TRY(read_arguments(r, node, &arguments));
    return callee.macro ? run_macro(r, callee.macro, &arguments, out) : mr_template_function(r, node, &arguments, out);
}

/* ---------------------------------------------------------------- expressions */

static mr_status run_collection(mr_render *r, const mr_node *node, mr_value *out)
{
    bool list = node->type == MR_NODE_LIST;
    mr_value item, key;
    MR_TRY(mr_render_keep(r, node, list ? json_array() : json_object(), out));
    for (const mr_node *at = node->first; at; at = at->next) {
        if (!list) {
            MR_TRY(evaluate(r, at, &key));
            if (!mr_value_is_string(key)) return mr_render_fail(r, node, "a key that is no text");
            at = at->next;
        }
        MR_TRY(evaluate(r, at, &item));
        if (item.kind != MR_VALUE_JSON || item.safe) return mr_render_fail(r, node, "an undefined value, a function or a safe text inside a list or mapping");
        if (list) json_array_append(out->json, item.json);
        else json_object_setn_new(out->json, json_string_value(key.json), json_string_length(key.json), json_incref(item.json));
    }
    return MR_OK;
}

static mr_status run_item(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value of, key;
    MR_TRY(evaluate(r, node->a, &of));
    if (node->type == MR_NODE_ITEM) {
        MR_TRY(evaluate(r, node->b, &key));
    } else {
        if (of.kind == MR_VALUE_UNDEFINED) return mr_render_fail(r, node, "\"%.*s\" of an undefined value", (int)(node->text.length < 64 ? node->text.length : 64), node->text.data);
        MR_TRY(mr_render_keep_text(r, node, node->text, &key));
    }
    MR_TRY(mr_value_item(r, node, of, key, out));
    return out->safe = of.safe && mr_value_is_string(*out), MR_OK;
}

static mr_status run_slice(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value of, parts[3];
    const mr_node *part = node->first;
    MR_TRY(evaluate(r, node->a, &of));
    for (size_t i = 0; i < 3; i++, part = part->next) MR_TRY(evaluate(r, part, &parts[i]));
    MR_TRY(mr_value_slice(r, node, of, parts, out));
    return out->safe = of.safe, MR_OK;
}

static mr_status run_applied(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value value;
    mr_arguments arguments;
    bool result = false;
    MR_TRY(evaluate(r, node->a, &value));
    MR_TRY(read_arguments(r, node, &arguments));
    if (node->type == MR_NODE_METHOD) return mr_template_method(r, node, value, &arguments, out);
    if (node->type == MR_NODE_FILTER) return mr_template_filter(r, node, value, &arguments, out);
    MR_TRY(mr_template_test(r, node, node->text, value, &arguments, &result));
    return mr_render_keep(r, node, json_boolean(result), out);
}

static mr_status negate(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value value;
    MR_TRY(evaluate(r, node->a, &value));
    if (value.kind == MR_VALUE_JSON && json_is_real(value.json)) return mr_render_keep(r, node, json_real(-json_real_value(value.json)), out);
    if (value.kind != MR_VALUE_JSON || !json_is_integer(value.json) || json_integer_value(value.json) == INT64_MIN) return mr_render_fail(r, node, "minus something that is no number");
    return mr_render_keep(r, node, json_integer(-json_integer_value(value.json)), out);
}

static mr_status evaluate_node(mr_render *r, const mr_node *node, mr_value *out)
{
    mr_value value;
    switch (node->type) {
    case MR_NODE_LITERAL: return *out = mr_value_of(node->literal), MR_OK;
    case MR_NODE_NAME: return *out = get_variable(r, node->text), MR_OK;
    case MR_NODE_LIST:
    case MR_NODE_DICT: return run_collection(r, node, out);
    case MR_NODE_ATTR:
    case MR_NODE_ITEM: return run_item(r, node, out);
    case MR_NODE_SLICE: return run_slice(r, node, out);
    case MR_NODE_CAPTURE: return run_capture(r, node, out);
    case MR_NODE_CALL: return run_call(r, node, out);
    case MR_NODE_METHOD:
    case MR_NODE_FILTER:
    case MR_NODE_TEST: return run_applied(r, node, out);
    case MR_NODE_NEGATE: return negate(r, node, out);
    case MR_NODE_NOT:
        MR_TRY(evaluate(r, node->a, &value));
        return mr_render_keep(r, node, json_boolean(!mr_value_true(value)), out);
    case MR_NODE_BINARY: return run_binary(r, node, out);
    case MR_NODE_AND:
    case MR_NODE_OR:
        MR_TRY(evaluate(r, node->a, out));
        return mr_value_true(*out) == (node->type == MR_NODE_AND) ? evaluate(r, node->b, out) : MR_OK;
    case MR_NODE_CHOICE:
        MR_TRY(evaluate(r, node->b, &value));
        if (mr_value_true(value)) return evaluate(r, node->a, out);
        return node->c ? evaluate(r, node->c, out) : (*out = (mr_value){ 0 }, MR_OK);
    default: return mr_render_fail(r, node, "no expression");
    }
}

static mr_status evaluate(mr_render *r, const mr_node *node, mr_value *out)
{
    if (++r->depth > MAX_DEPTH) return mr_render_fail(r, node, "nested too deep");
    mr_status status = evaluate_node(r, node, out);
    r->depth--;
    return status;
}

/* ---------------------------------------------------------------- statements */

/* `loop` inside a loop. */
static mr_status set_loop(mr_render *r, const mr_node *node, json_t *items, size_t i)
{
    size_t count = json_array_size(items);
    mr_value loop;
    MR_TRY(mr_render_keep(r, node, json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I}", "first", i == 0, "last", i + 1 == count, "index", (json_int_t)i + 1, "index0", (json_int_t)i,
                                             "revindex", (json_int_t)(count - i), "revindex0", (json_int_t)(count - i - 1), "length", (json_int_t)count), &loop));
    r->bytes += 512;
    if (i > 0) json_object_set(loop.json, "previtem", json_array_get(items, i - 1));
    if (i + 1 < count) json_object_set(loop.json, "nextitem", json_array_get(items, i + 1));
    return set_variable(r, node, MR_STR("loop"), loop);
}

static mr_status set_items(mr_render *r, const mr_node *node, json_t *item)
{
    if (!node->second.data) return set_variable(r, node, node->text, mr_value_of(item));
    if (!json_is_array(item) || json_array_size(item) != 2) return mr_render_fail(r, node, "a loop with two names over items that are no pairs");
    MR_TRY(set_variable(r, node, node->text, mr_value_of(json_array_get(item, 0))));
    return set_variable(r, node, node->second, mr_value_of(json_array_get(item, 1)));
}

/* The items for which the loop's condition holds. */
static mr_status filter_items(mr_render *r, const mr_node *node, json_t **items)
{
    mr_value kept, holds;
    MR_TRY(mr_render_keep(r, node, json_array(), &kept));
    for (size_t i = 0; i < json_array_size(*items); i++) {
        MR_TRY(set_items(r, node, json_array_get(*items, i)));
        MR_TRY(evaluate(r, node->b, &holds));
        if (mr_value_true(holds)) json_array_append(kept.json, json_array_get(*items, i));
    }
    *items = kept.json;
    return MR_OK;
}

static mr_status run_items(mr_render *r, const mr_node *node, json_t *items)
{
    outcome flow = GOES_ON;
    if (node->b) MR_TRY(filter_items(r, node, &items));
    for (size_t i = 0; i < json_array_size(items) && flow != BREAKS; i++) {
        while (r->count && r->variables[r->count - 1].frame == r->frame) r->count--; /* what a round sets the next does not see */
        MR_TRY(set_loop(r, node, items, i));
        MR_TRY(set_items(r, node, json_array_get(items, i)));
        flow = GOES_ON;
        MR_TRY(run_block(r, node->first, &flow));
    }
    if (json_array_size(items) || !node->c) return MR_OK;
    flow = GOES_ON;
    return run_block(r, node->c->first, &flow);
}

static mr_status run_for(mr_render *r, const mr_node *node)
{
    mr_value over;
    json_t *items;
    MR_TRY(evaluate(r, node->a, &over));
    MR_TRY(mr_value_items(r, node, over, &items));
    r->frame++;
    mr_status status = run_items(r, node, items);
    leave_frame(r);
    return status;
}

static mr_status run_if(mr_render *r, const mr_node *node, outcome *flow)
{
    for (; node && node->type == MR_NODE_IF; node = node->c) {
        mr_value condition;
        MR_TRY(evaluate(r, node->a, &condition));
        if (mr_value_true(condition)) return run_block(r, node->b->first, flow);
    }
    return node ? run_block(r, node->first, flow) : MR_OK;
}

/* A name each for the items. */
static mr_status set_names(mr_render *r, const mr_node *node, mr_value value)
{
    json_t *items;
    size_t i = 1, names = 1;
    MR_TRY(mr_value_items(r, node, value, &items));
    for (const mr_node *name = node->first; name; name = name->next) names++;
    if (json_array_size(items) != names) return mr_render_fail(r, node, "%zu names are set to %zu items", names, json_array_size(items));
    MR_TRY(set_variable(r, node, node->text, mr_value_of(json_array_get(items, 0))));
    for (const mr_node *name = node->first; name; name = name->next) MR_TRY(set_variable(r, node, name->text, mr_value_of(json_array_get(items, i++))));
    return MR_OK;
}

static mr_status run_set_member(mr_render *r, const mr_node *node, mr_value value)
{
    mr_value of = get_variable(r, node->text);
    if (of.kind != MR_VALUE_NAMESPACE) return mr_render_fail(r, node, "a member of something that is no namespace is set");
    if (value.kind != MR_VALUE_JSON || value.safe) return mr_render_fail(r, node, "a member of a namespace is set to an undefined value, a function or a safe text");
    json_object_setn_new(of.json, node->second.data, node->second.length, json_incref(value.json));
    return MR_OK;
}

static mr_status run_statement(mr_render *r, const mr_node *node, outcome *flow)
{
    mr_value value;
    switch (node->type) {
    case MR_NODE_BLOCK: return run_block(r, node->first, flow);
    case MR_NODE_TEXT:
        return mr_buf_append(r->out, node->text.data, node->text.length) ? MR_OK : mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    case MR_NODE_OUTPUT:
        MR_TRY(evaluate(r, node->a, &value));
        return mr_value_print(r, node, value, r->out);
    case MR_NODE_IF: return run_if(r, node, flow);
    case MR_NODE_FOR: return run_for(r, node);
    case MR_NODE_SET:
        MR_TRY(evaluate(r, node->a, &value));
        return node->first ? set_names(r, node, value) : set_variable(r, node, node->text, value);
    case MR_NODE_SET_ATTR:
        MR_TRY(evaluate(r, node->a, &value));
        return run_set_member(r, node, value);
    case MR_NODE_MACRO: return set_variable(r, node, node->text, (mr_value){ .kind = MR_VALUE_CALLABLE, .macro = node });
    case MR_NODE_BREAK: return *flow = BREAKS, MR_OK;
    case MR_NODE_CONTINUE: return *flow = CONTINUES, MR_OK;
    default: return mr_render_fail(r, node, "no statement");
    }
}

static mr_status run_block(mr_render *r, const mr_node *first, outcome *flow)
{
    mr_value counted;
    if (++r->depth > MAX_DEPTH) return mr_render_fail(r, first, "nested too deep");
    for (const mr_node *node = first; node && *flow == GOES_ON; node = node->next) {
        if (r->out->length > MAX_OUTPUT) return mr_render_fail(r, node, "the text grows beyond 64 MiB");
        if (node->type == MR_NODE_TEXT) MR_TRY(mr_render_keep(r, node, json_null(), &counted));
        MR_TRY(run_statement(r, node, flow));
    }
    r->depth--;
    return MR_OK;
}

/* ---------------------------------------------------------------- the whole */

#define MAX_SOURCE ((size_t)256 << 10) /* the longest published template has 30 kB */

/* Line ends become LF; one at the very end is dropped. */
static void copy_source(mr_str source, mr_chat_template *made)
{
    for (size_t i = 0; i < source.length; i++) {
        if (source.data[i] == '\r' && i + 1 < source.length && source.data[i + 1] == '\n') continue;
        made->source[made->length++] = source.data[i] == '\r' ? '\n' : source.data[i];
    }
    if (made->length && made->source[made->length - 1] == '\n') made->length--;
    made->source[made->length] = '\0';
}

mr_status mr_chat_template_open(mr_str source, const char *where, mr_chat_template **out, mr_error *error)
{
    if (source.length > MAX_SOURCE) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: a template of more than %zu bytes", where, MAX_SOURCE);
    size_t valid = mr_utf8_check(source.data, source.length);
    if (valid < source.length) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: the template is ill-formed UTF-8 at byte %zu", where, valid);
    mr_chat_template *made = calloc(1, sizeof *made);
    mr_status status = MR_OUT_OF_MEMORY;
    if (made) {
        made->source = malloc(source.length + 1);
        made->where = mr_strdup(where);
    }
    if (made && made->source && made->where) {
        copy_source(source, made);
        status = mr_template_parse(made, error);
    } else {
        mr_error_set(error, status, "%s: out of memory", where);
    }
    if (status == MR_OK) *out = made;
    else mr_chat_template_close(made);
    return status;
}

void mr_chat_template_close(mr_chat_template *made)
{
    if (!made) return;
    mr_template_free_nodes(made);
    free(made->source);
    free(made->where);
    free(made);
}

mr_status mr_chat_template_render(const mr_chat_template *made, json_t *variables, mr_buf *out, mr_error *error)
{
    mr_buf text = { 0 };
    mr_render r = { .made = made, .input = variables, .values = json_array(), .out = &text, .error = error };
    outcome flow = GOES_ON;
    mr_status status = r.values ? run_block(&r, made->root->first, &flow) : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", made->where);
    if (status == MR_OK && !mr_buf_append(out, text.data, text.length)) status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", made->where);
    free(r.variables);
    json_decref(r.values);
    mr_buf_fini(&text);
    return status;
}

/* x.content, x['content'] or content, through filters. */
static bool is_content(const mr_node *node)
{
    while (node->type == MR_NODE_FILTER) node = node->a;
    if (node->type == MR_NODE_ATTR || node->type == MR_NODE_NAME) return mr_str_equal(node->text, MR_STR("content"));
    return node->type == MR_NODE_ITEM && json_is_string(node->b->literal) && strcmp(json_string_value(node->b->literal), "content") == 0;
}

bool mr_chat_template_wants_parts(const mr_chat_template *made)
{
    bool chosen = false;
    for (const mr_node *node = made->allocated; node; node = node->allocated) {
        if ((node->type != MR_NODE_FILTER && node->type != MR_NODE_TEST) || !is_content(node->a)) continue;
        if (node->type == MR_NODE_TEST && mr_str_equal(node->text, MR_STR("string"))) return false; /* it has a way for texts */
        const json_t *by = node->first ? node->first->literal : NULL;
        chosen = chosen || (mr_str_equal(node->text, MR_STR("selectattr")) && json_is_string(by) && strcmp(json_string_value(by), "type") == 0);
    }
    return chosen;
}
