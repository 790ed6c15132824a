/* 64 bytes of text as sets of places, one bit a byte: what splitting asks of ASCII, and where other characters are. */
#ifndef MR_TOKENIZER_ASCII_BLOCK_H
#define MR_TOKENIZER_ASCII_BLOCK_H

#include <stdint.h>

#define MR_ASCII_BLOCK 64

/* Place of the lowest bit of a set that is not empty. */
static inline unsigned mr_lowest_bit(uint64_t set)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(set);
#else
    unsigned place = 0;
    for (; !(set & 1); set >>= 1) place++;
    return place;
#endif
}

typedef struct mr_ascii_block {
    uint64_t upper, lower, digits;
    uint64_t spaces;      /* U+0020 */
    uint64_t line_ends;   /* CR and LF */
    uint64_t controls;    /* below U+0020 but CR and LF, and U+007F */
    uint64_t quotes;      /* ' */
    uint64_t slashes;     /* / */
    uint64_t beyond;      /* bytes from 0x80 up; in none of the sets above */
    uint64_t trails;      /* those of them that begin no character */
} mr_ascii_block;

/* text: 64 bytes. */
mr_ascii_block mr_ascii_block_read(const char *text);
/* The same without vector instructions. */
mr_ascii_block mr_ascii_block_read_ref(const char *text);

#endif
