/* Added tokens: cut out of the text before (normalized: false) and after (true) the normalizer. */
#include "tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/component.h"
#include "tokenizer/vocabulary.h"

/* Longest content: a search looks at most this far from each byte, which keeps it linear. Real ones have 100 bytes. */
#define MAX_CONTENT_BYTES 1024

/* `key`: the id as text, in the form of tokenizer_config.json; absent in tokenizer.json. */
static mr_status read_token(mr_json_value key, mr_json_value item, mr_added_token *token, mr_error *error)
{
    size_t id;
    MR_TRY(mr_json_expect(item, MR_JSON_OBJECT, "an added token", error));
    MR_TRY(mr_json_expect(mr_json_get(item, "content"), MR_JSON_STRING, "an added token's \"content\"", error));
    mr_str content = mr_json_bytes(mr_json_get(item, "content"));
    bool numbered = key.tree ? mr_str_to_size(mr_json_bytes(key), MR_VOCABULARY_MAX_ID, &id) : mr_json_to_size(mr_json_get(item, "id"), MR_VOCABULARY_MAX_ID, &id);
    if (!numbered)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: the id of an added token must be a whole number up to %d", mr_json_path(item), MR_VOCABULARY_MAX_ID);
    if (content.length > MAX_CONTENT_BYTES)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: added token %zu is longer than %d bytes", mr_json_path(item), id, MAX_CONTENT_BYTES);
    MR_TRY(mr_json_get_bool(item, "single_word", false, &token->single_word, error));
    MR_TRY(mr_json_get_bool(item, "lstrip", false, &token->lstrip, error));
    MR_TRY(mr_json_get_bool(item, "rstrip", false, &token->rstrip, error));
    MR_TRY(mr_json_get_bool(item, "special", false, &token->special, error));
    MR_TRY(mr_json_get_bool(item, "normalized", !token->special, &token->normalized, error));
    token->id = (int32_t)id;
    token->content = mr_str_copy(content);
    return token->content.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status index_ids(mr_added_tokens *tokens, mr_error *error)
{
    for (size_t i = 0; i < tokens->count; i++)
        if ((size_t)tokens->items[i].id + 1 > tokens->size) tokens->size = (size_t)tokens->items[i].id + 1;
    tokens->index_of = malloc((tokens->size + 1) * sizeof *tokens->index_of);
    if (!tokens->index_of) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < tokens->size; i++) tokens->index_of[i] = -1;
    for (size_t i = tokens->count; i-- > 0;) tokens->index_of[tokens->items[i].id] = (int32_t)i;
    return MR_OK;
}

static mr_status read_decoded(mr_added_token *token, const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch, mr_error *error)
{
    mr_segment segment = { token->content, true };
    if (token->normalized && token->content.length) MR_TRY(mr_normalizer_run(normalizer, scratch, &segment, error));
    token->decoded = mr_str_copy(segment.text);
    return token->decoded.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status build_search(mr_added_tokens *tokens, bool normalized, mr_error *error)
{
    mr_status status = MR_OK;
    size_t count = 0;
    mr_str *patterns = calloc(tokens->count + 1, sizeof *patterns);
    int32_t *values = malloc((tokens->count + 1) * sizeof *values);
    if (!patterns || !values) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < tokens->count; i++) {
        if (tokens->items[i].normalized != normalized || tokens->items[i].content.length == 0) continue;
        patterns[count] = tokens->items[i].decoded;
        if (patterns[count].length) tokens->first[normalized][(unsigned char)patterns[count].data[0]] = true;
        values[count++] = (int32_t)i;
    }
    tokens->searched[normalized] = count;
    tokens->only[normalized] = -1;
    for (int byte = 0, found = 0; byte < 256; byte++)
        if (tokens->first[normalized][byte]) tokens->only[normalized] = found++ ? -1 : byte;
    status = mr_trie_build(patterns, values, count, &tokens->search[normalized], error);
done:
    free(patterns);
    free(values);
    return status;
}

