/* Learned positions of a square of patches, for a square of another size. */
#ifndef MR_NN_POSITION_GRID_H
#define MR_NN_POSITION_GRID_H

#include <stddef.h>

/* to [to_side, to_side, width] of from [from_side, from_side, width]: bicubic as torch.nn.functional.interpolate has it with
 * align_corners false and no antialiasing: a = -0.75, four taps, the edge repeated. */
void mr_position_grid_resample(const float *from, size_t from_side, float *to, size_t to_side, size_t width);

#endif
