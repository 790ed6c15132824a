#include "tiny_bert.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "safetensors_writer.h"

#define MAX_TENSORS 128

typedef struct collection {
    const tiny_bert *how;
    written_tensor tensors[MAX_TENSORS];
    size_t count;
} collection;

/* Values in +-0.4 that depend on the tensor's name alone, so that a renamed file holds the same model. */
static float *made_up(const char *name, size_t count)
{
    uint32_t state = 2166136261U;
    for (const char *c = name; *c; c++) state = (state ^ (uint32_t)*c) * 16777619U;
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = ((float)(state >> 8) / 16777216.0F - 0.5F) * 0.8F;
    }
    return values;
}

/* columns 0: a vector. */
static void add(collection *all, const char *name, size_t rows, size_t columns)
{
    if (all->how->skip && strcmp(name, all->how->skip) == 0) return;
    bool reshape = all->how->reshape && strcmp(name, all->how->reshape) == 0;
    written_tensor *tensor = &all->tensors[all->count++];
    assert_true(all->count <= MAX_TENSORS);
    size_t stored = rows + (reshape ? 1 : 0);
    float *values = made_up(name, stored * (columns ? columns : 1));
    if (all->how->nan_word > 0 && strcmp(name, "embeddings.word_embeddings.weight") == 0) values[(size_t)all->how->nan_word * columns] = NAN;
    char *full = malloc(256);
    assert_non_null(full);
    snprintf(full, 256, "%s%s", all->how->prefix ? all->how->prefix : "", name);
    if (all->how->old_norm_names && strstr(full, "LayerNorm.")) strcpy(strrchr(full, '.'), strstr(full, ".weight") ? ".gamma" : ".beta");
    *tensor = (written_tensor){ .name = full, .dtype = MR_DTYPE_F32, .rank = columns ? 2 : 1, .shape = { stored, columns }, .data = values };
}

static void add_pair(collection *all, const char *name, size_t rows, size_t columns)
{
    char full[200];
    snprintf(full, sizeof full, "%s.weight", name);
    add(all, full, rows, columns);
    snprintf(full, sizeof full, "%s.bias", name);
    add(all, full, rows, 0);
}

static void add_layer(collection *all, size_t n)
{
    static const struct { const char *name; size_t rows, columns; } parts[] = {
        { "attention.self.query", TINY_HIDDEN, TINY_HIDDEN },    { "attention.self.key", TINY_HIDDEN, TINY_HIDDEN },
        { "attention.self.value", TINY_HIDDEN, TINY_HIDDEN },    { "attention.output.dense", TINY_HIDDEN, TINY_HIDDEN },
        { "attention.output.LayerNorm", TINY_HIDDEN, 0 },        { "intermediate.dense", TINY_INNER, TINY_HIDDEN },
        { "output.dense", TINY_HIDDEN, TINY_INNER },             { "output.LayerNorm", TINY_HIDDEN, 0 },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[160];
        snprintf(name, sizeof name, "encoder.layer.%zu.%s", n, parts[i].name);
        add_pair(all, name, parts[i].rows, parts[i].columns);
    }
}

void write_tiny_bert(const char *directory, const tiny_bert *how)
{
    char path[1024], config[4096];
    static const int64_t position_ids[TINY_POSITIONS];
    collection all = { .how = how };
    add(&all, "embeddings.word_embeddings.weight", TINY_VOCAB, TINY_HIDDEN);
    add(&all, "embeddings.position_embeddings.weight", TINY_POSITIONS, TINY_HIDDEN);
    add(&all, "embeddings.token_type_embeddings.weight", 2, TINY_HIDDEN);
    add_pair(&all, "embeddings.LayerNorm", TINY_HIDDEN, 0);
    for (size_t n = 0; n < TINY_LAYERS; n++) add_layer(&all, n);
    size_t own = all.count;
    if (how->with_extras) {
        add_pair(&all, "pooler.dense", TINY_HIDDEN, TINY_HIDDEN);
        add_pair(&all, "cls.predictions.transform.dense", TINY_HIDDEN, TINY_HIDDEN);
        own = all.count;
        all.tensors[all.count++] =
            (written_tensor){ .name = "embeddings.position_ids", .dtype = MR_DTYPE_I64, .rank = 2, .shape = { 1, TINY_POSITIONS }, .data = position_ids };
    }
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    write_safetensors(path, all.tensors, all.count);
    snprintf(config, sizeof config, "{\"model_type\":\"bert\",%s}", how->config ? how->config : TINY_SIZES);
    snprintf(path, sizeof path, "%s/config.json", directory);
    write_text(path, config);
    for (size_t i = 0; i < own; i++) {
        free((void *)(uintptr_t)all.tensors[i].name);
        free((void *)(uintptr_t)all.tensors[i].data);
    }
}
