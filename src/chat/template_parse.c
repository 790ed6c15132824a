#include "chat/template_lexer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 100 /* of nested expressions and statements */

typedef struct parser {
    mr_lexer lexer;
    mr_chat_template *made;
    size_t depth, loops; /* of expressions and blocks */
    mr_error *error;
} parser;

/* ---------------------------------------------------------------- tokens and nodes */

static mr_status next(parser *p)
{
    return mr_lexer_next(&p->lexer);
}

static bool sign(const parser *p, const char *text)
{
    return mr_lexer_is(&p->lexer, MR_TOKEN_SIGN, text);
}

static bool word(const parser *p, const char *text)
{
    return mr_lexer_is(&p->lexer, MR_TOKEN_NAME, text);
}

static mr_status unexpected(const parser *p)
{
    return mr_lexer_unexpected(&p->lexer);
}

static mr_status unsupported(const parser *p, const char *what, mr_str name)
{
    return mr_lexer_refuse(&p->lexer, MR_MODEL_UNSUPPORTED, what, name); /* "where:line: the filter "x"" */
}

static mr_status expect(parser *p, const char *text)
{
    return sign(p, text) ? next(p) : unexpected(p);
}

/* A name, taken. */
static mr_status expect_name(parser *p, mr_str *out)
{
    if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
    *out = p->lexer.now.text;
    return next(p);
}

static mr_status make(parser *p, mr_node_type type, mr_node **out)
{
    *out = mr_template_add_node(p->made, type, p->lexer.now.at);
    return *out ? MR_OK : mr_error_set(p->error, MR_OUT_OF_MEMORY, "%s: out of memory", p->made->where);
}

static mr_status make_literal(parser *p, json_t *literal, mr_node **out)
{
    if (!literal) return mr_error_set(p->error, MR_OUT_OF_MEMORY, "%s: out of memory", p->made->where);
    mr_status status = make(p, MR_NODE_LITERAL, out);
    if (status == MR_OK) (*out)->literal = literal;
    else json_decref(literal);
    return status;
}

/* Adjacent strings are one. */
static mr_status parse_string(parser *p, mr_node **out)
{
    mr_buf text = { 0 };
    mr_status status = MR_OK;
    while (status == MR_OK && p->lexer.now.type == MR_TOKEN_STRING) {
        if (!mr_lexer_unescape(p->lexer.now.text, &text)) status = unsupported(p, "an escape in this string:", p->lexer.now.text);
        else status = next(p);
    }
    if (status == MR_OK) status = make_literal(p, json_stringn(text.data ? text.data : "", text.length), out);
    mr_buf_fini(&text);
    return status;
}

static mr_status parse_number(parser *p, mr_node **out)
{
    char digits[64], *end;
    mr_str text = p->lexer.now.text;
    if (text.length >= sizeof digits) return unsupported(p, "a number:", text);
    memcpy(digits, text.data, text.length);
    digits[text.length] = '\0';
    bool real = strpbrk(digits, ".eE") != NULL;
    errno = 0;
    json_t *literal = real ? json_real(strtod(digits, &end)) : json_integer(strtoll(digits, &end, 10));
    if (*end || errno) return json_decref(literal), unsupported(p, "a number:", text);
    MR_TRY(make_literal(p, literal, out));
    return next(p);
}

/* ---------------------------------------------------------------- expressions */

static mr_status parse_expression(parser *p, mr_node **out);
static mr_status parse_unary(parser *p, mr_node **out);

static void append_node(mr_node ***tail, mr_node *node)
{
    **tail = node;
    *tail = &node->next;
}

/* Arguments in their brackets; a keyword argument is a PARAMETER. */
static mr_status parse_arguments(parser *p, mr_node **first)
{
    mr_node **tail = first;
    MR_TRY(expect(p, "("));
    while (!sign(p, ")")) {
        mr_node *node = NULL, *value = NULL;
        MR_TRY(parse_expression(p, &value));
        if (value->type == MR_NODE_NAME && sign(p, "=")) {
            MR_TRY(next(p));
            MR_TRY(make(p, MR_NODE_PARAMETER, &node));
            node->text = value->text;
            MR_TRY(parse_expression(p, &node->a));
            value = node;
        }
        append_node(&tail, value);
        if (!sign(p, ",")) break;
        MR_TRY(next(p));
    }
    return expect(p, ")");
}

