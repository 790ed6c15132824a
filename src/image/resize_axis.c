#include "image/resize_axis.h"

#include <assert.h>
#include <math.h>

#include "core/checked.h"
#include "core/mem.h"

/* 7 bytes each. An image of 4 million pixels in a row can still be squeezed. */
enum { MAX_WEIGHTS = 1 << 24 };

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= M_PI;
    return sin(x) / x * ((double)0.54f + (double)0.46f * cos(x));
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0) return 1.0;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }

typedef struct filter {
    double (*value)(double);
    double support;
} filter;

static const filter filters[] = {
    [MR_RESAMPLE_LANCZOS] = {lanczos, 3.0}, [MR_RESAMPLE_BILINEAR] = {bilinear, 1.0}, [MR_RESAMPLE_BICUBIC] = {bicubic, 2.0},
    [MR_RESAMPLE_BOX] = {box, 0.5},         [MR_RESAMPLE_HAMMING] = {hamming, 1.0},
};

/* Pillow takes sizes through float. */
typedef struct mapping {
    double scale, support;
    size_t in;
} mapping;

/* Inputs lo .. hi - 1 make output i. Returns its centre among the inputs. */
static double reach(const mapping *map, size_t i, size_t *lo, size_t *hi)
{
    const double center = ((double)i + 0.5) * map->scale;
    const double low = center - map->support + 0.5, high = center + map->support + 0.5;
    *lo = low < 0.0 ? 0 : (size_t)low;
    *hi = high > (double)map->in ? map->in : (size_t)high;
    return center;
}

/* Balanced digits of base 256: every byte of weight + 0x808080, less 0x80. */
static void split(const int32_t weights[MR_RESAMPLE_GROUP], int8_t digits[MR_RESAMPLE_DIGITS * MR_RESAMPLE_GROUP])
{
    for (size_t t = 0; t < MR_RESAMPLE_GROUP; t++) {
        const int32_t shifted = weights[t] + 0x808080;
        assert(shifted >= 0 && shifted < 1 << 24);
        for (size_t d = 0; d < MR_RESAMPLE_DIGITS; d++) digits[d * MR_RESAMPLE_GROUP + t] = (int8_t)((shifted >> (8 * d) & 0xff) - 0x80);
    }
}

/* The weights of one output as fixed-point numbers; `values` is room for hi - lo. */
static void weigh(const mapping *map, const filter *f, double center, size_t lo, size_t hi, double *values, int32_t *weights)
{
    const double inverse = 1.0 / fmax(map->scale, 1.0);
    double sum = 0.0;
    for (size_t x = 0; x < hi - lo; x++) {
        values[x] = f->value(((double)x + (double)lo - center + 0.5) * inverse);
        sum += values[x];
    }
    for (size_t x = 0; x < hi - lo; x++) {
        const double value = sum != 0.0 ? values[x] / sum : values[x];
        weights[x] = (int32_t)(value * (1 << MR_RESAMPLE_SHIFT) + (value < 0.0 ? -0.5 : 0.5));
    }
}

/* The longest reach of the outputs, rounded up to whole groups; and the inputs all of them need. */
static size_t survey(const mapping *map, size_t offset, size_t count, mr_resize_axis *axis)
{
    size_t most = 1;
    for (size_t i = 0; i < count; i++) {
        size_t lo, hi;
        reach(map, offset + i, &lo, &hi);
        if (i == 0 || lo < axis->from) axis->from = lo;
        if (i == 0 || hi > axis->to) axis->to = hi;
        if (hi - lo > most) most = hi - lo;
    }
    return (most + MR_RESAMPLE_GROUP - 1) / MR_RESAMPLE_GROUP * MR_RESAMPLE_GROUP;
}

mr_status mr_resize_axis_create(size_t in, size_t out, mr_resample_filter kind, size_t offset, size_t count, mr_resize_axis *axis,
                                mr_error *error)
{
    const filter *f = &filters[kind];
    const double scale = (double)(float)in / (double)out;
    const mapping map = {scale, f->support * fmax(scale, 1.0), in};

    mr_resize_axis result = {0};
    const size_t taps = survey(&map, offset, count, &result);
    if (taps > MAX_WEIGHTS / count) {
        return mr_error_set(error, MR_BAD_RECORD, "%zu pixels in a row are too many to be squeezed into %zu", in, out);
    }
    const size_t weight_count = taps * count;
    double *values = mr_mem_alloc_array(taps, sizeof *values, MR_MEM_RECORDS);
    int32_t *weights = mr_mem_calloc(weight_count + count + weight_count * MR_RESAMPLE_DIGITS / sizeof(int32_t), sizeof *weights,
                                     MR_MEM_RECORDS);
    if (values == NULL || weights == NULL) {
        mr_mem_free(values);
        mr_mem_free(weights);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%zu weights to resize %zu pixels to %zu", weight_count, in, out);
    }
    uint32_t *first = (uint32_t *)(weights + weight_count);
    int8_t *digits = (int8_t *)(first + count);
    const size_t needed = result.to - result.from;
    for (size_t i = 0; i < count; i++) {
        size_t lo, hi;
        const double center = reach(&map, offset + i, &lo, &hi);
        /* Where all taps together would reach beyond the last input, the leading ones weigh 0. */
        const size_t at = lo - result.from, last = needed > taps ? needed - taps : 0, start = at < last ? at : last;
        int32_t *own = weights + i * taps;
        first[i] = (uint32_t)start;
        weigh(&map, f, center, lo, hi, values, own + (at - start));
        for (size_t t = 0; t < taps; t += MR_RESAMPLE_GROUP) split(own + t, digits + (i * taps + t) * MR_RESAMPLE_DIGITS);
    }
    mr_mem_free(values);
    result.taps = (mr_resample_axis){count, taps, first, weights, digits};
    result.block = weights;
    *axis = result;
    return MR_OK;
}

void mr_resize_axis_free(mr_resize_axis *axis)
{
    mr_mem_free(axis->block);
    *axis = (mr_resize_axis){0};
}
