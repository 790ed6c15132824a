/* The printable alphabet of byte-level BPE: every byte has a character; 21-7E, A1-AC, AE-FF stand for themselves, the
 * other 68, ascending, are U+0100, U+0101, ... Inside this library pieces stay bytes; only vocabularies use it. */
#include "tokenizer/byte_level.h"

#include "tokenizer/unicode.h"

static bool is_printable(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t mr_byte_level_character(unsigned char byte)
{
    if (is_printable(byte)) return byte;
    uint32_t c = 0x100;
    for (uint32_t i = 0; i < byte; i++) c += !is_printable(i);
    return c;
}

int mr_byte_level_byte(uint32_t character)
{
    /* Unprintable bytes in order: 00-20, 7F-A0, AD. */
    if (character < 0x100) return is_printable(character) ? (int)character : -1;
    if (character <= 0x120) return (int)character - 0x100;
    if (character <= 0x142) return (int)character - 0x121 + 0x7F;
    return character == 0x143 ? 0xAD : -1;
}

size_t mr_byte_level_unmap(mr_str text, char *out)
{
    size_t count = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        int byte = mr_byte_level_byte(mr_utf8_decode(text.data + at, &length));
        if (byte < 0) return SIZE_MAX;
        out[count++] = (char)byte;
    }
    return count;
}
