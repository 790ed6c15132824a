#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/contact_sheet.h"

mr_status mr_bitmap_write_png(const mr_bitmap *bitmap, const char *path, mr_error *error)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) return mr_error_set(error, MR_CANNOT_CREATE, "cannot create %s: %s", path, strerror(errno));
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)bitmap->width, .height = (png_uint_32)bitmap->height, .format = PNG_FORMAT_RGB};
    const int written = png_image_write_to_stdio(&image, file, 0, bitmap->pixels, 0, NULL);
    struct stat info;
    const bool regular = fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode);
    errno = 0;
    const bool closed = fclose(file) == 0;
    if (written && closed) return MR_OK;
    const int why = errno;
    if (regular) remove(path); /* half a picture is none */
    return written ? mr_error_errno(error, why, "cannot write %s", path) : mr_error_set(error, MR_IO, "cannot write %s: %s", path, image.message);
}
