/* What a part's file is called: part-<first>-<end>.h5, the ordinals of its rows. Private to io/. */
#ifndef MR_IO_PART_NAME_H
#define MR_IO_PART_NAME_H

#include <stdbool.h>
#include <stdint.h>

/* malloc'ed; NULL when out of memory. */
char *mr_part_path(const char *directory, uint64_t first, uint64_t end);
/* From the file's name alone; false when it is no part's. */
bool mr_part_name_parse(const char *name, uint64_t *first, uint64_t *end);

#endif
