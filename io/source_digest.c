/* What identifies the input of a job. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file_digest.h"
#include "io/directory_walk.h"
#include "io/input_list.h"
#include "io/source.h"

/* "path NUL size NUL content digest newline" of every file below. */
static mr_status digest_directory(const char *root, const mr_cache *cache, char hex[65], mr_error *error)
{
    mr_directory_walk *walk;
    MR_TRY(mr_directory_walk_open(root, &walk, error));
    mr_buf lines = { 0 };
    const char *below;
    mr_status status;
    while ((status = mr_directory_walk_next(walk, &below, error)) == MR_OK) {
        char one[MR_SHA256_HEX];
        struct stat info;
        char *full = mr_path_join(root, below);
        if (!full || stat(full, &info) != 0) info.st_size = 0;
        status = full ? mr_sha256_file_remembered(cache, full, one, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
        free(full);
        if (status == MR_OK && !mr_buf_printf(&lines, "%s%c%llu%c%s\n", below, 0, (unsigned long long)info.st_size, 0, one))
            status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the digest of %s", root);
        if (status != MR_OK) break;
        if (lines.length > ((size_t)1 << 20)) { /* fold, so that a million files need no list in memory */
            mr_sha256_bytes(lines.data, lines.length, one);
            lines.length = 0;
            mr_buf_append_str(&lines, one);
        }
    }
    if (status == MR_END) {
        mr_sha256_bytes(lines.data, lines.length, hex);
        status = MR_OK;
    }
    mr_buf_fini(&lines);
    mr_directory_walk_close(walk);
    return status;
}

mr_status mr_source_input_digest(const mr_source *source, size_t index, const mr_cache *cache, char hex[65], mr_error *error)
{
    mr_input *input = &mr_source_inputs(source)->items[index];
    if (input->streamed) strcpy(input->digest, "stdin");
    if (!input->digest[0]) {
        char fresh[MR_SHA256_HEX];
        MR_TRY(input->directory ? digest_directory(input->path, cache, fresh, error) : mr_sha256_file_remembered(cache, input->path, fresh, error));
        memcpy(input->digest, fresh, sizeof fresh);
    }
    memcpy(hex, input->digest, sizeof input->digest);
    return MR_OK;
}

mr_status mr_source_digest(const mr_source *source, const mr_cache *cache, char hex[65], mr_error *error)
{
    const mr_input_list *inputs = mr_source_inputs(source);
    mr_buf lines = { 0 };
    mr_status status = MR_OK;
    bool streamed = false;
    for (size_t i = 0; status == MR_OK && i < inputs->count; i++) {
        char one[MR_SHA256_HEX];
        const mr_input *input = &inputs->items[i];
        streamed = streamed || input->streamed;
        if (streamed) break;
        status = mr_source_input_digest(source, i, cache, one, error);
        if (status == MR_OK && !mr_buf_printf(&lines, "%s%c%llu%c%s\n", input->name, 0, (unsigned long long)input->bytes, 0, one))
            status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a digest");
    }
    if (status == MR_OK && streamed) strcpy(hex, "stdin");
    else if (status == MR_OK) mr_sha256_bytes(lines.data, lines.length, hex);
    mr_buf_fini(&lines);
    return status;
}
