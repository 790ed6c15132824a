#include "tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define BLOCK 256
/* How many free places are tried before a new block is opened: bounds the build at a few percent of waste. */
#define MAX_TRIES 64

/* Keys sorted by bytes. The first 8 bytes, big-endian, decide most comparisons; equal keys stay in their order. */
typedef struct key {
    uint64_t prefix;
    const mr_str *text; /* in the caller's list */
} key;

static int compare_keys(const void *left, const void *right)
{
    const key *a = left, *b = right;
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    size_t shorter = a->text->length < b->text->length ? a->text->length : b->text->length;
    int difference = memcmp(a->text->data, b->text->data, shorter);
    if (difference) return difference;
    if (a->text->length != b->text->length) return a->text->length < b->text->length ? -1 : 1;
    return a->text < b->text ? -1 : 1;
}

static uint64_t prefix_of(mr_str text)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < text.length ? (unsigned char)text.data[i] : 0);
    return prefix;
}

/* Free places form a ring through `base` (next) and `value` (previous) of nodes with check == own index. */
typedef struct builder {
    mr_trie_node *nodes;
    bool *used;
    size_t count;
    size_t capacity;
    uint32_t free_head; /* MR_TRIE_NONE: ring empty */
} builder;

static void unlink_free(builder *b, uint32_t place)
{
    uint32_t next = b->nodes[place].base, previous = (uint32_t)b->nodes[place].value;
    if (next == place) {
        b->free_head = MR_TRIE_NONE;
    } else {
        b->nodes[previous].base = next;
        b->nodes[next].value = (int32_t)previous;
        if (b->free_head == place) b->free_head = next;
    }
    b->used[place] = true;
}

static bool add_block(builder *b)
{
    if (b->count + BLOCK > INT32_MAX) return false;
    if (b->count + BLOCK > b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 16 * BLOCK;
        mr_trie_node *nodes = mr_mem_realloc(b->nodes, capacity * sizeof *nodes, MR_MEM_TOKENIZER);
        if (!nodes) return false;
        b->nodes = nodes;
        bool *used = realloc(b->used, capacity);
        if (!used) return false;
        b->used = used;
        b->capacity = capacity;
    }
    uint32_t first = (uint32_t)b->count, last = first + BLOCK - 1;
    for (uint32_t i = first; i <= last; i++) {
        b->nodes[i] = (mr_trie_node){ .base = i + 1, .check = i, .value = (int32_t)i - 1 };
        b->used[i] = false;
    }
    uint32_t head = b->free_head == MR_TRIE_NONE ? first : b->free_head;
    uint32_t tail = b->free_head == MR_TRIE_NONE ? last : (uint32_t)b->nodes[head].value;
    b->nodes[last].base = head;
    b->nodes[head].value = (int32_t)last;
    b->nodes[first].value = (int32_t)tail;
    if (b->free_head != MR_TRIE_NONE) b->nodes[tail].base = first;
    b->free_head = head;
    b->count += BLOCK;
    return true;
}

static bool fits(const builder *b, uint32_t base, const unsigned char *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (b->used[base ^ labels[i]]) return false;
    return true;
}

/* A base whose places for all labels are free. */
static bool find_base(builder *b, const unsigned char *labels, size_t count, uint32_t *base)
{
    uint32_t place = b->free_head;
    for (size_t tries = 0; place != MR_TRIE_NONE && tries < MAX_TRIES; tries++) {
        *base = place ^ labels[0];
        if (fits(b, *base, labels, count)) return true;
        place = b->nodes[place].base;
        if (place == b->free_head) break;
    }
    /* Start later next time: what stands in front is too crowded. */
    if (place != MR_TRIE_NONE) b->free_head = place;
    uint32_t first = (uint32_t)b->count;
    if (!add_block(b)) return false;
    *base = first ^ labels[0];
    return true;
}

/* Keys [first, end) share `depth` bytes, those of `node`. */
typedef struct range {
    uint32_t first;
    uint32_t end;
    uint32_t depth;
    uint32_t node;
} range;

typedef struct ranges {
    range *items;
    size_t count;
    size_t capacity;
} ranges;