mr_status mr_added_tokens_open(mr_json_value list, const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch,
                               mr_added_tokens *out, mr_error *error)
{
    mr_added_tokens tokens = { 0 };
    mr_status status = MR_OK;
    bool keyed = mr_json_type_of(list) == MR_JSON_OBJECT;
    if (!mr_json_present(list)) list = (mr_json_value){ 0 };
    else if (!keyed) MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "\"added_tokens\"", error));
    tokens.items = calloc(mr_json_count(list) + 1, sizeof *tokens.items);
    if (!tokens.items) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) {
        mr_json_value key = { 0 };
        if (keyed) {
            key = item;
            item = mr_json_after(item);
        }
        MR_TRY_OR(status, read_token(key, item, &tokens.items[tokens.count++], error), done);
    }
    MR_TRY_OR(status, index_ids(&tokens, error), done);
    for (size_t i = 0; i < tokens.count; i++) MR_TRY_OR(status, read_decoded(&tokens.items[i], normalizer, scratch, error), done);
    MR_TRY_OR(status, build_search(&tokens, false, error), done);
    MR_TRY_OR(status, build_search(&tokens, true, error), done);
    *out = tokens;
done:
    if (status != MR_OK) mr_added_tokens_fini(&tokens);
    return status;
}

void mr_added_tokens_fini(mr_added_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        free((char *)tokens->items[i].content.data);
        free((char *)tokens->items[i].decoded.data);
    }
    free(tokens->items);
    free(tokens->index_of);
    mr_trie_fini(&tokens->search[0]);
    mr_trie_fini(&tokens->search[1]);
    *tokens = (mr_added_tokens){ 0 };
}

static bool word_before(mr_str text, size_t at)
{
    size_t length;
    return at > 0 && mr_unicode_is_word(mr_utf8_decode(text.data + mr_utf8_before(text.data, at), &length));
}

static bool word_after(mr_str text, size_t at)
{
    size_t length;
    return at < text.length && mr_unicode_is_word(mr_utf8_decode(text.data + at, &length));
}

/* White space next to the match, back to `taken` (the end of the match before) and on to the end of the text. */
static void swallow_space(mr_str text, size_t taken, mr_added_match *match)
{
    size_t length;
    while (match->token->lstrip && match->start > taken) {
        size_t before = mr_utf8_before(text.data, match->start);
        if (!mr_unicode_is_space(mr_utf8_decode(text.data + before, &length))) break;
        match->start = before;
    }
    while (match->token->rstrip && match->end < text.length && mr_unicode_is_space(mr_utf8_decode(text.data + match->end, &length))) match->end += length;
}

/* The next place from `at` on where a content may begin. */
static size_t next_candidate(const mr_added_tokens *tokens, bool normalized, mr_str text, size_t at)
{
    const bool *first = tokens->first[normalized];
    if (tokens->only[normalized] >= 0) {
        const char *found = memchr(text.data + at, tokens->only[normalized], text.length - at);
        return found ? (size_t)(found - text.data) : text.length;
    }
    while (at < text.length && !first[(unsigned char)text.data[at]]) at++;
    return at;
}

mr_added_match mr_added_tokens_find(const mr_added_tokens *tokens, bool normalized, mr_str text, size_t from, size_t taken)
{
    const mr_trie *trie = &tokens->search[normalized];
    for (size_t at = from; tokens->searched[normalized] && (at = next_candidate(tokens, normalized, text, at)) < text.length; at++) {
        size_t length = 0;
        int32_t index = mr_trie_longest(trie, MR_TRIE_ROOT, (mr_str){ text.data + at, text.length - at }, &length);
        if (index < 0) continue;
        mr_added_match match = { at, at + length, at + length, tokens->items + index };
        if (match.token->single_word && (word_before(text, match.start) || word_after(text, match.end))) {
            at += length - 1; /* dropped whole, not tried shorter */
            continue;
        }
        swallow_space(text, taken, &match);
        return match;
    }
    return (mr_added_match){ text.length, text.length, text.length, NULL };
}
