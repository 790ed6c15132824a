#include "kernel_check.h"
int bench_kernels(const char *isa) { (void)isa; return 0; }
