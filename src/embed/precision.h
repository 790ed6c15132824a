/* How an embedder's precision class is computed. */
#ifndef MR_EMBED_PRECISION_H
#define MR_EMBED_PRECISION_H

#include "capability/model.h"
#include "kernels/kernels.h"

/* What AUTO means on this CPU: the fastest class that keeps cosine >= 0.9999. */
mr_precision mr_embed_auto_precision(void);

mr_linear_format mr_embed_linear_format(mr_precision precision);

#endif
