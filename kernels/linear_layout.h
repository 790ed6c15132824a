/* How linear layers lie in memory, the same for every instruction set. A word is 32 bits of consecutive inputs: one f32, two
 * bf16 or four int8. Weights: panels of `linear_columns` outputs, [words of k][columns] inside. */
#ifndef MR_KERNELS_LINEAR_LAYOUT_H
#define MR_KERNELS_LINEAR_LAYOUT_H

#include "kernels/gemm.h"

/* Rows that are converted, and whose inputs stay in L2, while all panels of weights pass by; a multiple of the 6 rows of a
 * tile. 96 rows of 1536 inputs: 576 KiB in f32, 144 KiB in int8. */
enum { MR_LINEAR_BLOCK_ROWS = 96 };

static inline size_t mr_linear_word_inputs(mr_linear_format format)
{
    return format == MR_LINEAR_F32 ? 1 : format == MR_LINEAR_BF16 ? 2 : 4;
}

static inline size_t mr_linear_words(mr_linear_format format, size_t k)
{
    const size_t inputs = mr_linear_word_inputs(format);
    return k / inputs + (k % inputs != 0);
}

/* Words from one converted row to the next: converting writes whole vectors of 16 inputs. */
static inline size_t mr_linear_row_words(mr_linear_format format, size_t k)
{
    return (k + 15) / 16 * 16 / mr_linear_word_inputs(format);
}

/* An int8 row's scale and zero point, after the converted rows. */
typedef struct mr_linear_row_scale {
    float scale;
    int32_t zero;
} mr_linear_row_scale;

#endif
