#include "io/input_list.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "io/directory_walk.h"
#include "io/name_kind.h"

static const mr_reader_kind *reader_for(const char *path)
{
    switch (mr_name_kind_of(path)) {
    case MR_NAME_JSONL: return &mr_reader_jsonl;
    case MR_NAME_TEXT: return &mr_reader_text;
    case MR_NAME_IMAGE: return &mr_reader_whole_file;
    case MR_NAME_ARCHIVE: return &mr_reader_archive;
    case MR_NAME_JSON:
    case MR_NAME_OTHER: break;
    }
    return NULL;
}

static mr_status classify(mr_input *input, mr_error *error)
{
    struct stat info;
    input->files = 1;
    if (strcmp(input->path, "-") == 0) {
        input->streamed = true;
        input->kind = &mr_reader_sniffed;
        return MR_OK;
    }
    if (stat(input->path, &info) != 0 || access(input->path, R_OK) != 0) {
        mr_error_errno(error, errno, "cannot open %s", input->name);
        if (error) error->status = MR_NO_INPUT;
        return MR_NO_INPUT;
    }
    if (S_ISDIR(info.st_mode)) {
        input->directory = true;
        return mr_directory_measure(input->path, &input->files, &input->bytes, error);
    }
    input->kind = reader_for(input->path);
    if (!S_ISREG(info.st_mode)) {
        input->streamed = true;
        if (!input->kind || input->kind == &mr_reader_whole_file) input->kind = &mr_reader_sniffed;
        return MR_OK;
    }
    input->bytes = (uint64_t)info.st_size;
    input->changed = info.st_mtim;
    if (input->kind) return MR_OK;
    return mr_error_set(error, MR_BAD_INPUT, "%s: unknown kind of file; known are .jsonl .ndjson .txt .tar .zip (each also .gz .zst .xz .bz2), "
                        "images (.jpg .jpeg .png .webp .gif .bmp), directories and -", input->name);
}

mr_status mr_input_check_unchanged(const mr_input *input, mr_error *error)
{
    struct stat info;
    if (input->streamed || input->directory || stat(input->path, &info) != 0) return MR_OK;
    bool same = (uint64_t)info.st_size == input->bytes && info.st_mtim.tv_sec == input->changed.tv_sec && info.st_mtim.tv_nsec == input->changed.tv_nsec;
    return same ? MR_OK : mr_error_set(error, MR_BAD_INPUT, "%s was changed while it was read; start again with --overwrite once it stays as it is", input->name);
}

static mr_status add(mr_input_list *list, const char *path, mr_error *error)
{
    if (list->count == UINT32_MAX) return mr_error_set(error, MR_INVALID_ARGUMENT, "more than 4294967295 inputs");
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        mr_input *grown = realloc(list->items, capacity * sizeof *grown);
        if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of inputs");
        list->items = grown;
        list->capacity = capacity;
    }
    mr_input *input = &list->items[list->count++];
    *input = (mr_input){ .path = mr_strdup(path), .name = mr_utf8_escape(path, strlen(path)) };
    if (!input->path || !input->name) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of inputs");
    return classify(input, error);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static mr_status expand(mr_input_list *list, const char *pattern, mr_error *error)
{
    glob_t found;
    int got = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    if (got == GLOB_NOMATCH) return mr_error_set(error, MR_NO_INPUT, "%s matches no file", pattern);
    if (got != 0) return mr_error_set(error, got == GLOB_NOSPACE ? MR_OUT_OF_MEMORY : MR_IO, "cannot list %s", pattern);
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < found.gl_pathc; i++) status = add(list, found.gl_pathv[i], error);
    globfree(&found);
    return status;
}

mr_status mr_input_list_build(mr_input_list *list, const char *const *paths, size_t count, mr_error *error)
{
    if (count == 0) return mr_error_set(error, MR_NO_INPUT, "no input given");
    for (size_t i = 0; i < count; i++) {
        bool pattern = strpbrk(paths[i], "*?[") && !mr_path_exists(paths[i]);
        MR_TRY(pattern ? expand(list, paths[i], error) : add(list, paths[i], error));
    }
    return MR_OK;
}

void mr_input_list_fini(mr_input_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].name);
    }
    free(list->items);
    *list = (mr_input_list){ 0 };
}
