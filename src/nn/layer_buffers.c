#include "nn/layer_buffers.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void mr_layer_buffers_lay_out(const mr_linear *qkv, const mr_linear *out, const mr_ffn *ffn, size_t head_dim, size_t tokens, size_t threads,
                              mr_scratch *scratch, mr_layer_buffers *buffers)
{
    size_t linear = larger(mr_linear_scratch_bytes(qkv, MR_PANEL_ROWS), mr_linear_scratch_bytes(out, MR_PANEL_ROWS));
    linear = larger(linear, mr_ffn_scratch_bytes(ffn, MR_PANEL_ROWS));
    *buffers = (mr_layer_buffers){ .threads = threads };
    buffers->qkv = mr_scratch_take(scratch, tokens, qkv->n * sizeof(float));
    buffers->context = mr_scratch_take(scratch, tokens, out->k * sizeof(float));
    buffers->wide = (float **)mr_scratch_take_per_member(scratch, threads, mr_ffn_wide_floats(ffn, MR_PANEL_ROWS) * sizeof(float));
    buffers->narrow = (float **)mr_scratch_take_per_member(scratch, threads, MR_PANEL_ROWS * out->n * sizeof(float));
    buffers->linear = mr_scratch_take_per_member(scratch, threads, linear);
    buffers->attention = mr_scratch_take_per_member(scratch, threads, mr_attention_scratch_bytes(head_dim));
}

size_t mr_panel_count(size_t tokens)
{
    return (tokens + MR_PANEL_ROWS - 1) / MR_PANEL_ROWS;
}

mr_panel mr_panel_at(size_t tokens, size_t index)
{
    const size_t count = mr_panel_count(tokens), tiles = (tokens + MR_LINEAR_TILE_ROWS - 1) / MR_LINEAR_TILE_ROWS;
    const size_t first = tiles * index / count * MR_LINEAR_TILE_ROWS, next = tiles * (index + 1) / count * MR_LINEAR_TILE_ROWS;
    return (mr_panel){ first, (next < tokens ? next : tokens) - first };
}
