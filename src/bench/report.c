#include "bench/report.h"

#include <stdlib.h>

#define GIGA 1e-9

void mr_bench_report_fini(mr_bench_report *report)
{
    free(report->results);
    report->results = NULL;
    report->result_count = 0;
}

double mr_bench_result_rate(const mr_bench_result *result)
{
    return result->time.least > 0.0 ? result->facts.flops / result->time.least : 0.0;
}

double mr_bench_result_share(const mr_bench_result *result, const mr_bench_machine *machine)
{
    double peak = machine->peaks[result->facts.format].one.most;
    return peak > 0.0 ? mr_bench_result_rate(result) / peak : 0.0;
}

double mr_bench_forward_limit(const mr_bench_forward *forward, const mr_bench_machine *machine)
{
    double linear = machine->peaks[forward->format].one.most;
    double attention = machine->peaks[forward->format == MR_LINEAR_F32 ? MR_LINEAR_F32 : MR_LINEAR_BF16].one.most;
    double f32 = machine->peaks[MR_LINEAR_F32].one.most, exact = forward->f32_flops > 0.0 ? forward->f32_flops / f32 : 0.0;
    if (linear <= 0.0 || attention <= 0.0 || forward->linear_flops <= 0.0) return 0.0;
    return 1.0 / ((forward->linear_flops - forward->f32_flops) / linear + exact + forward->attention_flops / attention);
}

void mr_bench_print_result(FILE *out, const mr_bench_result *result, const mr_bench_machine *machine)
{
    const mr_bench_case *facts = &result->facts;
    fprintf(out, "  %-5s %-34s %6zu %11.1f", mr_linear_format_text(facts->format), facts->name, facts->rows, result->time.least * 1e6);
    if (facts->flops > 0.0) fprintf(out, " %9.1f %6.1f %%", mr_bench_result_rate(result) * GIGA, 100.0 * mr_bench_result_share(result, machine));
    else fprintf(out, " %9s %8s", "", "");
    fprintf(out, " %8.1f", facts->bytes / result->time.least * GIGA);
    if (facts->flops > 0.0) fprintf(out, " %9.1f", facts->flops / facts->bytes);
    fputc('\n', out);
}

static void print_roof(FILE *out, const mr_bench_roof *roof, const char *unit, double bytes)
{
    char size[16] = "";
    if (bytes > 0.0) mr_str_bytes(size, (uint64_t)bytes);
    fprintf(out, "  %-11s %-10s %9.1f %9.1f  %s\n", roof->name, size, roof->one.most * GIGA, roof->all.most * GIGA, unit);
}

static void print_machine(FILE *out, const mr_bench_machine *machine)
{
    char ram[16];
    double noise = mr_bench_machine_noise(machine);
    fprintf(out, "machine  %s, %zu core%s, %s, %s kernels\n", machine->cpu, machine->cores, machine->cores == 1 ? "" : "s", mr_str_bytes(ram, machine->ram),
            machine->kernels->name);
    fprintf(out, "         best of many short runs; the median burst lay %.0f %% below the best%s\n\n", 100.0 * noise,
            noise < MR_BENCH_NOISY ? "" : ": NOISY, others are at work here; do not trust single figures");
    fprintf(out, "peaks    %-14s %9s %9s\n", "", "1 core", "all");
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) print_roof(out, &machine->peaks[f], "G operations/s, multiply-add in registers", 0.0);
    for (size_t i = 0; i < machine->memory_count; i++) print_roof(out, &machine->memory[i], "GB/s", (double)machine->memory[i].bytes);
}

static void print_results(FILE *out, const mr_bench_report *report)
{
    const char *group = "";
    for (size_t i = 0; i < report->result_count; i++) {
        const mr_bench_result *result = &report->results[i];
        if (result->facts.group != group)
            fprintf(out, "\n%-9s %-30s %8s %11s %9s %8s %8s %9s\n", result->facts.group, "(one core)", result->facts.group[0] == 'a' ? "tokens" : "rows", "us",
                    "GFLOP/s", "of peak", "GB/s", "flop/byte");
        group = result->facts.group;
        mr_bench_print_result(out, result, &report->machine);
    }
}

static void print_counters(FILE *out, const mr_bench_forward *forward)
{
    const uint64_t *counted = forward->counted;
    if (counted[MR_COUNTER_CYCLES] != MR_COUNTER_ABSENT && counted[MR_COUNTER_INSTRUCTIONS] != MR_COUNTER_ABSENT)
        fprintf(out, "        %.2f instructions a cycle\n", (double)counted[MR_COUNTER_INSTRUCTIONS] / (double)counted[MR_COUNTER_CYCLES]);
    if (counted[MR_COUNTER_LLC_MISSES] != MR_COUNTER_ABSENT)
        fprintf(out, "        %.1f LLC misses a token\n", (double)counted[MR_COUNTER_LLC_MISSES] / forward->counted_tokens);
    if (counted[MR_COUNTER_PAGE_FAULTS] != MR_COUNTER_ABSENT)
        fprintf(out, "        %llu page faults in %.0f tokens after the first round\n", (unsigned long long)counted[MR_COUNTER_PAGE_FAULTS], forward->counted_tokens);
}

static void print_forwards(FILE *out, const mr_bench_report *report)
{
    if (report->forward_count == 0) return;
    fprintf(out, "\nforward   %s\n          tokens/s: %8s %9s %9s %9s %10s %8s\n", report->model, "1 core", "limit", "of limit", "all", "of limit", "scaling");
    for (size_t i = 0; i < report->forward_count; i++) {
        const mr_bench_forward *f = &report->forwards[i];
        double limit = mr_bench_forward_limit(f, &report->machine), cores = (double)report->machine.cores;
        fprintf(out, "  %-16s %10.0f %9.0f %7.1f %% %9.0f %8.1f %% %7.2fx\n", mr_precision_text(f->precision), f->one.most, limit, 100.0 * f->one.most / limit,
                f->all.most, 100.0 * f->all.most / (limit * cores), f->all.most / f->one.most);
        print_counters(out, f);
    }
    const mr_bench_forward *f = &report->forwards[0];
    if (f->inputs[0] == 'i') fprintf(out, "          an image is %zu tokens\n", f->tokens / f->count);
    fprintf(out, "          %zu %s of %zu tokens together; %.1f MFLOP a token in linear layers, %.1f in attention; the limit is their time at the peaks above\n",
            f->count, f->inputs, f->tokens, f->linear_flops * 1e-6, f->attention_flops * 1e-6);
}

void mr_bench_print_text(FILE *out, const mr_bench_report *report)
{
    print_machine(out, &report->machine);
    print_results(out, report);
    print_forwards(out, report);
}
