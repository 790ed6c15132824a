/* Values while a template runs: JSON with Python's manners, and what only templates have. */
#ifndef MR_CHAT_TEMPLATE_VALUE_H
#define MR_CHAT_TEMPLATE_VALUE_H

#include "chat/template_node.h"

typedef enum mr_value_kind { MR_VALUE_UNDEFINED, MR_VALUE_JSON, MR_VALUE_NAMESPACE, MR_VALUE_CALLABLE } mr_value_kind;

typedef struct mr_value {
    mr_value_kind kind;
    json_t *json;         /* borrowed: lives as long as the rendering; NAMESPACE: its members */
    const mr_node *macro; /* CALLABLE: NULL for a function */
    bool safe; /* a text that went through `safe`: what is added to it is escaped */
} mr_value;

typedef struct mr_variable {
    mr_str name;
    mr_value value;
    size_t frame; /* which scope it belongs to */
} mr_variable;

/* One rendering. */
typedef struct mr_render {
    const mr_chat_template *made;
    json_t *input;  /* the caller's variables */
    json_t *values; /* everything made on the way: owns it */
    mr_variable *variables; /* [count] a stack */
    size_t count, capacity;
    size_t frame, base; /* the innermost scope; the outermost one a macro sees besides 0 */
    size_t steps, bytes, depth;
    mr_buf *out;
    mr_error *error;
} mr_render;

/* BAD_RECORD "where:line: ...". */
mr_status mr_render_fail(mr_render *r, const mr_node *node, const char *format, ...) MR_PRINTF(3, 4);
/* Takes over `json`; fails when it is NULL (out of memory) or the limits are reached. */
mr_status mr_render_keep(mr_render *r, const mr_node *node, json_t *json, mr_value *out);
mr_status mr_render_keep_text(mr_render *r, const mr_node *node, mr_str text, mr_value *out);

static inline mr_value mr_value_of(json_t *json) { return (mr_value){ .kind = json ? MR_VALUE_JSON : MR_VALUE_UNDEFINED, .json = json }; }
static inline bool mr_value_is_string(mr_value value) { return value.kind == MR_VALUE_JSON && json_is_string(value.json); }
static inline mr_str mr_value_text(mr_value value) { return (mr_str){ json_string_value(value.json), json_string_length(value.json) }; }

bool mr_value_true(mr_value value);
bool mr_value_equal(mr_value a, mr_value b);
/* *out < 0, 0, > 0: two texts or two numbers; others fail. */
mr_status mr_value_order(mr_render *r, const mr_node *node, mr_value a, mr_value b, int *out);
/* What {{ }}, + and ~ print. Lists and mappings fail. */
mr_status mr_value_print(mr_render *r, const mr_node *node, mr_value value, mr_buf *out);
/* Python's json.dumps(ensure_ascii=False, indent=indent); indent < 0: none. */
bool mr_value_dump(const json_t *json, int indent, size_t level, mr_buf *out);
/* The items to loop over, as an array: of a mapping its keys, of a string its characters, of an undefined value none. */
mr_status mr_value_items(mr_render *r, const mr_node *node, mr_value value, json_t **out);
/* value.name or value[key]; UNDEFINED when there is no such thing. Fails for an undefined value. */
mr_status mr_value_item(mr_render *r, const mr_node *node, mr_value value, mr_value key, mr_value *out);
mr_status mr_value_slice(mr_render *r, const mr_node *node, mr_value value, const mr_value parts[3], mr_value *out);
/* needle in hay */
mr_status mr_value_contains(mr_render *r, const mr_node *node, mr_value hay, mr_value needle, bool *out);

/* Positional arguments, then keyword arguments. */
#define MR_MAX_ARGUMENTS 16
typedef struct mr_arguments {
    mr_value positional[MR_MAX_ARGUMENTS];
    size_t count;
    struct {
        mr_str name;
        mr_value value;
    } keyword[MR_MAX_ARGUMENTS];
    size_t keyword_count;
} mr_arguments;

/* The argument at `position`, or of that name; UNDEFINED when not given. */
mr_value mr_argument(const mr_arguments *arguments, size_t position, const char *name);

/* As `lower` does. */
mr_status mr_template_lower(mr_render *r, const mr_node *node, mr_str text, mr_value *out);

/* The filters sort, min and max, unique, dictsort. */
mr_status mr_template_sort(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out);
mr_status mr_template_extreme(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, bool most, mr_value *out);
mr_status mr_template_unique(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out);
mr_status mr_template_sort_pairs(mr_render *r, const mr_node *node, mr_value pairs, const mr_arguments *arguments, mr_value *out);

mr_status mr_template_filter(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out);
mr_status mr_template_test(mr_render *r, const mr_node *node, mr_str name, mr_value value, const mr_arguments *arguments, bool *out);
mr_status mr_template_method(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out);
mr_status mr_template_function(mr_render *r, const mr_node *node, const mr_arguments *arguments, mr_value *out);

#endif