static mr_status parse_items(parser *p, const char *close, bool pairs, mr_node **first)
{
    mr_node **tail = first, *value = NULL;
    while (!sign(p, close)) {
        MR_TRY(parse_expression(p, &value));
        append_node(&tail, value);
        if (pairs) {
            MR_TRY(expect(p, ":"));
            MR_TRY(parse_expression(p, &value));
            append_node(&tail, value);
        }
        if (!sign(p, ",")) break;
        MR_TRY(next(p));
    }
    return expect(p, close);
}

/* An expression, or several with commas, which are a list. */
static mr_status parse_tuple(parser *p, mr_node **out)
{
    mr_node **tail, *item = NULL;
    MR_TRY(parse_expression(p, &item));
    if (!sign(p, ",")) return *out = item, MR_OK;
    MR_TRY(make(p, MR_NODE_LIST, out));
    tail = &(*out)->first;
    append_node(&tail, item);
    while (sign(p, ",")) {
        MR_TRY(next(p));
        if (sign(p, ")") || p->lexer.now.type == MR_TOKEN_TAG_END) break; /* a comma may come last */
        MR_TRY(parse_expression(p, &item));
        append_node(&tail, item);
    }
    return MR_OK;
}

static mr_status parse_name(parser *p, mr_node **out)
{
    static const struct {
        const char *name;
        int kind;
    } constants[] = { { "true", 1 }, { "True", 1 }, { "false", 0 }, { "False", 0 }, { "none", 2 }, { "None", 2 } };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (!word(p, constants[i].name)) continue;
        MR_TRY(next(p));
        return make_literal(p, constants[i].kind == 2 ? json_null() : json_boolean(constants[i].kind), out);
    }
    MR_TRY(make(p, MR_NODE_NAME, out));
    (*out)->text = p->lexer.now.text;
    return next(p);
}

static mr_status parse_primary(parser *p, mr_node **out)
{
    if (p->lexer.now.type == MR_TOKEN_STRING) return parse_string(p, out);
    if (p->lexer.now.type == MR_TOKEN_NUMBER) return parse_number(p, out);
    if (p->lexer.now.type == MR_TOKEN_NAME) return parse_name(p, out);
    if (sign(p, "(")) {
        MR_TRY(next(p));
        if (sign(p, ")")) MR_TRY(make(p, MR_NODE_LIST, out));
        else MR_TRY(parse_tuple(p, out));
        return expect(p, ")");
    }
    if (sign(p, "[") || sign(p, "{")) {
        bool list = sign(p, "[");
        MR_TRY(make(p, list ? MR_NODE_LIST : MR_NODE_DICT, out));
        MR_TRY(next(p));
        return parse_items(p, list ? "]" : "}", !list, &(*out)->first);
    }
    return unexpected(p);
}

/* [i] or [from:to:step] */
static mr_status parse_subscript(parser *p, mr_node *of, mr_node **out)
{
    mr_node *parts[3] = { 0 };
    size_t count = 0;
    bool colon = false;
    MR_TRY(next(p));
    while (!sign(p, "]")) {
        if (sign(p, ":")) {
            colon = true;
            if (++count > 2) return unexpected(p);
            MR_TRY(next(p));
        } else {
            if (parts[count]) return unexpected(p);
            MR_TRY(parse_expression(p, &parts[count]));
        }
    }
    if (!colon && !parts[0]) return unexpected(p);
    MR_TRY(make(p, colon ? MR_NODE_SLICE : MR_NODE_ITEM, out));
    (*out)->a = of;
    (*out)->b = parts[0];
    if (colon) {
        mr_node **tail = &(*out)->first;
        for (size_t i = 0; i < 3; i++) {
            if (!parts[i]) MR_TRY(make_literal(p, json_null(), &parts[i]));
            append_node(&tail, parts[i]);
        }
    }
    return expect(p, "]");
}

