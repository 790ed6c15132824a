#include "image/contact_sheet.h"

#include <assert.h>
#include <string.h>

#include "image/resize.h"

enum { COLUMNS = 5, MARGIN = 8, BACKGROUND = 0xf4 };

static size_t pitch(void) { return MR_THUMBNAIL_EDGE + MARGIN; }

mr_status mr_contact_sheet_create(size_t count, mr_contact_sheet *out, mr_error *error)
{
    mr_contact_sheet sheet = {.columns = count < COLUMNS ? count : COLUMNS, .count = count};
    const size_t rows = (count + sheet.columns - 1) / sheet.columns;
    MR_TRY(mr_bitmap_alloc(sheet.columns * pitch() + MARGIN, rows * pitch() + MARGIN, &sheet.sheet, error));
    memset(sheet.sheet.pixels, BACKGROUND, 3 * sheet.sheet.width * sheet.sheet.height);
    *out = sheet;
    return MR_OK;
}

void mr_contact_sheet_free(mr_contact_sheet *sheet) { mr_bitmap_free(&sheet->sheet); }

static size_t scaled(size_t side, size_t longer)
{
    const size_t length = (side * MR_THUMBNAIL_EDGE + longer / 2) / longer;
    return length > 0 ? length : 1;
}

mr_status mr_contact_sheet_add(mr_contact_sheet *sheet, const mr_bitmap *image, mr_error *error)
{
    assert(sheet->placed < sheet->count);
    const size_t at = sheet->placed++;
    if (image == NULL) return MR_OK;
    const size_t longer = image->width > image->height ? image->width : image->height;
    const mr_resize resize = {.width = scaled(image->width, longer), .height = scaled(image->height, longer), .filter = MR_RESAMPLE_LANCZOS};
    const mr_window whole = {0, 0, resize.width, resize.height};
    const size_t left = MARGIN + at % sheet->columns * pitch() + (MR_THUMBNAIL_EDGE - resize.width) / 2;
    const size_t top = MARGIN + at / sheet->columns * pitch() + (MR_THUMBNAIL_EDGE - resize.height) / 2;
    const size_t ld = 3 * sheet->sheet.width;
    return mr_bitmap_resize(image, &resize, &whole, sheet->sheet.pixels + top * ld + 3 * left, ld, error);
}
