/* A list of inputs -> the files to read, in order: a directory is many. Private to io/. */
#ifndef MR_IO_INPUT_PIECES_H
#define MR_IO_INPUT_PIECES_H

#include "io/directory_walk.h"
#include "io/input_list.h"

typedef struct mr_input_pieces {
    const mr_input_list *inputs; /* borrowed */
    size_t at;
    mr_directory_walk *walk; /* of input `at`, when it is a directory being read */
} mr_input_pieces;

typedef struct mr_piece {
    size_t input; /* index into the list */
    const mr_reader_kind *kind;
    char *path, *name, *id; /* owned; as in mr_reader_options */
} mr_piece;

/* The next one, zeroed before; mr_piece_fini when done. END behind the last. */
mr_status mr_input_pieces_next(mr_input_pieces *pieces, mr_piece *out, mr_error *error);
void mr_input_pieces_fini(mr_input_pieces *pieces);
void mr_piece_fini(mr_piece *piece);

#endif
