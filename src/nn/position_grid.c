#include "nn/position_grid.h"

#include <math.h>

#define TAPS 4
#define A (-0.75)

typedef struct taps {
    size_t index[TAPS];
    double weight[TAPS];
} taps;

static double weigh(double distance)
{
    double x = fabs(distance);
    return x <= 1 ? ((A + 2) * x - (A + 3)) * x * x + 1 : ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
}

static taps taps_of(size_t out, size_t from_side, size_t to_side)
{
    double center = ((double)out + 0.5) * (double)from_side / (double)to_side - 0.5, first = floor(center) - 1;
    taps t;
    for (size_t i = 0; i < TAPS; i++) {
        double at = first + (double)i;
        t.index[i] = at < 0 ? 0 : at >= (double)from_side ? from_side - 1 : (size_t)at;
        t.weight[i] = weigh(center - at);
    }
    return t;
}

void mr_position_grid_resample(const float *from, size_t from_side, float *to, size_t to_side, size_t width)
{
    for (size_t place = 0; place < to_side * to_side; place++) {
        const taps rows = taps_of(place / to_side, from_side, to_side), columns = taps_of(place % to_side, from_side, to_side);
        for (size_t i = 0; i < width; i++) {
            double sum = 0;
            for (size_t y = 0; y < TAPS; y++)
                for (size_t x = 0; x < TAPS; x++)
                    sum += rows.weight[y] * columns.weight[x] * (double)from[(rows.index[y] * from_side + columns.index[x]) * width + i];
            to[place * width + i] = (float)sum;
        }
    }
}
