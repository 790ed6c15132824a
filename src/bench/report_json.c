#include "bench/report.h"

#include <time.h>

/* In the units of base: operations, bytes, seconds. */
static json_t *series_json(const mr_bench_series *series, double best)
{
    return json_pack("{s:f,s:f,s:I}", "best", best, "median", mr_bench_series_median(series), "runs", (json_int_t)series->count);
}

static json_t *roof_json(const mr_bench_roof *roof)
{
    return json_pack("{s:s,s:I,s:o,s:o}", "name", roof->name, "bytes", (json_int_t)roof->bytes, "one_core", series_json(&roof->one, roof->one.most), "all_cores",
                     series_json(&roof->all, roof->all.most));
}

static json_t *machine_json(const mr_bench_machine *machine)
{
    json_t *peaks = json_array(), *memory = json_array();
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) json_array_append_new(peaks, roof_json(&machine->peaks[f]));
    for (size_t i = 0; i < machine->memory_count; i++) json_array_append_new(memory, roof_json(&machine->memory[i]));
    return json_pack("{s:s,s:s,s:I,s:I,s:f,s:f,s:o,s:o}", "cpu", machine->cpu, "isa", machine->kernels->name, "cores", (json_int_t)machine->cores, "ram",
                     (json_int_t)machine->ram, "load", machine->load, "noise", mr_bench_machine_noise(machine), "peaks", peaks, "memory", memory);
}

static json_t *result_json(const mr_bench_result *result, const mr_bench_machine *machine)
{
    const mr_bench_case *facts = &result->facts;
    json_t *object = json_pack("{s:s,s:s,s:s,s:I,s:f,s:f,s:o,s:f}", "group", facts->group, "name", facts->name, "precision", mr_linear_format_text(facts->format),
                               "rows", (json_int_t)facts->rows, "flops", facts->flops, "bytes", facts->bytes, "seconds",
                               series_json(&result->time, result->time.least), "bytes_per_second", facts->bytes / result->time.least);
    if (!object || facts->flops <= 0.0) return object;
    json_object_set_new(object, "flops_per_second", json_real(mr_bench_result_rate(result)));
    json_object_set_new(object, "share_of_peak", json_real(mr_bench_result_share(result, machine)));
    json_object_set_new(object, "flops_per_byte", json_real(facts->flops / facts->bytes));
    return object;
}

static json_t *forward_json(const mr_bench_forward *f, const mr_bench_machine *machine)
{
    json_t *counters = json_object();
    for (int i = 0; i < MR_COUNTER_COUNT; i++)
        if (f->counted[i] != MR_COUNTER_ABSENT) json_object_set_new(counters, mr_counter_text((mr_counter)i), json_integer((json_int_t)f->counted[i]));
    double limit = mr_bench_forward_limit(f, machine);
    return json_pack("{s:s,s:I,s:I,s:f,s:f,s:f,s:o,s:o,s:f,s:f,s:f,s:f,s:f,s:o}", "precision", mr_precision_text(f->precision), f->inputs, (json_int_t)f->count, "tokens",
                     (json_int_t)f->tokens, "linear_flops_per_token", f->linear_flops, "f32_flops_per_token", f->f32_flops, "attention_flops_per_token", f->attention_flops, "one_core",
                     series_json(&f->one, f->one.most), "all_cores", series_json(&f->all, f->all.most), "limit_one_core", limit, "share_of_limit_one_core",
                     f->one.most / limit, "share_of_limit_all_cores", f->all.most / (limit * (double)machine->cores), "scaling", f->all.most / f->one.most,
                     "counted_tokens", f->counted_tokens, "counters_one_core", counters);
}

json_t *mr_bench_report_json(const mr_bench_report *report)
{
    char date[16];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &utc));
    json_t *kernels = json_array(), *forwards = json_array();
    for (size_t i = 0; i < report->result_count; i++) json_array_append_new(kernels, result_json(&report->results[i], &report->machine));
    for (size_t i = 0; i < report->forward_count; i++) json_array_append_new(forwards, forward_json(&report->forwards[i], &report->machine));
    return json_pack("{s:s,s:s,s:s?,s:f,s:o,s:o,s:o}", "version", report->version, "date", date, "model", report->model, "seconds", report->seconds, "machine",
                     machine_json(&report->machine), "kernels", kernels, "forward", forwards);
}
