#include "io/part_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "io/output_lock.h"
#include "io/part_name.h"
#include "io/vector_convert.h"

static bool parse_total(const char *name, uint64_t *total)
{
    int used = 0;
    return sscanf(name, "total-%20" SCNu64 "%n", total, &used) == 1 && name[used] == '\0';
}

mr_status mr_parts_note_total(const char *directory, uint64_t total, mr_error *error)
{
    char *path = mr_strf("%s/total-%012" PRIu64, directory, total);
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    mr_status status = fd < 0 ? mr_error_errno(error, errno, "cannot create %s", path) : mr_path_sync_directory_of(path, error);
    if (fd >= 0) close(fd);
    free(path);
    return status;
}

mr_status mr_part_list_add(mr_part_list *list, const char *path, uint64_t first, uint64_t end, mr_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        mr_part *grown = realloc(list->items, capacity * sizeof *grown);
        if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of parts");
        list->items = grown;
        list->capacity = capacity;
    }
    struct stat info;
    char *copy = mr_strdup(path);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of parts");
    uint64_t bytes = stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
    list->items[list->count++] = (mr_part){ .first = first, .end = end, .file_bytes = bytes, .path = copy };
    return MR_OK;
}

static mr_status add_found(mr_part_list *list, const char *directory, uint64_t first, uint64_t end, mr_error *error)
{
    char *path = mr_part_path(directory, first, end);
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of parts");
    mr_status status = mr_part_list_add(list, path, first, end, error);
    free(path);
    return status;
}

static int by_range(const void *a, const void *b)
{
    const mr_part *one = a, *other = b;
    if (one->first != other->first) return one->first < other->first ? -1 : 1;
    return (one->end < other->end) - (one->end > other->end);
}

void mr_part_list_sort(mr_part_list *list)
{
    if (list->count) qsort(list->items, list->count, sizeof *list->items, by_range);
}

mr_status mr_part_list_scan(mr_part_list *list, const char *directory, mr_error *error)
{
    DIR *open_directory = opendir(directory);
    if (!open_directory) return errno == ENOENT ? MR_OK : mr_error_errno(error, errno, "cannot list %s", directory);
    mr_status status = MR_OK;
    const struct dirent *entry;
    while (status == MR_OK && (errno = 0, entry = readdir(open_directory))) {
        uint64_t first, end;
        if (mr_part_name_parse(entry->d_name, &first, &end)) status = add_found(list, directory, first, end, error);
        if (parse_total(entry->d_name, &list->total)) list->has_total = true;
    }
    if (status == MR_OK && errno) status = mr_error_errno(error, errno, "cannot list %s", directory);
    closedir(open_directory);
    mr_part_list_sort(list);
    return status;
}

void mr_part_list_fini(mr_part_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].path);
    free(list->items);
    *list = (mr_part_list){ 0 };
}

/* BAD_INPUT or IO when the part is of no use, OUTPUT_DIFFERS when it is another job's. */
static mr_status check_part(const mr_part *part, const mr_embedding_schema *schema, const mr_job_identity *job, mr_error *error)
{
    hid_t file;
    mr_embedding_schema stored;
    mr_table_reader *reader = NULL;
    MR_TRY(mr_h5_open_sealed(part->path, &file, error));
    mr_status status = mr_part_file_read_schema(file, part->path, &stored, error);
    if (status == MR_OK) status = mr_part_file_check_job(file, part->path, job, error);
    if (status == MR_OK && (stored.dtype != schema->dtype || stored.dimension != schema->dimension || stored.text != schema->text || stored.width != schema->width))
        status = mr_error_set(error, MR_OUTPUT_DIFFERS, "%s holds %s vectors of %zu, this job makes %s vectors of %zu. Choose another output or add --overwrite",
                              part->path, mr_vector_dtype_name(stored.dtype), stored.dimension, mr_vector_dtype_name(schema->dtype), schema->dimension);
    if (status == MR_OK) status = mr_table_reader_open(file, part->path, stored.columns, stored.count, &reader, error);
    if (status == MR_OK && mr_table_reader_rows(reader) != part->end - part->first)
        status = mr_error_set(error, MR_BAD_INPUT, "%s holds %llu rows, not the %llu of its name", part->path,
                              (unsigned long long)mr_table_reader_rows(reader), (unsigned long long)(part->end - part->first));
    mr_table_reader_close(reader);
    H5Fclose(file);
    return status;
}

mr_status mr_part_list_check(mr_part_list *list, const mr_embedding_schema *schema, const mr_job_identity *job, mr_error *error)
{
    size_t kept = 0;
    mr_status status = MR_OK;
    for (size_t i = 0; i < list->count; i++) {
        mr_error problem = { 0 };
        mr_status found = status == MR_OK ? check_part(&list->items[i], schema, job, &problem) : MR_OK;
        if (found == MR_BAD_INPUT) {
            mr_log(MR_LOG_WARN, "io", "%s; it is dropped and its records are done again", problem.text);
            unlink(list->items[i].path);
            free(list->items[i].path);
            continue;
        }
        if (found != MR_OK) {
            status = found;
            if (error) *error = problem;
        }
        list->items[kept++] = list->items[i];
    }
    list->count = kept;
    return status;
}

mr_status mr_part_list_ranges(const mr_part_list *list, mr_range **out, size_t *count, mr_error *error)
{
    mr_range *ranges = malloc((list->count + 1) * sizeof *ranges);
    if (!ranges) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the ranges of %zu parts", list->count);
    size_t made = 0;
    for (size_t i = 0; i < list->count; i++) {
        const mr_part *part = &list->items[i];
        if (part->first == part->end) continue;
        if (made && part->first <= ranges[made - 1].end) {
            if (part->end > ranges[made - 1].end) ranges[made - 1].end = part->end;
        } else {
            ranges[made++] = (mr_range){ part->first, part->end };
        }
    }
    *out = ranges;
    *count = made;
    return MR_OK;
}

static void remove_matching(const char *directory, const char *prefix, const char *suffix)
{
    DIR *open_directory = opendir(directory);
    if (!open_directory) return;
    const struct dirent *entry;
    while ((entry = readdir(open_directory))) {
        bool match = strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && mr_str_ends_with(mr_str_of(entry->d_name), suffix);
        if (match) unlinkat(dirfd(open_directory), entry->d_name, 0);
    }
    closedir(open_directory);
}

void mr_parts_remove_temporaries(const char *directory, const char *prefix)
{
    remove_matching(directory, prefix, ".tmp");
}

void mr_parts_remove_all(const char *directory)
{
    remove_matching(directory, "part-", ".h5");
    remove_matching(directory, "", ".tmp");
    remove_matching(directory, "total-", "");
}

void mr_parts_remove_leftovers(const char *directory, const char *lock_name)
{
    mr_output_lock *lock;
    if (!mr_path_is_directory(directory) || mr_output_lock_acquire(directory, lock_name, &lock, NULL) != MR_OK) return;
    mr_parts_remove_all(directory);
    mr_output_lock_release(lock);
    rmdir(directory); /* stays while it holds anything */
}
