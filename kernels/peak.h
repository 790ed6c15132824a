/* What this machine can do at most, measured: the denominator of every "per cent of peak". */
#ifndef MR_KERNELS_PEAK_H
#define MR_KERNELS_PEAK_H

#include "kernels/gemm.h"

/* Operations per second of one core in the chosen instruction set, with inputs of this format: a burst of independent
 * multiply-adds on registers, the best of several short tries (about 30 ms, at the first call; then remembered). Thread-safe. */
double mr_peak_flops(mr_linear_format format);

#endif
