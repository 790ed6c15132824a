#include "io/part_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/str.h"

char *mr_part_path(const char *directory, uint64_t first, uint64_t end)
{
    return mr_strf("%s/part-%012" PRIu64 "-%012" PRIu64 ".h5", directory, first, end);
}

bool mr_part_name_parse(const char *name, uint64_t *first, uint64_t *end)
{
    int used = 0;
    char again[80];
    if (sscanf(name, "part-%20" SCNu64 "-%20" SCNu64 ".h5%n", first, end, &used) != 2 || used == 0 || name[used] || *end < *first) return false;
    snprintf(again, sizeof again, "part-%012" PRIu64 "-%012" PRIu64 ".h5", *first, *end);
    return strcmp(name, again) == 0;
}
