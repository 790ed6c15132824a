/* WordPiece: greedy longest match from the left. */
#include "tokenizer/wordpiece.h"

#include <stdlib.h>

#include "tokenizer/unicode.h"

mr_status mr_wordpiece_open(mr_json_value component, const mr_vocabulary *vocabulary, mr_wordpiece *out, mr_error *error)
{
    mr_wordpiece model = { 0 };
    mr_str unk, prefix;
    MR_TRY(mr_json_get_str(component, "unk_token", MR_STR("[UNK]"), &unk, error));
    MR_TRY(mr_json_get_str(component, "continuing_subword_prefix", MR_STR("##"), &prefix, error));
    MR_TRY(mr_json_get_size(component, "max_input_chars_per_word", UINT32_MAX, 100, &model.max_chars, error));
    model.unk_id = mr_vocabulary_id(vocabulary, unk);
    if (model.unk_id < 0)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: WordPiece: the unknown token \"%.*s\" is not in the vocabulary", mr_json_path(component),
                            (int)(unk.length < 64 ? unk.length : 64), unk.data);
    int32_t *ids = malloc((vocabulary->size + 1) * sizeof *ids);
    mr_str *texts = malloc((vocabulary->size + 1) * sizeof *texts);
    for (size_t i = 0; ids && texts && i < vocabulary->size; i++) {
        ids[i] = (int32_t)i;
        texts[i] = mr_vocabulary_text(vocabulary, ids[i]);
    }
    mr_status status = ids && texts ? mr_trie_build(texts, ids, vocabulary->size, &model.trie, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    free(ids);
    free(texts);
    if (status != MR_OK) return status;
    model.continuation = mr_trie_walk(&model.trie, MR_TRIE_ROOT, prefix);
    *out = model;
    return MR_OK;
}

void mr_wordpiece_fini(mr_wordpiece *model)
{
    mr_trie_fini(&model->trie);
}

bool mr_wordpiece_run(const mr_wordpiece *model, mr_str word, mr_ids *ids)
{
    size_t before = ids->count;
    const char *begin = word.data;
    if (word.length > model->max_chars && mr_utf8_count(word) > model->max_chars) return mr_ids_add(ids, model->unk_id, 0, word.length);
    /* At most one id a byte. */
    if (!mr_ids_reserve(ids, word.length)) return false;
    uint32_t node = MR_TRIE_ROOT;
    while (word.length > 0) {
        size_t length = 0;
        int32_t id = node == MR_TRIE_NONE ? -1 : mr_trie_longest(&model->trie, node, word, &length);
        if (id < 0) {
            ids->count = before;
            id = model->unk_id;
            word = (mr_str){ begin, word.length + (size_t)(word.data - begin) };
            length = word.length;
        }
        if (ids->traced) ids->spans[ids->count] = (mr_span){ (uint32_t)(word.data - begin), (uint32_t)(word.data - begin + length) };
        ids->items[ids->count++] = id;
        word.data += length;
        word.length -= length;
        node = model->continuation;
    }
    return true;
}
