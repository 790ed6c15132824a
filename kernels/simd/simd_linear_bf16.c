#define SIMD_LINEAR_FORMAT MR_LINEAR_BF16
#include "kernels/simd/simd_linear.h"

void SIMD(mr_linear_bf16)(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                          const mr_epilogue *epilogue, void *scratch)
{
    const size_t ld = mr_linear_row_words(MR_LINEAR_BF16, linear->k);
    const unsigned mode = v_subnormals_to_zero();
    for (size_t first = 0; first < rows; first += MR_LINEAR_BLOCK_ROWS) {
        const size_t count = rows - first < MR_LINEAR_BLOCK_ROWS ? rows - first : MR_LINEAR_BLOCK_ROWS;
        for (size_t i = 0; i < count; i++) {
            const float *row = x + (first + i) * ldx;
            uint16_t *out = (uint16_t *)scratch + i * ld * 2;
            for (size_t p = 0; p < linear->k; p += VW) v_words_to_bf16(out + p, v_load_n(row + p, linear->k - p));
        }
        multiply_block(linear, scratch, ld, NULL, y, ldy, first, count, epilogue);
    }
    _mm_setcsr(mode);
}
