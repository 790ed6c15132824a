/* A parsed template: statements and expressions as nodes of one kind. */
#ifndef MR_CHAT_TEMPLATE_NODE_H
#define MR_CHAT_TEMPLATE_NODE_H

#include "chat/chat_template.h"

typedef enum mr_node_type {
    /* statements */
    MR_NODE_BLOCK,    /* first: statements */
    MR_NODE_TEXT,     /* text */
    MR_NODE_OUTPUT,   /* a */
    MR_NODE_IF,       /* a: condition, b: BLOCK, c: BLOCK or IF or NULL */
    MR_NODE_FOR,      /* text, second: names, a: what, b: condition or NULL, c: BLOCK for nothing or NULL, first: body */
    MR_NODE_SET,      /* text, or text and first: NAMEs for the items; a */
    MR_NODE_SET_ATTR, /* text . second, a */
    MR_NODE_MACRO,    /* text, a: PARAMETERs, b: the macro before, first: body */
    MR_NODE_BREAK,
    MR_NODE_CONTINUE,
    /* expressions */
    MR_NODE_LITERAL,  /* literal */
    MR_NODE_NAME,     /* text */
    MR_NODE_LIST,     /* first */
    MR_NODE_DICT,     /* first: key, value, key, ... */
    MR_NODE_ATTR,     /* a . text */
    MR_NODE_ITEM,     /* a[b] */
    MR_NODE_SLICE,    /* a[first...]: three nodes, a LITERAL null where nothing is written */
    MR_NODE_CAPTURE,  /* first: statements, whose text it is */
    MR_NODE_CALL,     /* text(first...) */
    MR_NODE_METHOD,   /* a.text(first...) */
    MR_NODE_FILTER,   /* a | text(first...) */
    MR_NODE_TEST,     /* a is text(first...) */
    MR_NODE_NOT,      /* a */
    MR_NODE_NEGATE,   /* a */
    MR_NODE_BINARY,   /* a op b */
    MR_NODE_AND,      /* a, b */
    MR_NODE_OR,       /* a, b */
    MR_NODE_CHOICE,   /* a if b else c (NULL: undefined) */
    MR_NODE_PARAMETER /* text = a (NULL: none) */
} mr_node_type;

typedef enum mr_node_op { MR_OP_ADD, MR_OP_SUBTRACT, MR_OP_MULTIPLY, MR_OP_DIVIDE, MR_OP_FLOOR_DIVIDE, MR_OP_MODULO, MR_OP_CONCATENATE,
                          MR_OP_EQUAL, MR_OP_NOT_EQUAL, MR_OP_LESS, MR_OP_LESS_EQUAL, MR_OP_GREATER, MR_OP_GREATER_EQUAL, MR_OP_IN, MR_OP_NOT_IN } mr_node_op;

typedef struct mr_node {
    mr_node_type type;
    mr_node_op op;
    size_t at; /* byte of the source, for the line in error texts */
    mr_str text, second; /* names and text: in the source */
    json_t *literal;     /* owned */
    struct mr_node *a, *b, *c;
    struct mr_node *first, *next; /* children and siblings */
    struct mr_node *allocated;    /* the one made before */
} mr_node;

struct mr_chat_template {
    char *source; /* owned; line ends are LF */
    size_t length;
    char *where;       /* owned */
    mr_node *root;     /* a BLOCK */
    mr_node *allocated, *macros; /* the last one made of all, of macros */
};

/* NULL when out of memory; lives until the template's nodes are freed. */
mr_node *mr_template_add_node(mr_chat_template *chat_template, mr_node_type type, size_t at);
void mr_template_free_nodes(mr_chat_template *chat_template);
/* Of the byte `at`, counted from 1. */
unsigned mr_template_line(const mr_chat_template *chat_template, size_t at);

/* Fills root. */
mr_status mr_template_parse(mr_chat_template *chat_template, mr_error *error);

/* Whether these names exist: unknown ones are refused when parsing. */
bool mr_template_filter_exists(mr_str name);
bool mr_template_test_exists(mr_str name);
bool mr_template_method_exists(mr_str name);
bool mr_template_function_exists(mr_str name);

#endif
