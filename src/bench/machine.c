#include "bench/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "kernels/peak.h"

#define TRIES 32 /* short ones: between two interruptions there is always a whole one */
#define BURST_SECONDS 0.003
#define PIECE_BYTES ((size_t)1 << 20) /* gone through between two looks at the clock */
#define LEAST_DRAM_BYTES ((size_t)128 << 20)

static void read_cpu_name(char out[64])
{
    char line[256];
    snprintf(out, 64, "unknown CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) != 0 || !strchr(line, ':')) continue;
        char *name = strchr(line, ':') + 1;
        name += strspn(name, " \t");
        name[strcspn(name, "\n")] = '\0';
        snprintf(out, 64, "%s", name);
        break;
    }
    if (file) fclose(file);
}

/* Bytes of the first core's data cache of a level; 0 = there is none, or /sys does not say. */
static size_t cache_bytes(unsigned level)
{
    for (int index = 0; index < 8; index++) {
        char path[80], kind[16] = "";
        unsigned found = 0;
        size_t kib = 0;
        static const char *const names[] = { "level", "type", "size" };
        for (int i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, names[i]);
            FILE *file = fopen(path, "re");
            if (!file) return 0;
            int read = i == 0 ? fscanf(file, "%u", &found) : i == 1 ? fscanf(file, "%15s", kind) : fscanf(file, "%zuK", &kib);
            fclose(file);
            if (read != 1) return 0;
        }
        if (found == level && strcmp(kind, "Instruction") != 0) return kib << 10;
    }
    return 0;
}

typedef struct peak_work {
    const mr_kernels *kernels;
    mr_linear_format format;
} peak_work;

static double multiply_add(void *context, size_t member)
{
    (void)member;
    const peak_work *work = context;
    static _Thread_local volatile float kept;
    float sink = 0.0f;
    double operations = work->kernels->probe[work->format](1000, &sink);
    kept = sink;
    (void)kept;
    return operations;
}

/* Each member has `floats` of the block to itself and goes on where it stopped. */
typedef struct stream_work {
    const mr_kernels *kernels;
    float *block;
    size_t floats;
    size_t *next; /* [cores] */
} stream_work;

/* Where the member's next piece of an array of `floats` begins. */
static size_t next_piece(const stream_work *work, size_t member, size_t floats, size_t piece)
{
    size_t at = work->next[member];
    if (at + piece > floats) at = 0;
    work->next[member] = at + piece;
    return at;
}

static double touch(void *context, size_t member)
{
    const stream_work *work = context;
    memset(work->block + member * work->floats, 0, work->floats * sizeof(float));
    return 0.0;
}

static double stream_read(void *context, size_t member)
{
    const stream_work *work = context;
    static _Thread_local volatile float kept;
    const size_t most = PIECE_BYTES / sizeof(float), piece = work->floats < most ? work->floats : most;
    double bytes = 0.0;
    while (bytes < (double)PIECE_BYTES) {
        const float *x = work->block + member * work->floats;
        kept = work->kernels->stream_read_f32(x + next_piece(work, member, work->floats, piece), piece);
        bytes += (double)(piece * sizeof(float));
    }
    (void)kept;
    return bytes;
}

static double stream_triad(void *context, size_t member)
{
    const stream_work *work = context;
    const size_t third = work->floats / 3, piece = PIECE_BYTES / sizeof(float);
    float *y = work->block + member * work->floats + next_piece(work, member, third, piece);
    work->kernels->stream_triad_f32(y, y + third, y + 2 * third, piece);
    return 3.0 * (double)PIECE_BYTES;
}

/* One core and all in turns, so that a slow moment of the machine hits both. */
static mr_status measure_roof(mr_bench_roof *roof, size_t cores, double seconds, mr_bench_work *work, void *one, void *all, mr_error *error)
{
    for (int i = 0; i < TRIES; i++) {
        double rate;
        MR_TRY(mr_bench_work_together(1, seconds / (2 * TRIES), work, one, &rate, error));
        mr_bench_series_add(&roof->one, rate);
        MR_TRY(mr_bench_work_together(cores, seconds / (2 * TRIES), work, all, &rate, error));
        mr_bench_series_add(&roof->all, rate);
    }
    return MR_OK;
}

