/* An HDF5 file of images as a model sees them: /pixels u8 [N, height, width, 3], /status, /id, /error, /width, /height (of the
 * image before it was resized), in the encodings of docs/output-format.md. It appears under its name when it is complete. */
#ifndef MR_IO_PIXEL_FILE_H
#define MR_IO_PIXEL_FILE_H

#include "io/embedding_row.h"

typedef struct mr_pixel_file mr_pixel_file;

/* width and height of every image. CANNOT_CREATE, NO_SPACE, OUTPUT_DIFFERS when `path` exists and is not to be replaced. */
mr_status mr_pixel_file_create(const char *path, size_t width, size_t height, bool overwrite, mr_pixel_file **out, mr_error *error);
/* Of `row`, status, id, error, width and height are kept. pixels NULL: all 0. */
mr_status mr_pixel_file_put(mr_pixel_file *file, const mr_embedding_row *row, const uint8_t *pixels, mr_error *error);
/* Frees `file` either way; without finish (NULL is fine) nothing is left behind. */
mr_status mr_pixel_file_finish(mr_pixel_file *file, const mr_attribute *attributes, size_t count, mr_error *error);
void mr_pixel_file_abandon(mr_pixel_file *file);

#endif
