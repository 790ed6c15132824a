#include "io/directory_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/str.h"
#include "io/name_kind.h"

#define MAX_DEPTH 64 /* a descriptor each while listing; deeper trees are mistakes */

/* One directory on the way down. Names of directories end in "/", so that sorting names sorts whole paths. */
typedef struct level {
    char **names;
    size_t count, at;
    size_t prefix; /* length of `path` up to and with this directory's slash */
    dev_t device;
    ino_t inode;
} level;

struct mr_directory_walk {
    char *root;
    mr_buf path; /* from the root on */
    level levels[MAX_DEPTH];
    size_t depth;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_wanted(const char *name)
{
    return mr_name_kind_of(name) == MR_NAME_IMAGE || mr_str_ends_with(mr_str_of(name), ".txt");
}

/* Appends one entry to the level when it is a directory or a wanted file. */
static mr_status add_entry(level *here, int fd, const char *name, size_t *capacity, mr_error *error)
{
    struct stat info;
    if (name[0] == '.' || fstatat(fd, name, &info, 0) != 0) return MR_OK; /* a dangling link is no file */
    bool directory = S_ISDIR(info.st_mode);
    if (!directory && !(S_ISREG(info.st_mode) && is_wanted(name))) return MR_OK;
    if (here->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        char **grown = realloc(here->names, *capacity * sizeof *grown);
        if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a directory listing");
        here->names = grown;
    }
    char *copy = mr_strf("%s%s", name, directory ? "/" : "");
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a directory listing");
    here->names[here->count++] = copy;
    return MR_OK;
}

static void leave(mr_directory_walk *walk)
{
    level *here = &walk->levels[--walk->depth];
    for (size_t i = 0; i < here->count; i++) free(here->names[i]);
    free(here->names);
    *here = (level){ 0 };
}

static bool is_being_walked(const mr_directory_walk *walk, const struct stat *info)
{
    for (size_t i = 0; i < walk->depth; i++)
        if (walk->levels[i].device == info->st_dev && walk->levels[i].inode == info->st_ino) return true;
    return false;
}

/* Lists the directory that `path` now names. */
static mr_status enter(mr_directory_walk *walk, mr_error *error)
{
    char *full = mr_strf("%s/%s", walk->root, walk->path.length ? walk->path.data : "");
    if (!full) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    mr_status status = MR_OK;
    DIR *directory = opendir(full);
    struct stat info;
    if (!directory || fstat(dirfd(directory), &info) != 0) {
        status = mr_error_errno(error, errno, "cannot list directory %s", full);
        goto done;
    }
    if (is_being_walked(walk, &info)) goto done;
    if (walk->depth == MAX_DEPTH) {
        status = mr_error_set(error, MR_BAD_INPUT, "%s: more than %d directories deep", full, MAX_DEPTH);
        goto done;
    }
    level *here = &walk->levels[walk->depth++];
    *here = (level){ .prefix = walk->path.length, .device = info.st_dev, .inode = info.st_ino };
    size_t capacity = 0;
    const struct dirent *entry;
    while (status == MR_OK && (errno = 0, entry = readdir(directory))) status = add_entry(here, dirfd(directory), entry->d_name, &capacity, error);
    if (status == MR_OK && errno) status = mr_error_errno(error, errno, "cannot list directory %s", full);
    if (here->count) qsort(here->names, here->count, sizeof *here->names, by_bytes);
done:
    if (directory) closedir(directory);
    free(full);
    return status;
}

mr_status mr_directory_walk_open(const char *root, mr_directory_walk **out, mr_error *error)
{
    mr_directory_walk *walk = calloc(1, sizeof *walk);
    if (!walk) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a directory walk", root);
    walk->root = mr_strdup(root);
    mr_status status = walk->root ? enter(walk, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", root);
    if (status == MR_OK) *out = walk;
    else mr_directory_walk_close(walk);
    return status;
}

void mr_directory_walk_close(mr_directory_walk *walk)
{
    if (!walk) return;
    while (walk->depth) leave(walk);
    mr_buf_fini(&walk->path);
    free(walk->root);
    free(walk);
}

mr_status mr_directory_walk_next(mr_directory_walk *walk, const char **path, mr_error *error)
{
    while (walk->depth) {
        level *here = &walk->levels[walk->depth - 1];
        if (here->at == here->count) {
            leave(walk);
            continue;
        }
        walk->path.length = here->prefix;
        const char *name = here->names[here->at++];
        if (!mr_buf_append_str(&walk->path, name)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
        if (name[strlen(name) - 1] == '/') {
            MR_TRY(enter(walk, error));
            continue;
        }
        *path = walk->path.data;
        return MR_OK;
    }
    return MR_END;
}

mr_status mr_directory_measure(const char *root, uint64_t *files, uint64_t *bytes, mr_error *error)
{
    mr_directory_walk *walk;
    MR_TRY(mr_directory_walk_open(root, &walk, error));
    uint64_t sum = 0, count = 0;
    const char *path;
    mr_status status;
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat info;
    while ((status = mr_directory_walk_next(walk, &path, error)) == MR_OK) {
        count++;
        if (fd >= 0 && fstatat(fd, path, &info, 0) == 0) sum += (uint64_t)info.st_size;
    }
    if (fd >= 0) close(fd);
    mr_directory_walk_close(walk);
    if (status != MR_END) return status;
    if (count == 0) return mr_error_set(error, MR_BAD_INPUT, "%s holds no image or .txt file (for others name the files: '%s/*.jsonl')", root, root);
    *files = count;
    *bytes = sum;
    return MR_OK;
}
