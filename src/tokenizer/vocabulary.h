/* Texts with their ids, both ways. Built once, then immutable. */
#ifndef MR_TOKENIZER_VOCABULARY_H
#define MR_TOKENIZER_VOCABULARY_H

#include "tokenizer/json_tree.h"

#define MR_VOCABULARY_MAX_ID ((1 << 22) - 2) /* the largest real ones have 2^18 */
/* Bytes of one text: models look this far ahead at every place of an input. Real ones have up to 768. */
#define MR_VOCABULARY_MAX_TEXT 4096

/* No pointers inside, so that all of it can be kept in a file and used in place (model_image.h). */
typedef struct mr_vocabulary {
    struct mr_vocabulary_place {
        uint32_t start; /* in `bytes`; MR_VOCABULARY_ABSENT where no text has that id */
        uint32_t length;
    } *places;         /* [size] by id */
    size_t size;       /* largest id + 1 */
    size_t count;      /* texts */
    char *bytes;       /* the texts' storage */
    size_t total;      /* bytes in it */
    struct mr_vocabulary_slot {
        uint32_t hash;
        uint32_t id; /* + 1; 0: empty */
    } *slots; /* open addressing */
    size_t slot_mask;
    bool borrowed; /* places, bytes and slots belong to an image */
} mr_vocabulary;

#define MR_VOCABULARY_ABSENT UINT32_MAX

/* Texts are copied; MODEL_UNSUPPORTED when one is too long. ids [count], at most MR_VOCABULARY_MAX_ID. Of equal texts the last one's id counts; of equal
 * ids the first text is shown. */
mr_status mr_vocabulary_build(const mr_str *texts, const int32_t *ids, size_t count, mr_vocabulary *out, mr_error *error);
/* From an object text -> id ("vocab" of WordPiece, BPE, WordLevel; a vocab.json). */
mr_status mr_vocabulary_from_json(mr_json_value object, mr_vocabulary *out, mr_error *error);
void mr_vocabulary_fini(mr_vocabulary *vocabulary);

int32_t mr_vocabulary_id(const mr_vocabulary *vocabulary, mr_str text); /* -1 when absent */
/* The same for many at once, whose ways through memory overlap. */
void mr_vocabulary_ids(const mr_vocabulary *vocabulary, const mr_str *texts, size_t count, int32_t *ids);
/* Ids of "<0x00>" .. "<0xFF>", -1 for those the vocabulary does not have. */
void mr_vocabulary_read_bytes(const mr_vocabulary *vocabulary, int32_t ids[256]);
static inline mr_str mr_vocabulary_text(const mr_vocabulary *vocabulary, int32_t id)
{
    if (id < 0 || (size_t)id >= vocabulary->size || vocabulary->places[id].start == MR_VOCABULARY_ABSENT) return (mr_str){ 0 };
    return (mr_str){ vocabulary->bytes + vocabulary->places[id].start, vocabulary->places[id].length };
}

/* Hash of short texts; used by the other tables of this folder too. */
uint64_t mr_hash_bytes(const char *data, size_t length);

#endif
