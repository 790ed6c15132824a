#include "tokenizer/ascii_block.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

mr_ascii_block mr_ascii_block_read_ref(const char *text)
{
    mr_ascii_block block = { 0 };
    for (unsigned i = 0; i < MR_ASCII_BLOCK; i++) {
        unsigned char c = (unsigned char)text[i];
        uint64_t bit = UINT64_C(1) << i;
        if (c >= 'a' && c <= 'z') block.lower |= bit;
        else if (c >= 'A' && c <= 'Z') block.upper |= bit;
        else if (c >= '0' && c <= '9') block.digits |= bit;
        else if (c == ' ') block.spaces |= bit;
        else if (c == '\n' || c == '\r') block.line_ends |= bit;
        else if (c < ' ' || c == 0x7F) block.controls |= bit;
        else if (c == '\'') block.quotes |= bit;
        else if (c == '/') block.slashes |= bit;
        else if (c >= 0x80) block.beyond |= bit;
        if ((c & 0xC0) == 0x80) block.trails |= bit;
    }
    return block;
}

#if defined(__SSE2__) /* part of every x86-64: nothing to choose at run time */

/* Places of bytes first .. first + count - 1: moved to the lowest signed bytes, where one comparison finds them. */
static inline uint64_t among(__m128i bytes, int first, int count)
{
    __m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8((char)(128 - first)));
    return (uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8((char)(count - 128))));
}

static inline uint64_t equal(__m128i bytes, char c)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

mr_ascii_block mr_ascii_block_read(const char *text)
{
    mr_ascii_block block = { 0 };
    for (int i = 0; i < MR_ASCII_BLOCK; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        uint64_t line_ends = equal(bytes, '\n') | equal(bytes, '\r');
        block.upper |= among(bytes, 'A', 26) << i;
        block.lower |= among(bytes, 'a', 26) << i;
        block.digits |= among(bytes, '0', 10) << i;
        block.spaces |= equal(bytes, ' ') << i;
        block.line_ends |= line_ends << i;
        block.controls |= ((among(bytes, 0, 32) | equal(bytes, 0x7F)) & ~line_ends) << i;
        block.quotes |= equal(bytes, '\'') << i;
        block.slashes |= equal(bytes, '/') << i;
        block.beyond |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << i;
        block.trails |= among(bytes, 0x80, 64) << i;
    }
    return block;
}

#else

mr_ascii_block mr_ascii_block_read(const char *text)
{
    return mr_ascii_block_read_ref(text);
}

#endif