/* .name, .name(...), [...], (...) behind a value */
static mr_status parse_postfix(parser *p, mr_node **out)
{
    mr_node *node = NULL;
    for (;;) {
        if (sign(p, ".")) {
            MR_TRY(next(p));
            if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
            mr_str name = p->lexer.now.text;
            MR_TRY(make(p, MR_NODE_ATTR, &node));
            node->a = *out;
            node->text = name;
            MR_TRY(next(p));
            if (sign(p, "(")) {
                if (!mr_template_method_exists(name)) return unsupported(p, "the method", name);
                node->type = MR_NODE_METHOD;
                MR_TRY(parse_arguments(p, &node->first));
            }
        } else if (sign(p, "[")) {
            MR_TRY(parse_subscript(p, *out, &node));
        } else if (sign(p, "(")) {
            if ((*out)->type != MR_NODE_NAME) return unsupported(p, "a call of something that is no name", (mr_str){ 0 });
            MR_TRY(make(p, MR_NODE_CALL, &node));
            node->text = (*out)->text;
            MR_TRY(parse_arguments(p, &node->first));
        } else {
            return MR_OK;
        }
        *out = node;
    }
}

/* The one argument a test may have without brackets. */
static bool argument_follows(const parser *p)
{
    static const char *const others[] = { "and", "or", "not", "in", "is", "if", "else", NULL };
    for (size_t i = 0; others[i]; i++)
        if (word(p, others[i])) return false;
    return p->lexer.now.type == MR_TOKEN_NAME || p->lexer.now.type == MR_TOKEN_STRING || p->lexer.now.type == MR_TOKEN_NUMBER || sign(p, "[") || sign(p, "{");
}

static mr_status parse_test(parser *p, mr_node **out)
{
    mr_node *node = NULL, *negated = NULL;
    MR_TRY(next(p));
    bool not = word(p, "not");
    if (not) MR_TRY(next(p));
    if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
    if (!mr_template_test_exists(p->lexer.now.text)) return unsupported(p, "the test", p->lexer.now.text);
    MR_TRY(make(p, MR_NODE_TEST, &node));
    node->a = *out;
    node->text = p->lexer.now.text;
    MR_TRY(next(p));
    if (sign(p, "(")) {
        MR_TRY(parse_arguments(p, &node->first));
    } else if (argument_follows(p)) {
        MR_TRY(parse_primary(p, &node->first));
        MR_TRY(parse_postfix(p, &node->first));
    }
    *out = node;
    if (!not) return MR_OK;
    MR_TRY(make(p, MR_NODE_NOT, &negated));
    negated->a = node;
    *out = negated;
    return MR_OK;
}

/* The name of a filter, with its arguments, for *out. */
static mr_status parse_filter(parser *p, mr_node **out)
{
    mr_node *node = NULL;
    MR_TRY(next(p));
    if (p->lexer.now.type == MR_TOKEN_NAME && !mr_template_filter_exists(p->lexer.now.text)) return unsupported(p, "the filter", p->lexer.now.text);
    MR_TRY(make(p, MR_NODE_FILTER, &node));
    node->a = *out;
    MR_TRY(expect_name(p, &node->text));
    if (sign(p, "(")) MR_TRY(parse_arguments(p, &node->first));
    return *out = node, MR_OK;
}

/* | filter(...) and `is` tests */
static mr_status parse_filters(parser *p, mr_node **out)
{
    for (;;) {
        if (word(p, "is")) MR_TRY(parse_test(p, out));
        else if (sign(p, "|")) MR_TRY(parse_filter(p, out));
        else return MR_OK;
    }
}

static mr_status parse_unary(parser *p, mr_node **out)
{
    if (sign(p, "-") || sign(p, "+")) {
        bool negative = sign(p, "-");
        if (++p->depth > MAX_DEPTH) return unsupported(p, "an expression nested too deep", (mr_str){ 0 });
        MR_TRY(next(p));
        mr_node *inner = NULL;
        MR_TRY(parse_unary(p, &inner));
        p->depth--;
        if (!negative) return *out = inner, MR_OK;
        MR_TRY(make(p, MR_NODE_NEGATE, out));
        (*out)->a = inner;
        return MR_OK;
    }
    MR_TRY(parse_primary(p, out));
    MR_TRY(parse_postfix(p, out));
    if (sign(p, "**")) return unsupported(p, "the operator", p->lexer.now.text);
    return parse_filters(p, out);
}

