/* tokenizer.json, read in one pass into one array.
 *
 * Why not the JSON library of core/json.h: a vocabulary has up to half a million members, which that library
 * allocates one by one, and Unigram scores must be read from their digits (unigram.c), which it does not keep.
 * The file is parsed in place: strings are unescaped inside the text, so nothing but the node array is allocated.
 * Strict RFC 8259, UTF-8 checked; U+0000 is allowed in strings; nesting and size are bounded; no recursion. */
#ifndef MR_TOKENIZER_JSON_TREE_H
#define MR_TOKENIZER_JSON_TREE_H

#include "core/str.h"

typedef enum mr_json_type { MR_JSON_NULL, MR_JSON_FALSE, MR_JSON_TRUE, MR_JSON_NUMBER, MR_JSON_STRING, MR_JSON_ARRAY, MR_JSON_OBJECT } mr_json_type;

/* Nodes stand in document order: a container is followed by its contents. In an object every value is preceded by
 * its key, a STRING node. Small, as there are a million of them. */
typedef struct mr_json_node {
    uint32_t type : 3;  /* mr_json_type */
    uint32_t size : 29; /* STRING, NUMBER: bytes; ARRAY: items; OBJECT: members */
    uint32_t at;        /* STRING, NUMBER: place in the text; ARRAY, OBJECT: index of the node behind the contents */
} mr_json_node;

#define MR_JSON_MAX_BYTES (((size_t)1 << 29) - 1)

typedef struct mr_json_tree {
    char *text; /* owned, malloc'ed */
    mr_json_node *nodes; /* mr_mem */
    size_t count;
    const char *path; /* borrowed, for error texts */
} mr_json_tree;

/* Takes over `text` (malloc'ed, `length` bytes) in any case. MODEL_CORRUPT naming path and line. */
mr_status mr_json_tree_parse(char *text, size_t length, const char *path, mr_json_tree *out, mr_error *error);
mr_status mr_json_tree_read(const char *path, size_t max_bytes, mr_json_tree *out, mr_error *error);
void mr_json_tree_fini(mr_json_tree *tree);

/* A place in the tree; `tree` is NULL for an absent member. */
typedef struct mr_json_value {
    const mr_json_tree *tree;
    uint32_t index;
} mr_json_value;

mr_json_value mr_json_root(const mr_json_tree *tree);
/* False also for null, so that "absent or null" is one question. */
static inline bool mr_json_present(mr_json_value value)
{
    return value.tree && value.tree->nodes[value.index].type != MR_JSON_NULL;
}
static inline mr_json_type mr_json_type_of(mr_json_value value)
{
    return value.tree ? (mr_json_type)value.tree->nodes[value.index].type : MR_JSON_NULL;
}
/* The last member of that name; absent when `object` is no object or has none. */
mr_json_value mr_json_get(mr_json_value object, const char *key);
/* Bytes of a string, digits of a number, nothing of another value; borrowed from the tree. */
static inline mr_str mr_json_bytes(mr_json_value value)
{
    const mr_json_node *node = &value.tree->nodes[value.index];
    return node->type < MR_JSON_ARRAY ? (mr_str){ value.tree->text + node->at, node->size } : (mr_str){ value.tree->text, 0 };
}
size_t mr_json_count(mr_json_value value); /* of an array or object, else 0 */

/* Index of the node behind a value and its contents. */
static inline uint32_t mr_json_end(mr_json_value value)
{
    const mr_json_node *node = &value.tree->nodes[value.index];
    return node->type >= MR_JSON_ARRAY ? node->at : value.index + 1;
}

/* for (mr_json_value v = mr_json_first(array); mr_json_more(array, v); v = mr_json_after(v)) ...
 * In an object the keys and values alternate. */
static inline mr_json_value mr_json_first(mr_json_value container) { return (mr_json_value){ container.tree, container.index + 1 }; }
static inline bool mr_json_more(mr_json_value container, mr_json_value value)
{
    return container.tree && value.index < mr_json_end(container);
}
static inline mr_json_value mr_json_after(mr_json_value value) { return (mr_json_value){ value.tree, mr_json_end(value) }; }

/* Typed members. Absent or null gives the fallback; another type is MODEL_CORRUPT naming file, component and key. */
mr_status mr_json_get_bool(mr_json_value object, const char *key, bool fallback, bool *out, mr_error *error);
mr_status mr_json_get_size(mr_json_value object, const char *key, size_t maximum, size_t fallback, size_t *out, mr_error *error);
/* fallback may have data NULL, which tells an absent string from an empty one. */
mr_status mr_json_get_str(mr_json_value object, const char *key, mr_str fallback, mr_str *out, mr_error *error);
/* A number 0 .. maximum. */
bool mr_json_to_size(mr_json_value value, size_t maximum, size_t *out);
/* The same of digits. */
bool mr_str_to_size(mr_str text, size_t maximum, size_t *out);
/* Appends `text` as a JSON string. False when out of memory. */
bool mr_json_append_quoted(mr_buf *out, mr_str text);
/* Appends the value as JSON, an object without that member (NULL: with all). False when out of memory. */
bool mr_json_append_value(mr_buf *out, mr_json_value value, const char *without);
/* The file, for error texts. */
const char *mr_json_path(mr_json_value value);
/* Fails unless `value` is of that type; `what` names it. */
mr_status mr_json_expect(mr_json_value value, mr_json_type type, const char *what, mr_error *error);

#endif
