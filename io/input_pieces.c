#include "io/input_pieces.h"

#include <stdlib.h>

#include "core/file.h"

static mr_status set(mr_piece *piece, size_t input, const mr_reader_kind *kind, char *path, char *name, char *id, mr_error *error)
{
    *piece = (mr_piece){ input, kind, path, name, id };
    if (path && name && id) return MR_OK;
    mr_piece_fini(piece);
    return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
}

static mr_status next_below(mr_input_pieces *pieces, const mr_input *input, mr_piece *out, mr_error *error)
{
    const char *below;
    if (!pieces->walk) MR_TRY(mr_directory_walk_open(input->path, &pieces->walk, error));
    MR_TRY(mr_directory_walk_next(pieces->walk, &below, error));
    return set(out, pieces->at, &mr_reader_whole_file, mr_path_join(input->path, below), mr_path_join(input->path, below), mr_strdup(below), error);
}

mr_status mr_input_pieces_next(mr_input_pieces *pieces, mr_piece *out, mr_error *error)
{
    for (; pieces->at < pieces->inputs->count; pieces->at++) {
        const mr_input *input = &pieces->inputs->items[pieces->at];
        if (!input->directory)
            return set(out, pieces->at++, input->kind, mr_strdup(input->path), mr_strdup(input->name), mr_strdup(input->name), error);
        mr_status status = next_below(pieces, input, out, error);
        if (status != MR_END) return status;
        mr_input_pieces_fini(pieces);
    }
    return MR_END;
}

void mr_input_pieces_fini(mr_input_pieces *pieces)
{
    mr_directory_walk_close(pieces->walk);
    pieces->walk = NULL;
}

void mr_piece_fini(mr_piece *piece)
{
    free(piece->path);
    free(piece->name);
    free(piece->id);
    *piece = (mr_piece){ 0 };
}
