/* The one fact of EXIF that matters here. TIFF 6.0, section 2; EXIF 2.3, tag 0x0112. */
#include <string.h>

#include "image/decoders.h"

enum { ORIENTATION_TAG = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

static uint32_t number(const uint8_t *at, size_t bytes, bool big_endian)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

int mr_exif_orientation(const uint8_t *data, size_t size)
{
    if (size < 8) return 1;
    const bool big = memcmp(data, "MM\0*", 4) == 0;
    if (!big && memcmp(data, "II*\0", 4) != 0) return 1;
    const size_t directory = number(data + 4, 4, big);
    if (directory > size || size - directory < 2) return 1;
    const size_t entries = number(data + directory, 2, big);
    for (size_t i = 0; i < entries; i++) {
        const size_t at = directory + 2 + i * ENTRY_BYTES;
        if (size < at + ENTRY_BYTES) return 1;
        if (number(data + at, 2, big) != ORIENTATION_TAG) continue;
        if (number(data + at + 2, 2, big) != TYPE_SHORT || number(data + at + 4, 4, big) != 1) return 1;
        const uint32_t value = number(data + at + 8, 2, big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