typedef struct operator {
    const char *text;
    mr_node_op op;
} operator;

/* Left-associative operators by level, loosest first. */
static const operator levels[3][5] = {
    { { "+", MR_OP_ADD }, { "-", MR_OP_SUBTRACT } },
    { { "~", MR_OP_CONCATENATE } },
    { { "*", MR_OP_MULTIPLY }, { "/", MR_OP_DIVIDE }, { "//", MR_OP_FLOOR_DIVIDE }, { "%", MR_OP_MODULO } },
};

static mr_status parse_level(parser *p, size_t level, mr_node **out)
{
    if (level == 3) return parse_unary(p, out);
    MR_TRY(parse_level(p, level + 1, out));
    for (;;) {
        const operator *found = NULL;
        for (const operator *o = levels[level]; o->text; o++)
            if (sign(p, o->text)) found = o;
        if (!found) return MR_OK;
        mr_node *node = NULL;
        MR_TRY(make(p, MR_NODE_BINARY, &node));
        node->op = found->op;
        node->a = *out;
        MR_TRY(next(p));
        MR_TRY(parse_level(p, level + 1, &node->b));
        *out = node;
    }
}

static bool find_comparison(parser *p, mr_node_op *op, mr_status *status)
{
    static const operator signs[] = { { "==", MR_OP_EQUAL }, { "!=", MR_OP_NOT_EQUAL }, { "<", MR_OP_LESS }, { "<=", MR_OP_LESS_EQUAL }, { ">", MR_OP_GREATER }, { ">=", MR_OP_GREATER_EQUAL } };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (sign(p, signs[i].text)) return *op = signs[i].op, *status = next(p), true;
    if (word(p, "in")) return *op = MR_OP_IN, *status = next(p), true;
    if (!word(p, "not")) return false;
    parser before = *p;
    *status = next(p);
    if (*status == MR_OK && word(p, "in")) return *op = MR_OP_NOT_IN, *status = next(p), true;
    *p = before;
    *status = MR_OK;
    return false;
}

static mr_status parse_comparison(parser *p, mr_node **out)
{
    mr_status status = MR_OK;
    mr_node_op op;
    MR_TRY(parse_level(p, 0, out));
    for (bool again = false; find_comparison(p, &op, &status); again = true) {
        mr_node *node = NULL;
        MR_TRY(status);
        if (again) return unsupported(p, "a chain of comparisons", (mr_str){ 0 });
        MR_TRY(make(p, MR_NODE_BINARY, &node));
        node->op = op;
        node->a = *out;
        MR_TRY(parse_level(p, 0, &node->b));
        *out = node;
    }
    return status;
}

static mr_status parse_not(parser *p, mr_node **out)
{
    size_t count = 0;
    for (; word(p, "not"); count++) MR_TRY(next(p));
    MR_TRY(parse_comparison(p, out));
    if (count > 1) return unsupported(p, "not, twice", (mr_str){ 0 });
    if (count == 0) return MR_OK;
    mr_node *inner = *out;
    MR_TRY(make(p, MR_NODE_NOT, out));
    (*out)->a = inner;
    return MR_OK;
}

static mr_status parse_logic(parser *p, bool or, mr_node **out)
{
    MR_TRY(or ? parse_logic(p, false, out) : parse_not(p, out));
    while (word(p, or ? "or" : "and")) {
        mr_node *node = NULL;
        MR_TRY(make(p, or ? MR_NODE_OR : MR_NODE_AND, &node));
        node->a = *out;
        MR_TRY(next(p));
        MR_TRY(or ? parse_logic(p, false, &node->b) : parse_not(p, &node->b));
        *out = node;
    }
    return MR_OK;
}

