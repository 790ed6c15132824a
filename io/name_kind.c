#include "io/name_kind.h"

#include <stdbool.h>
#include <string.h>

#include "core/str.h"

typedef struct suffix_kind {
    const char *suffix;
    mr_name_kind kind;
    bool compressible;
} suffix_kind;

static const suffix_kind suffixes[] = {
    { ".jsonl", MR_NAME_JSONL, true }, { ".ndjson", MR_NAME_JSONL, true }, { ".txt", MR_NAME_TEXT, true },
    { ".tar", MR_NAME_ARCHIVE, true }, { ".tgz", MR_NAME_ARCHIVE, false }, { ".tzst", MR_NAME_ARCHIVE, false },
    { ".txz", MR_NAME_ARCHIVE, false }, { ".tbz2", MR_NAME_ARCHIVE, false }, { ".zip", MR_NAME_ARCHIVE, false },
    { ".jpg", MR_NAME_IMAGE, false }, { ".jpeg", MR_NAME_IMAGE, false }, { ".png", MR_NAME_IMAGE, false },
    { ".webp", MR_NAME_IMAGE, false }, { ".gif", MR_NAME_IMAGE, false }, { ".bmp", MR_NAME_IMAGE, false },
    { ".json", MR_NAME_JSON, false },
};
static const char *const compressions[] = { ".gz", ".zst", ".xz", ".bz2" };

mr_name_kind mr_name_kind_of(const char *name)
{
    mr_str rest = mr_str_of(name);
    for (size_t i = 0; i < sizeof compressions / sizeof *compressions; i++) {
        if (!mr_str_ends_with(rest, compressions[i])) continue;
        rest.length -= strlen(compressions[i]);
        break;
    }
    bool compressed = name[rest.length] != '\0';
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (mr_str_ends_with(rest, suffixes[i].suffix)) return compressed && !suffixes[i].compressible ? MR_NAME_OTHER : suffixes[i].kind;
    return MR_NAME_OTHER;
}
