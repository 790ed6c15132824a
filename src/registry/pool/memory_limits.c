#include "registry/pool/memory_limits.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/str.h"

#define NO_LIMIT UINT64_MAX
#define LINE_BYTES 4608 /* two paths of PATH_MAX never meet in one line of these files in practice; longer lines are skipped */

/* cgroup v1 writes "no limit" as the largest multiple of the page size; everything up here means the same. */
#define V1_NO_LIMIT ((uint64_t)1 << 60)

/* This process's group in one hierarchy. */
typedef struct group {
    char mount[PATH_MAX];     /* "" when the hierarchy is absent */
    char directory[PATH_MAX]; /* the group's folder, below or equal to mount */
} group;

/* `root` + path, opened for reading; NULL when absent. */
static FILE *open_below(const char *root, const char *path)
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    return length > 0 && (size_t)length < sizeof full ? fopen(full, "re") : NULL;
}

/* The value behind "name" + separator in a file of such lines; false when absent. */
static bool read_field(const char *root, const char *path, const char *name, char *value, size_t size)
{
    FILE *file = open_below(root, path);
    if (!file) return false;
    char line[LINE_BYTES];
    bool found = false;
    size_t length = strlen(name);
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != ':')) continue;
        const char *start = line + length + strspn(line + length, ": \t");
        snprintf(value, size, "%.*s", (int)strcspn(start, "\n"), start);
        found = true;
    }
    fclose(file);
    return found;
}

static bool parse_number(const char *text, uint64_t *out)
{
    unsigned long long number;
    if (*text < '0' || *text > '9' || sscanf(text, "%llu", &number) != 1) return false;
    *out = number;
    return true;
}

/* A file holding one number, or "max". */
static uint64_t read_limit(const char *directory, const char *name)
{
    char path[PATH_MAX + 32], text[64] = "";
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (!file) return NO_LIMIT;
    uint64_t value = NO_LIMIT;
    if (fgets(text, sizeof text, file) && !parse_number(text, &value)) value = NO_LIMIT;
    fclose(file);
    return value;
}

/* Is `word` one of the comma-separated words of `list`? */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length) {
        bool starts = at == list || at[-1] == ',';
        bool ends = at[length] == '\0' || at[length] == ',' || at[length] == '\n';
        if (starts && ends) return true;
    }
    return false;
}

/* mountinfo: id parent dev ROOT MOUNT options [optional fields] - TYPE source SUPER_OPTIONS. Finds the cgroup2 mount, or
 * the v1 mount of the memory controller; mount_root is the part of the hierarchy that is visible there. */
static bool find_mount(const char *root, bool v2, char *mount_root, char *mount)
{
    FILE *file = open_below(root, "/proc/self/mountinfo");
    if (!file) return false;
    char line[2 * LINE_BYTES], type[64], super_options[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        const char *tail = strstr(line, " - ");
        if (!tail || sscanf(tail, " - %63s %*s %511s", type, super_options) != 2) continue;
        if (v2 ? strcmp(type, "cgroup2") != 0 : strcmp(type, "cgroup") != 0 || !has_word(super_options, "memory")) continue;
        found = sscanf(line, "%*s %*s %*s %4095s %4095s", mount_root, mount) == 2;
    }
    fclose(file);
    return found;
}

/* /proc/self/cgroup: "0::/path" (v2) or "4:memory,other:/path" (v1). */
static bool find_path(const char *root, bool v2, char *path)
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    if (!file) return false;
    char line[LINE_BYTES];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':');
        char *group_path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group_path) continue;
        *group_path++ = '\0';
        if (v2 ? controllers[1] != '\0' : !has_word(controllers + 1, "memory")) continue;
        snprintf(path, PATH_MAX, "%.*s", (int)strcspn(group_path, "\n"), group_path);
        found = true;
    }
    fclose(file);
    return found;
}

/* Where the group's files are. A container often sees its own group as the mount point itself: the path in /proc is
 * then one of the host, and the mount's root is cut off its front; what does not exist falls back to the mount point. */
static void find_group(const char *root, bool v2, group *out)
{
    char mount_root[PATH_MAX], mount[PATH_MAX], path[PATH_MAX];
    *out = (group){ 0 };
    if (!find_mount(root, v2, mount_root, mount) || !find_path(root, v2, path)) return;
    const char *below = path;
    size_t root_length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    if (strncmp(path, mount_root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == '\0')) below += root_length;
    if (strcmp(below, "/") == 0) below = "";
    int length = snprintf(out->mount, sizeof out->mount, "%s%s", root, mount);
    if (length < 0 || (size_t)length >= sizeof out->mount) {
        out->mount[0] = '\0';
        return;
    }
    length = snprintf(out->directory, sizeof out->directory, "%s%s", out->mount, below);
    if (length < 0 || (size_t)length >= sizeof out->directory || access(out->directory, X_OK) != 0)
        memcpy(out->directory, out->mount, sizeof out->directory);
}