static bool push_range(ranges *stack, range item)
{
    if (stack->count == stack->capacity) {
        size_t capacity = stack->capacity ? 2 * stack->capacity : 1024;
        range *grown = realloc(stack->items, capacity * sizeof *grown);
        if (!grown) return false;
        stack->items = grown;
        stack->capacity = capacity;
    }
    stack->items[stack->count++] = item;
    return true;
}

/* Gives `r.node` its value and its children. */
static bool expand(builder *b, const key *keys, const mr_str *strings, const int32_t *values, range r, ranges *stack)
{
    unsigned char labels[BLOCK];
    uint32_t starts[BLOCK + 1];
    size_t count = 0;
    uint32_t at = r.first;
    int32_t value = -1;
    for (; at < r.end && keys[at].text->length == r.depth; at++) value = values[keys[at].text - strings]; /* equal keys: last wins */
    for (uint32_t i = at; i < r.end; i++) {
        unsigned char label = (unsigned char)keys[i].text->data[r.depth];
        if (count == 0 || labels[count - 1] != label) {
            labels[count] = label;
            starts[count++] = i;
        }
    }
    starts[count] = r.end;
    b->nodes[r.node].value = value;
    b->nodes[r.node].base = r.node; /* no children: every step lands on a place whose check differs */
    if (count == 0) return true;
    uint32_t base;
    if (!find_base(b, labels, count, &base)) return false;
    b->nodes[r.node].base = base;
    for (size_t i = 0; i < count; i++) {
        uint32_t child = base ^ labels[i];
        unlink_free(b, child);
        b->nodes[child].check = r.node;
    }
    for (size_t i = count; i-- > 0;)
        if (!push_range(stack, (range){ starts[i], starts[i + 1], r.depth + 1, base ^ labels[i] })) return false;
    return true;
}

mr_status mr_trie_build(const mr_str *strings, const int32_t *values, size_t count, mr_trie *out, mr_error *error)
{
    mr_status status = MR_OUT_OF_MEMORY;
    builder b = { .free_head = MR_TRIE_NONE };
    ranges stack = { 0 };
    key *keys = malloc((count + 1) * sizeof *keys);
    if (!keys) goto done;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (strings[i].length) keys[kept++] = (key){ prefix_of(strings[i]), &strings[i] };
    qsort(keys, kept, sizeof *keys, compare_keys);
    if (!add_block(&b)) goto done;
    unlink_free(&b, MR_TRIE_ROOT);
    if (!push_range(&stack, (range){ 0, (uint32_t)kept, 0, MR_TRIE_ROOT })) goto done;
    while (stack.count > 0)
        if (!expand(&b, keys, strings, values, stack.items[--stack.count], &stack)) goto done;
    /* Free places: a check that no step can match, since a step never leads from a place to itself. */
    for (uint32_t i = 0; i < b.count; i++)
        if (!b.used[i]) b.nodes[i] = (mr_trie_node){ .base = i, .check = i, .value = -1 };
    *out = (mr_trie){ .nodes = b.nodes, .count = b.count };
    b.nodes = NULL;
    status = MR_OK;
done:
    free(keys);
    free(stack.items);
    free(b.used);
    mr_mem_free(b.nodes);
    return status == MR_OK ? MR_OK : mr_error_set(error, status, "out of memory for a trie of %zu strings", count);
}

void mr_trie_fini(mr_trie *trie)
{
    if (!trie->borrowed) mr_mem_free(trie->nodes);
    *trie = (mr_trie){ 0 };
}

uint32_t mr_trie_walk(const mr_trie *trie, uint32_t node, mr_str text)
{
    for (size_t i = 0; i < text.length && node != MR_TRIE_NONE; i++) node = mr_trie_step(trie, node, (unsigned char)text.data[i]);
    return node;
}

int32_t mr_trie_find(const mr_trie *trie, mr_str text)
{
    uint32_t node = mr_trie_walk(trie, MR_TRIE_ROOT, text);
    return node == MR_TRIE_NONE ? -1 : trie->nodes[node].value;
}

int32_t mr_trie_longest(const mr_trie *trie, uint32_t node, mr_str text, size_t *length)
{
    int32_t value = -1;
    for (size_t i = 0; i < text.length; i++) {
        node = mr_trie_step(trie, node, (unsigned char)text.data[i]);
        if (node == MR_TRIE_NONE) break;
        if (trie->nodes[node].value >= 0) {
            value = trie->nodes[node].value;
            *length = i + 1;
        }
    }
    return value;
}
