#include "tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define BLOCK 256
/* How many free places are tried before a new block is opened: bounds the build at a few percent of waste. */
#define MAX_TRIES 64

/* A string on its way down the tree. */
typedef struct key {
    uint64_t chunk; /* bytes depth / 8 * 8 and following, big-endian, zeros behind the end */
    const char *data;
    uint32_t length;
    int32_t value;
} key;

static uint64_t chunk_at(const key *k, size_t at)
{
    unsigned char bytes[8] = { 0 };
    size_t left = k->length - at;
    uint64_t chunk = 0;
    if (left >= 8) memcpy(bytes, k->data + at, 8);
    else for (size_t i = 0; i < left; i++) bytes[i] = (unsigned char)k->data[at + i];
    for (size_t i = 0; i < 8; i++) chunk = chunk << 8 | bytes[i];
    return chunk;
}

static unsigned label_of(const key *k, size_t depth)
{
    return k->chunk >> (56 - 8 * (depth % 8)) & 0xFF;
}

/* Ranges up to this are sorted by comparing, and stay so for as long as their chunks last. Equal strings keep their order. */
#define FEW 32

static void sort_few(key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        key moved = keys[i];
        size_t at = i;
        for (; at > 0 && (keys[at - 1].chunk > moved.chunk || (keys[at - 1].chunk == moved.chunk && keys[at - 1].length > moved.length)); at--) keys[at] = keys[at - 1];
        keys[at] = moved;
    }
}

/* By the next byte, those that end first. */
static void sort_many(key *keys, key *spare, size_t count, size_t depth)
{
    size_t starts[BLOCK + 2] = { 0 };
    for (size_t i = 0; i < count; i++) starts[keys[i].length == depth ? 1 : label_of(&keys[i], depth) + 2]++; /* room for how many come before */
    if (keys[0].length > depth && starts[label_of(&keys[0], depth) + 2] == count) return;
    for (size_t bucket = 1; bucket < BLOCK + 2; bucket++) starts[bucket] += starts[bucket - 1];
    for (size_t i = 0; i < count; i++) spare[starts[keys[i].length == depth ? 0 : label_of(&keys[i], depth) + 1]++] = keys[i];
    memcpy(keys, spare, count * sizeof *keys);
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
    bool sorted; /* as sort_few leaves them */
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

/* The rest of a string that shares it with no other: nodes with one child each, at the first places that are free. */
static bool append_tail(builder *b, const key *k, size_t depth, uint32_t node)
{
    for (; depth < k->length; depth++) {
        if (b->free_head == MR_TRIE_NONE && !add_block(b)) return false;
        uint32_t child = b->free_head;
        b->nodes[node].base = child ^ (unsigned char)k->data[depth];
        b->nodes[node].value = -1;
        unlink_free(b, child);
        b->nodes[child].check = node;
        node = child;
    }
    b->nodes[node].base = node; /* no children: every step lands on a place whose check differs */
    b->nodes[node].value = k->value;
    return true;
}

/* Gives `r.node` its value and its children. */
static bool expand(builder *b, key *keys, key *spare, range r, ranges *stack)
{
    unsigned char labels[BLOCK];
    uint32_t starts[BLOCK + 1];
    size_t count = 0;
    if (r.end - r.first == 1) return append_tail(b, keys + r.first, r.depth, r.node);
    for (uint32_t i = r.first; r.depth % 8 == 0 && i < r.end; i++) keys[i].chunk = chunk_at(&keys[i], r.depth);
    if (r.end - r.first <= FEW && !r.sorted) sort_few(keys + r.first, r.end - r.first);
    if (r.end - r.first > FEW) sort_many(keys + r.first, spare, r.end - r.first, r.depth);
    uint32_t at = r.first;
    while (at < r.end && keys[at].length == r.depth) at++;
    b->nodes[r.node].value = at > r.first ? keys[at - 1].value : -1;
    b->nodes[r.node].base = r.node;
    for (uint32_t i = at; i < r.end; i++) {
        unsigned char label = (unsigned char)label_of(&keys[i], r.depth);
        if (count == 0 || labels[count - 1] != label) {
            labels[count] = label;
            starts[count++] = i;
        }
    }
    starts[count] = r.end;
    if (count == 0) return true;
    uint32_t base;
    if (!find_base(b, labels, count, &base)) return false;
    b->nodes[r.node].base = base;
    for (size_t i = 0; i < count; i++) {
        uint32_t child = base ^ labels[i];
        unlink_free(b, child);
        b->nodes[child].check = r.node;
    }
    bool sorted = r.end - r.first <= FEW && (r.depth + 1) % 8 != 0;
    for (size_t i = count; i-- > 0;)
        if (!push_range(stack, (range){ starts[i], starts[i + 1], r.depth + 1, base ^ labels[i], sorted })) return false;
    return true;
}

/* Real vocabularies have 2 to 4 nodes a string. */
#define NODES_PER_STRING 4

static bool begin(builder *b, size_t count)
{
    b->capacity = (count * NODES_PER_STRING + 16 * BLOCK) / BLOCK * BLOCK;
    b->nodes = mr_mem_alloc_array(b->capacity, sizeof *b->nodes, MR_MEM_TOKENIZER);
    b->used = malloc(b->capacity);
    if (!b->nodes || !b->used || !add_block(b)) return false;
    unlink_free(b, MR_TRIE_ROOT);
    return true;
}

/* Free places: a check that no step can match, since a step never leads from a place to itself. */
static bool finish(builder *b, mr_trie *out)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (!b->used[i]) b->nodes[i] = (mr_trie_node){ .base = i, .check = i, .value = -1 };
    mr_trie_node *nodes = mr_mem_realloc(b->nodes, b->count * sizeof *nodes, MR_MEM_TOKENIZER);
    if (!nodes) return false;
    *out = (mr_trie){ .nodes = nodes, .count = b->count };
    b->nodes = NULL;
    return true;
}

mr_status mr_trie_build(const mr_str *strings, const int32_t *values, size_t count, mr_trie *out, mr_error *error)
{
    bool done = false;
    uint32_t kept = 0;
    builder b = { .free_head = MR_TRIE_NONE };
    ranges stack = { 0 };
    key *keys = mr_mem_alloc_array(count + 1, sizeof *keys, MR_MEM_TOKENIZER), *spare = mr_mem_alloc_array(count + 1, sizeof *keys, MR_MEM_TOKENIZER);
    if (!keys || !spare || !begin(&b, count)) goto done;
    for (size_t i = 0; i < count; i++)
        if (strings[i].length) keys[kept++] = (key){ .data = strings[i].data, .length = (uint32_t)strings[i].length, .value = values[i] };
    done = push_range(&stack, (range){ 0, kept, 0, MR_TRIE_ROOT, false });
    while (done && stack.count > 0) done = expand(&b, keys, spare, stack.items[--stack.count], &stack);
    done = done && finish(&b, out);
done:
    mr_mem_free(keys);
    mr_mem_free(spare);
    free(stack.items);
    free(b.used);
    mr_mem_free(b.nodes);
    return done ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for a trie of %zu strings", count);
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