/* The least limit from the group up to the mount point; `where` gets the folder that sets it. */
static uint64_t least_limit(const group *start, bool v2, char *where)
{
    uint64_t least = NO_LIMIT;
    if (start->mount[0] == '\0') return least;
    char directory[PATH_MAX];
    memcpy(directory, start->directory, sizeof directory);
    for (;;) {
        uint64_t limit = v2 ? read_limit(directory, "memory.max") : read_limit(directory, "memory.limit_in_bytes");
        if (v2) {
            uint64_t high = read_limit(directory, "memory.high");
            if (high < limit) limit = high;
        } else if (limit >= V1_NO_LIMIT) {
            limit = NO_LIMIT;
        }
        if (limit < least) {
            least = limit;
            memcpy(where, directory, sizeof directory);
        }
        char *slash = strrchr(directory, '/');
        if (strlen(directory) <= strlen(start->mount) || !slash) return least;
        *slash = '\0';
    }
}

/* Bytes mapped, and of these resident. */
static bool read_mapped(const char *root, uint64_t *mapped, uint64_t *resident)
{
    FILE *file = open_below(root, "/proc/self/statm");
    int fields = file ? fscanf(file, "%" SCNu64 " %" SCNu64, mapped, resident) : 0;
    if (file) fclose(file);
    if (fields != 2) return false;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *mapped *= page;
    *resident *= page;
    return true;
}

static uint64_t read_address_space(const char *root)
{
    char text[128];
    uint64_t value, mapped, resident;
    if (!read_field(root, "/proc/self/limits", "Max address space", text, sizeof text) || !parse_number(text, &value)) return NO_LIMIT;
    if (!read_mapped(root, &mapped, &resident) || mapped < resident) return value;
    return mapped - resident < value ? value - (mapped - resident) : 0;
}

mr_status mr_memory_limits_read(const char *root, mr_memory_limits *out, mr_error *error)
{
    char text[128], where[PATH_MAX];
    uint64_t kib;
    if (!root) root = "";
    if (!read_field(root, "/proc/meminfo", "MemTotal", text, sizeof text) || !parse_number(text, &kib) || kib > UINT64_MAX / 1024)
        return mr_error_set(error, MR_IO, "%s/proc/meminfo: cannot read MemTotal; is /proc mounted?", root);
    group v2, v1;
    find_group(root, true, &v2);
    find_group(root, false, &v1);
    mr_memory_limits limits = { .ram = kib * 1024, .cgroup_v2 = least_limit(&v2, true, where), .cgroup_v1 = least_limit(&v1, false, where),
                                .address_space = read_address_space(root) };
    limits.effective = limits.ram;
    limits.source = "RAM";
    const struct { uint64_t bytes; const char *source; } others[] = {
        { limits.cgroup_v2, "cgroup v2" }, { limits.cgroup_v1, "cgroup v1" }, { limits.address_space, "ulimit -v" }
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i].bytes >= limits.effective) continue;
        limits.effective = others[i].bytes;
        limits.source = others[i].source;
    }
    *out = limits;
    return MR_OK;
}

/* A file cache that nobody uses can be dropped at once: it is no pressure. */
static uint64_t working_set(const char *directory, bool v2)
{
    uint64_t usage = read_limit(directory, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (usage == NO_LIMIT) return 0;
    char text[64];
    uint64_t inactive = 0;
    if (!read_field(directory, "/memory.stat", v2 ? "inactive_file" : "total_inactive_file", text, sizeof text) || !parse_number(text, &inactive))
        inactive = 0;
    return inactive < usage ? usage - inactive : 0;
}

static double read_stalled(const char *root)
{
    char text[128];
    double percent;
    if (!read_field(root, "/proc/pressure/memory", "some", text, sizeof text)) return 0;
    return sscanf(text, "avg10=%lf", &percent) == 1 ? percent : 0;
}

mr_status mr_memory_usage_read(const char *root, mr_memory_usage *out, mr_error *error)
{
    if (!root) root = "";
    uint64_t mapped, resident;
    if (!read_mapped(root, &mapped, &resident)) return mr_error_set(error, MR_IO, "%s/proc/self/statm: cannot read the resident set; is /proc mounted?", root);
    mr_memory_usage usage = { .resident = resident, .cgroup_limit = NO_LIMIT, .stalled_percent = read_stalled(root) };
    for (int v2 = 0; v2 <= 1; v2++) {
        group found;
        char where[PATH_MAX];
        find_group(root, v2, &found);
        uint64_t limit = least_limit(&found, v2, where);
        if (limit >= usage.cgroup_limit) continue;
        usage.cgroup_limit = limit;
        usage.cgroup = working_set(where, v2);
    }
    *out = usage;
    return MR_OK;
}
