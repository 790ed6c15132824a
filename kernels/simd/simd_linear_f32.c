#define SIMD_LINEAR_FORMAT MR_LINEAR_F32
#include "kernels/simd/simd_linear.h"

void SIMD(mr_linear_f32)(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                         const mr_epilogue *epilogue, void *scratch)
{
    (void)scratch;
    for (size_t first = 0; first < rows; first += MR_LINEAR_BLOCK_ROWS) {
        const size_t count = rows - first < MR_LINEAR_BLOCK_ROWS ? rows - first : MR_LINEAR_BLOCK_ROWS;
        multiply_block(linear, x + first * ldx, ldx, NULL, y, ldy, first, count, epilogue);
    }
}
