/* Added tokens: texts are cut at them before the normalizer, and again behind it. */
#ifndef MR_TOKENIZER_ADDED_TOKENS_H
#define MR_TOKENIZER_ADDED_TOKENS_H

#include "tokenizer/normalizer.h"
#include "tokenizer/trie.h"

typedef struct mr_added_token {
    mr_str content; /* owned */
    mr_str decoded; /* owned; what it is when decoding: content, normalised if it is searched in normalised text */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} mr_added_token;

typedef struct mr_added_tokens {
    mr_added_token *items;
    size_t count;
    mr_trie search[2];     /* [normalized]: contents -> index in items */
    bool first[2][256];    /* [normalized]: bytes a content begins with */
    int only[2];           /* [normalized]: the one such byte; -1: there are more */
    size_t searched[2];    /* how many are in each */
    int32_t *index_of;     /* [size] id -> index in items, -1 */
    size_t size;
} mr_added_tokens;

typedef struct mr_added_match {
    size_t start, end; /* what the match swallows */
    size_t searched;   /* where to look for the next: white space that was swallowed may begin another */
    const mr_added_token *token; /* NULL: none found */
} mr_added_match;

/* `list`: "added_tokens", or the object "added_tokens_decoder" of tokenizer_config.json (id -> token). Patterns of normalized tokens go through `normalizer` with `scratch`. */
mr_status mr_added_tokens_open(mr_json_value list, const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch,
                               mr_added_tokens *out, mr_error *error);
void mr_added_tokens_fini(mr_added_tokens *tokens);
/* The next match at or behind `from`; all before `taken` is part of another. */
mr_added_match mr_added_tokens_find(const mr_added_tokens *tokens, bool normalized, mr_str text, size_t from, size_t taken);
/* NULL when the id is no added token. */
static inline const mr_added_token *mr_added_tokens_of(const mr_added_tokens *tokens, int32_t id)
{
    return id >= 0 && (size_t)id < tokens->size && tokens->index_of[id] >= 0 ? tokens->items + tokens->index_of[id] : NULL;
}

#endif
