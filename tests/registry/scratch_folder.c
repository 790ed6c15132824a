#include "scratch_folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/str.h"

static void require(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "scratch folder: %s failed\n", what);
    abort();
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info, (void)type, (void)position;
    return remove(path);
}

const char *scratch_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s.%ld", MR_TEST_TMP, name, (long)getpid());
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    require(mr_path_make_directories(path, NULL) == MR_OK, "making it");
    return path;
}

void scratch_write(const char *directory, const char *path, const void *data, size_t length)
{
    char *full = mr_path_join(directory, path);
    require(full != NULL, "join");
    char *slash = strrchr(full, '/');
    *slash = '\0';
    require(mr_path_make_directories(full, NULL) == MR_OK, "mkdir");
    *slash = '/';
    FILE *file = fopen(full, "wb");
    require(file && fwrite(data, 1, length, file) == length && fclose(file) == 0, "write");
    free(full);
}

void scratch_write_text(const char *directory, const char *path, const char *text)
{
    scratch_write(directory, path, text, strlen(text));
}
