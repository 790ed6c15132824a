/* A set of byte strings with a value each, as a double array: the child of node n for byte c is node base[n] ^ c,
 * if that node's `check` is n. One step is one memory access whatever the set's size.
 * Immutable after build; longest lists: a few hundred thousand strings. */
#ifndef MR_TOKENIZER_TRIE_H
#define MR_TOKENIZER_TRIE_H

#include "core/str.h"

typedef struct mr_trie_node {
    uint32_t base;
    uint32_t check; /* parent; its own index where no node is */
    int32_t value;  /* -1: no string ends here */
} mr_trie_node;

typedef struct mr_trie {
    mr_trie_node *nodes; /* mr_mem; count is a multiple of 256 */
    size_t count;
    bool borrowed; /* nodes belong to an image */
} mr_trie;

#define MR_TRIE_ROOT 0
#define MR_TRIE_NONE UINT32_MAX

/* values [count] >= 0. Of equal strings the last wins; empty strings are left out. OUT_OF_MEMORY only. */
mr_status mr_trie_build(const mr_str *strings, const int32_t *values, size_t count, mr_trie *out, mr_error *error);
void mr_trie_fini(mr_trie *trie);

/* MR_TRIE_NONE when there is no such child. */
static inline uint32_t mr_trie_step(const mr_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child = trie->nodes[node].base ^ byte;
    return trie->nodes[child].check == node && child != node ? child : MR_TRIE_NONE;
}

/* The node of `text`, starting at `node`. */
uint32_t mr_trie_walk(const mr_trie *trie, uint32_t node, mr_str text);
/* Value of a whole string, -1 when absent. */
int32_t mr_trie_find(const mr_trie *trie, mr_str text);
/* Longest string that `text` begins with; its value, -1 when none. */
int32_t mr_trie_longest(const mr_trie *trie, uint32_t node, mr_str text, size_t *length);

#endif
