#include "nn/ffn.h"

#include "core/trace.h"

size_t mr_ffn_wide_floats(const mr_ffn *ffn, size_t rows)
{
    return rows * ffn->up.n * (ffn->gate.n > 0 ? 2 : 1);
}

size_t mr_ffn_scratch_bytes(const mr_ffn *ffn, size_t rows)
{
    size_t up = mr_linear_scratch_bytes(&ffn->up, rows), down = mr_linear_scratch_bytes(&ffn->down, rows);
    return up > down ? up : down; /* gate has the shape of up */
}

void mr_ffn_run(const mr_ffn *ffn, const float *x, float *y, size_t rows, float *wide, const mr_epilogue *last, void *scratch)
{
    int64_t begin = mr_trace_begin();
    size_t hidden = ffn->up.k, inner = ffn->up.n;
    mr_epilogue epilogue = { .activation = ffn->activation };
    float *inside = wide;
    if (ffn->gate.n > 0) {
        mr_linear_run(&ffn->up, x, hidden, wide, inner, rows, NULL, scratch);
        inside = wide + rows * inner;
        epilogue.multiplier = wide;
        epilogue.ld_multiplier = inner;
        mr_linear_run(&ffn->gate, x, hidden, inside, inner, rows, &epilogue, scratch);
    } else {
        mr_linear_run(&ffn->up, x, hidden, inside, inner, rows, &epilogue, scratch);
    }
    mr_linear_run(&ffn->down, inside, inner, y, hidden, rows, last, scratch);
    mr_trace_end(begin, "feed-forward", "rows", rows);
}