static mr_status parse_expression(parser *p, mr_node **out)
{
    if (++p->depth > MAX_DEPTH) return unsupported(p, "an expression nested too deep", (mr_str){ 0 });
    MR_TRY(parse_logic(p, true, out));
    if (word(p, "if")) {
        mr_node *node = NULL;
        MR_TRY(make(p, MR_NODE_CHOICE, &node));
        node->a = *out;
        MR_TRY(next(p));
        MR_TRY(parse_logic(p, true, &node->b));
        if (word(p, "else")) {
            MR_TRY(next(p));
            MR_TRY(parse_expression(p, &node->c));
        }
        *out = node;
    }
    p->depth--;
    return MR_OK;
}

/* ---------------------------------------------------------------- text and tags */

/* The text up to the next tag, as white space control leaves it; *tag: '%', '{', '#', or 0 at the end. The parser then
 * stands behind the tag's opening. */
static mr_status parse_text(parser *p, mr_node ***tail, char *tag)
{
    size_t from = p->lexer.at, end = from;
    while (end + 1 < p->lexer.length && !(p->lexer.source[end] == '{' && strchr("%{#", p->lexer.source[end + 1]) && p->lexer.source[end + 1])) end++;
    bool found = end + 1 < p->lexer.length;
    if (!found) end = p->lexer.length;
    char control = found && end + 2 < p->lexer.length ? p->lexer.source[end + 2] : 0;
    size_t stop = end;
    *tag = found ? p->lexer.source[end + 1] : 0;
    if (control == '-') {
        while (stop > from && isspace((unsigned char)p->lexer.source[stop - 1])) stop--;
    } else if (found && *tag != '{' && control != '+') {
        size_t blank = stop;
        while (blank > from && (p->lexer.source[blank - 1] == ' ' || p->lexer.source[blank - 1] == '\t')) blank--;
        if (blank == 0 || p->lexer.source[blank - 1] == '\n') stop = blank;
    }
    if (stop > from) {
        mr_node *node = NULL;
        p->lexer.now.at = from;
        MR_TRY(make(p, MR_NODE_TEXT, &node));
        node->text = (mr_str){ p->lexer.source + from, stop - from };
        append_node(tail, node);
    }
    p->lexer.at = found ? end + 2 + (control == '-' || (control == '+' && *tag != '{')) : p->lexer.length;
    return MR_OK;
}

/* Behind a tag: "-" takes all white space, the end of a statement or comment one line end. */
static void skip_behind(parser *p, char control, bool output)
{
    if (control == '-') while (p->lexer.at < p->lexer.length && isspace((unsigned char)p->lexer.source[p->lexer.at])) p->lexer.at++;
    else if (!output && control != '+' && p->lexer.at < p->lexer.length && p->lexer.source[p->lexer.at] == '\n') p->lexer.at++;
}

static mr_status end_tag(parser *p, bool output)
{
    size_t length = p->lexer.now.text.length;
    if (p->lexer.now.type != MR_TOKEN_TAG_END || (p->lexer.now.text.data[length - 2] == '}') != output) return unexpected(p);
    skip_behind(p, p->lexer.now.text.data[0], output);
    return MR_OK;
}

static mr_status skip_comment(parser *p)
{
    while (p->lexer.at + 1 < p->lexer.length && !(p->lexer.source[p->lexer.at] == '#' && p->lexer.source[p->lexer.at + 1] == '}')) p->lexer.at++;
    if (p->lexer.at + 1 >= p->lexer.length) return mr_lexer_refuse(&p->lexer, MR_MODEL_CORRUPT, "a comment has no end", (mr_str){ 0 });
    char control = p->lexer.source[p->lexer.at - 1];
    p->lexer.at += 2;
    skip_behind(p, control, false);
    return MR_OK;
}

/* ---------------------------------------------------------------- statements */

static mr_status parse_block(parser *p, const char *const *ends, mr_node **out);
#define ENDS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* Behind the name of a tag that has nothing else. */
static mr_status bare_tag(parser *p)
{
    MR_TRY(next(p));
    return end_tag(p, false);
}