/* A level of memory: what each core goes through when all do, and what one goes through alone. */
static mr_status measure_memory(mr_bench_machine *machine, const char *name, size_t each, size_t alone, const stream_work *memory, double seconds,
                                mr_bench_work *work, mr_error *error)
{
    mr_bench_roof *roof = &machine->memory[machine->memory_count];
    stream_work one = *memory, all = *memory;
    one.floats = alone / sizeof(float);
    all.floats = each / sizeof(float);
    *roof = (mr_bench_roof){ .name = name, .bytes = each };
    MR_TRY(measure_roof(roof, machine->cores, seconds, work, &one, &all, error));
    machine->memory_count++;
    return MR_OK;
}

static mr_status measure_all_memory(mr_bench_machine *machine, double seconds, const mr_bench_progress *progress, mr_error *error)
{
    const size_t l1 = cache_bytes(1), l2 = cache_bytes(2), l3 = cache_bytes(3), line = 4096;
    size_t dram = 4 * l3 * (machine->cores > 8 ? machine->cores / 8 : 1); /* some machines have a last-level cache for every eight cores */
    if (dram < LEAST_DRAM_BYTES) dram = LEAST_DRAM_BYTES;
    if (machine->ram > 0 && dram > machine->ram / 4) dram = (size_t)(machine->ram / 4);
    const size_t each = dram / machine->cores / line * line;
    stream_work all = { machine->kernels, mr_mem_alloc(dram, MR_MEM_OTHER), each / sizeof(float), calloc(machine->cores, sizeof *all.next) };
    mr_status status = all.block && all.next ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes to measure memory with", dram);
    double rate;
    if (status != MR_OK) goto done;
    MR_TRY_OR(status, mr_bench_work_together(machine->cores, 0.0, touch, &all, &rate, error), done); /* pages near the core that reads them */
    const struct { const char *name; size_t each, alone; mr_bench_work *work; } levels[MR_BENCH_MEMORY_MAX] = {
        { "L1 read", l1 / 2, l1 / 2, stream_read },
        { "L2 read", l2 / 2, l2 / 2, stream_read },
        { "L3 read", l3 / 2 / machine->cores > 2 * l2 ? l3 / 2 / machine->cores / line * line : 0, l3 / 2, stream_read },
        { "DRAM read", each, dram, stream_read },
        { "DRAM triad", each, dram, stream_triad },
    };
    for (size_t i = 0; i < MR_BENCH_MEMORY_MAX; i++) {
        if (levels[i].each == 0) continue;
        if (progress->show) progress->show(progress->context, (double)i / MR_BENCH_MEMORY_MAX, levels[i].name);
        MR_TRY_OR(status, measure_memory(machine, levels[i].name, levels[i].each, levels[i].alone, &all, seconds / MR_BENCH_MEMORY_MAX, levels[i].work, error), done);
    }
done:
    mr_mem_free(all.block);
    free(all.next);
    return status;
}

mr_status mr_bench_machine_measure(const mr_kernels *kernels, size_t cores, double seconds, const mr_bench_progress *progress, mr_bench_machine *out,
                                   mr_error *error)
{
    mr_bench_machine *machine = calloc(1, sizeof *machine);
    if (!machine) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    *machine = (mr_bench_machine){ .kernels = kernels, .cores = cores };
    machine->ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getloadavg(&machine->load, 1) != 1) machine->load = -1.0;
    read_cpu_name(machine->cpu);
    mr_status status = MR_OK;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT && status == MR_OK; f++) {
        peak_work work = { kernels, (mr_linear_format)f };
        machine->peaks[f].name = mr_linear_format_text((mr_linear_format)f);
        if (progress->show) progress->show(progress->context, 0.0, machine->peaks[f].name);
        status = measure_roof(&machine->peaks[f], cores, seconds / 2.0 / MR_LINEAR_FORMAT_COUNT, multiply_add, &work, &work, error);
    }
    if (status == MR_OK) status = measure_all_memory(machine, seconds / 2.0, progress, error);
    if (status == MR_OK) *out = *machine;
    free(machine);
    return status;
}

void mr_bench_machine_probe(mr_bench_machine *machine, mr_linear_format format)
{
    mr_bench_series_add(&machine->peaks[format].one, mr_peak_try(machine->kernels, format, BURST_SECONDS));
}

double mr_bench_machine_noise(const mr_bench_machine *machine)
{
    double noise = 0.0;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) {
        const mr_bench_series *one = &machine->peaks[f].one;
        if (one->count > 0 && 1.0 - mr_bench_series_median(one) / one->most > noise) noise = 1.0 - mr_bench_series_median(one) / one->most;
    }
    return noise;
}
