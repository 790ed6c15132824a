/* WordPiece: the longest text of the vocabulary, again and again. */
#ifndef MR_TOKENIZER_WORDPIECE_H
#define MR_TOKENIZER_WORDPIECE_H

#include "tokenizer/pieces.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

typedef struct mr_wordpiece {
    mr_trie trie;          /* all texts */
    uint32_t continuation; /* node of the continuing prefix; MR_TRIE_NONE: no text has it */
    size_t max_chars;
    int32_t unk_id;
} mr_wordpiece;

mr_status mr_wordpiece_open(mr_json_value component, const mr_vocabulary *vocabulary, mr_wordpiece *out, mr_error *error);
void mr_wordpiece_fini(mr_wordpiece *model);
/* Appends one piece's ids; false when out of memory. */
bool mr_wordpiece_run(const mr_wordpiece *model, mr_str piece, mr_ids *ids);

#endif
