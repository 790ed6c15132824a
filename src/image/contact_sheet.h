/* Many images on one: a grid of thumbnails, row by row, for a person to look at. */
#ifndef MR_IMAGE_CONTACT_SHEET_H
#define MR_IMAGE_CONTACT_SHEET_H

#include "image/bitmap.h"

enum { MR_THUMBNAIL_EDGE = 224 }; /* the square a thumbnail is fitted into, pixels */

typedef struct mr_contact_sheet {
    mr_bitmap sheet;
    size_t columns, count, placed;
} mr_contact_sheet;

/* Room for `count` thumbnails. OUT_OF_MEMORY */
mr_status mr_contact_sheet_create(size_t count, mr_contact_sheet *out, mr_error *error);
void mr_contact_sheet_free(mr_contact_sheet *sheet); /* fine on a zeroed one */

/* The next place: the image, its proportions kept; NULL leaves it empty. At most `count` calls. */
mr_status mr_contact_sheet_add(mr_contact_sheet *sheet, const mr_bitmap *image, mr_error *error);

/* A PNG file, replacing what is there. CANNOT_CREATE, IO, NO_SPACE. */
mr_status mr_bitmap_write_png(const mr_bitmap *bitmap, const char *path, mr_error *error);

#endif
