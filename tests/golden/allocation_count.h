/* How often this program's own code has allocated: linked with --wrap, so calls inside shared libraries do not count. */
#ifndef MR_TESTS_ALLOCATION_COUNT_H
#define MR_TESTS_ALLOCATION_COUNT_H

#include <stddef.h>

size_t allocation_count(void);

#endif