static mr_status parse_if(parser *p, mr_node **out)
{
    MR_TRY(make(p, MR_NODE_IF, out));
    MR_TRY(next(p));
    MR_TRY(parse_expression(p, &(*out)->a));
    MR_TRY(end_tag(p, false));
    MR_TRY(parse_block(p, ENDS("elif", "else", "endif"), &(*out)->b));
    mr_node *last = *out;
    while (word(p, "elif")) {
        mr_node *node = NULL;
        MR_TRY(make(p, MR_NODE_IF, &node));
        MR_TRY(next(p));
        MR_TRY(parse_expression(p, &node->a));
        MR_TRY(end_tag(p, false));
        MR_TRY(parse_block(p, ENDS("elif", "else", "endif"), &node->b));
        last->c = node;
        last = node;
    }
    if (word(p, "else")) {
        MR_TRY(bare_tag(p));
        MR_TRY(parse_block(p, ENDS("endif"), &last->c));
    }
    return bare_tag(p);
}

static mr_status parse_for(parser *p, mr_node **out)
{
    mr_node *body = NULL;
    MR_TRY(make(p, MR_NODE_FOR, out));
    MR_TRY(next(p));
    MR_TRY(expect_name(p, &(*out)->text));
    if (sign(p, ",")) {
        MR_TRY(next(p));
        MR_TRY(expect_name(p, &(*out)->second));
    }
    if (!word(p, "in")) return unexpected(p);
    MR_TRY(next(p));
    MR_TRY(parse_logic(p, true, &(*out)->a));
    if (word(p, "if")) {
        MR_TRY(next(p));
        MR_TRY(parse_expression(p, &(*out)->b));
    }
    if (word(p, "recursive")) return unsupported(p, "a loop that is", p->lexer.now.text);
    MR_TRY(end_tag(p, false));
    p->loops++;
    MR_TRY(parse_block(p, ENDS("else", "endfor"), &body));
    p->loops--;
    (*out)->first = body->first;
    if (word(p, "else")) {
        MR_TRY(bare_tag(p));
        MR_TRY(parse_block(p, ENDS("endfor"), &(*out)->c));
    }
    return bare_tag(p);
}

/* The rest of a tag: filters for the text that comes behind it, up to `end`; all of that is *out. */
static mr_status parse_capture(parser *p, const char *end, mr_node **out)
{
    mr_node *text = NULL, *body = NULL;
    size_t loops = p->loops;
    MR_TRY(make(p, MR_NODE_CAPTURE, &text));
    *out = text;
    while (sign(p, "|") || word(p, "filter")) MR_TRY(parse_filter(p, out));
    MR_TRY(end_tag(p, false));
    p->loops = 0;
    MR_TRY(parse_block(p, ENDS(end), &body));
    p->loops = loops;
    text->first = body->first;
    return bare_tag(p);
}

/* set a = x; set a.b = x; set a, b = x; set a ... endset, with filters before the text. */
static mr_status parse_set(parser *p, mr_node **out)
{
    mr_node **tail;
    MR_TRY(make(p, MR_NODE_SET, out));
    MR_TRY(next(p));
    MR_TRY(expect_name(p, &(*out)->text));
    if (sign(p, ".")) {
        (*out)->type = MR_NODE_SET_ATTR;
        MR_TRY(next(p));
        MR_TRY(expect_name(p, &(*out)->second));
    }
    tail = &(*out)->first;
    while (sign(p, ",") && (*out)->type == MR_NODE_SET) {
        mr_node *name = NULL;
        MR_TRY(next(p));
        MR_TRY(make(p, MR_NODE_NAME, &name));
        MR_TRY(expect_name(p, &name->text));
        append_node(&tail, name);
    }
    if (sign(p, "=")) {
        MR_TRY(next(p));
        MR_TRY(parse_tuple(p, &(*out)->a));
        return end_tag(p, false);
    }
    return (*out)->first ? unexpected(p) : parse_capture(p, "endset", &(*out)->a);
}

