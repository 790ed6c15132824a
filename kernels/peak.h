/* What this machine can do at most, measured: the denominator of every "per cent of peak". */
#ifndef MR_KERNELS_PEAK_H
#define MR_KERNELS_PEAK_H

#include "kernels/gemm.h"

struct mr_kernels;

/* Operations per second of the calling thread now, with inputs of this format: one burst of independent multiply-adds on
 * registers, of about `seconds`. Other work on the machine makes it smaller, never larger. */
double mr_peak_try(const struct mr_kernels *kernels, mr_linear_format format, double seconds);

/* The same of one core in the chosen instruction set: the best of several short tries (about 30 ms, at the first call; then
 * remembered). Thread-safe. */
double mr_peak_flops(mr_linear_format format);

#endif
