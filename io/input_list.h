/* The paths of a command line -> a checked list of inputs and what reads each. Private to io/. */
#ifndef MR_IO_INPUT_LIST_H
#define MR_IO_INPUT_LIST_H

#include <time.h>

#include "io/reader.h"

typedef struct mr_input {
    char *path; /* as given */
    char *name; /* the same, well-formed UTF-8 */
    const mr_reader_kind *kind; /* NULL: a directory */
    uint64_t files; /* 1, or those below a directory */
    uint64_t bytes; /* stored; 0 when unknown */
    struct timespec changed; /* when the file was last changed, as the list was built */
    bool streamed;  /* stdin, a pipe or a device: can be read once, size unknown */
    bool directory;
    char digest[65]; /* once computed; "" before */
} mr_input;

typedef struct mr_input_list {
    mr_input *items;
    size_t count, capacity;
} mr_input_list;

/* Zero-initialised `list`; mr_input_list_fini also after a failure. */
mr_status mr_input_list_build(mr_input_list *list, const char *const *paths, size_t count, mr_error *error);
void mr_input_list_fini(mr_input_list *list);

/* BAD_INPUT when the file is another one by now than when the list was built: its records do not belong to its digest.
 * Streams and directories are not looked at; a file that is gone was read to its end nevertheless. */
mr_status mr_input_check_unchanged(const mr_input *input, mr_error *error);

struct mr_source;
const mr_input_list *mr_source_inputs(const struct mr_source *source);

#endif
