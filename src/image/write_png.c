#include <errno.h>
#include <png.h>
#include <stdio.h>

#include "image/contact_sheet.h"

mr_status mr_bitmap_write_png(const mr_bitmap *bitmap, const char *path, mr_error *error)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) return mr_error_set(error, MR_CANNOT_CREATE, "cannot create %s", path);
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)bitmap->width, .height = (png_uint_32)bitmap->height, .format = PNG_FORMAT_RGB};
    const int written = png_image_write_to_stdio(&image, file, 0, bitmap->pixels, 0, NULL);
    errno = 0;
    if (fclose(file) != 0) return mr_error_errno(error, errno, "cannot write %s", path);
    return written ? MR_OK : mr_error_set(error, MR_IO, "cannot write %s: %s", path, image.message);
}