static mr_status parse_macro(parser *p, mr_node **out)
{
    mr_node **tail, *body = NULL;
    size_t loops = p->loops;
    MR_TRY(make(p, MR_NODE_MACRO, out));
    MR_TRY(next(p));
    if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
    (*out)->text = p->lexer.now.text;
    (*out)->b = p->made->macros;
    p->made->macros = *out;
    MR_TRY(next(p));
    MR_TRY(expect(p, "("));
    for (tail = &(*out)->a; !sign(p, ")");) {
        mr_node *parameter = NULL;
        if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
        MR_TRY(make(p, MR_NODE_PARAMETER, &parameter));
        parameter->text = p->lexer.now.text;
        MR_TRY(next(p));
        if (sign(p, "=")) {
            MR_TRY(next(p));
            MR_TRY(parse_expression(p, &parameter->a));
        }
        append_node(&tail, parameter);
        if (!sign(p, ",")) break;
        MR_TRY(next(p));
    }
    MR_TRY(expect(p, ")"));
    MR_TRY(end_tag(p, false));
    p->loops = 0;
    MR_TRY(parse_block(p, ENDS("endmacro"), &body));
    p->loops = loops;
    (*out)->first = body->first;
    return bare_tag(p);
}

static mr_status parse_statement(parser *p, mr_node **out)
{
    if (word(p, "if")) return parse_if(p, out);
    if (word(p, "for")) return parse_for(p, out);
    if (word(p, "set")) return parse_set(p, out);
    if (word(p, "macro")) return parse_macro(p, out);
    if (word(p, "filter")) {
        MR_TRY(make(p, MR_NODE_OUTPUT, out));
        return parse_capture(p, "endfilter", &(*out)->a);
    }
    if (word(p, "generation")) {
        MR_TRY(bare_tag(p));
        MR_TRY(parse_block(p, ENDS("endgeneration"), out));
        return bare_tag(p);
    }
    if (word(p, "break") || word(p, "continue")) {
        if (!p->loops) return unexpected(p);
        MR_TRY(make(p, word(p, "break") ? MR_NODE_BREAK : MR_NODE_CONTINUE, out));
        return bare_tag(p);
    }
    return unsupported(p, "the statement", p->lexer.now.text);
}

/* Statements up to one of `ends`, which is then the token; NULL: up to the end of the source. */
static mr_status parse_block(parser *p, const char *const *ends, mr_node **out)
{
    mr_node **tail, *node = NULL;
    if (++p->depth > MAX_DEPTH) return unsupported(p, "statements nested too deep", (mr_str){ 0 });
    MR_TRY(make(p, MR_NODE_BLOCK, out));
    tail = &(*out)->first;
    for (;;) {
        char tag;
        MR_TRY(parse_text(p, &tail, &tag));
        if (!tag) break;
        if (tag == '#') {
            MR_TRY(skip_comment(p));
            continue;
        }
        MR_TRY(next(p));
        if (tag == '{') {
            MR_TRY(make(p, MR_NODE_OUTPUT, &node));
            MR_TRY(parse_expression(p, &node->a));
            MR_TRY(end_tag(p, true));
        } else {
            if (p->lexer.now.type != MR_TOKEN_NAME) return unexpected(p);
            for (size_t i = 0; ends && ends[i]; i++)
                if (word(p, ends[i])) return p->depth--, MR_OK;
            MR_TRY(parse_statement(p, &node));
        }
        append_node(&tail, node);
    }
    p->depth--;
    return ends ? mr_lexer_refuse(&p->lexer, MR_MODEL_CORRUPT, "the template ends before", mr_str_of(ends[0])) : MR_OK;
}

/* A call is of a macro of the template or of a function known here. */
static mr_status check_calls(const mr_chat_template *made, mr_error *error)
{
    for (const mr_node *node = made->allocated; node; node = node->allocated) {
        bool known = node->type != MR_NODE_CALL || mr_template_function_exists(node->text);
        for (const mr_node *macro = made->macros; macro && !known; macro = macro->b) known = mr_str_equal(macro->text, node->text);
        if (known) continue;
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s:%u: the function \"%.*s\"", made->where, mr_template_line(made, node->at),
                            (int)(node->text.length < 64 ? node->text.length : 64), node->text.data);
    }
    return MR_OK;
}

mr_status mr_template_parse(mr_chat_template *made, mr_error *error)
{
    parser p = { .lexer = { .made = made, .source = made->source, .length = made->length, .error = error }, .made = made, .error = error };
    MR_TRY(parse_block(&p, NULL, &made->root));
    return check_calls(made, error);
}
