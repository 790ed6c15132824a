/* The alphabet of byte-level BPE: a printable character for each byte. */
#ifndef MR_TOKENIZER_BYTE_LEVEL_H
#define MR_TOKENIZER_BYTE_LEVEL_H

#include "core/str.h"

uint32_t mr_byte_level_character(unsigned char byte);
int mr_byte_level_byte(uint32_t character); /* -1: not in the alphabet */
/* The bytes `text` stands for into `out` [text.length]; their count, SIZE_MAX when a character is not in the alphabet. */
size_t mr_byte_level_unmap(mr_str text, char *out);

#endif
