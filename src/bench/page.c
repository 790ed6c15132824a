/* The report as one HTML file that needs nothing else. */
#include "bench/report.h"

#define PUT(out, ok, ...) ((ok) &= mr_buf_printf((out), __VA_ARGS__))

static bool put_text(mr_buf *out, const char *text)
{
    bool ok = true;
    for (; *text; text++) {
        if (*text == '&') ok &= mr_buf_append_str(out, "&amp;");
        else if (*text == '<') ok &= mr_buf_append_str(out, "&lt;");
        else ok &= mr_buf_append(out, text, 1);
    }
    return ok;
}

static const char head[] =
    "<!doctype html>\n<html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>millrace bench</title>\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:#1e293b;background:#f8fafc;margin:0}main{max-width:1020px;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0;color:#475569}.noisy{color:#b45309;font-weight:600}\n"
    ".card{background:#fff;border:1px solid #e2e8f0;border-radius:8px;padding:.8rem 1rem;overflow-x:auto}svg{max-width:100%;height:auto}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap}\n"
    "th{color:#64748b;font-weight:600;border-bottom:1px solid #cbd5e1}td:first-child,th:first-child,td.l,th.l{text-align:left}tr:nth-child(even) td{background:#f8fafc}\n"
    ".bar{display:inline-block;width:90px;height:9px;border-radius:3px;background:#e2e8f0;margin-right:.5rem}.bar i{display:block;height:100%;border-radius:3px}.f32{background:#0072b2}.bf16{background:#d55e00}.int8{background:#009e73}\n"
    "</style>\n<main>\n";

static bool put_machine(const mr_bench_report *report, mr_buf *out)
{
    const mr_bench_machine *machine = &report->machine;
    const double noise = mr_bench_machine_noise(machine);
    bool ok = mr_buf_append_str(out, "<h1>millrace bench</h1><p>");
    ok &= put_text(out, machine->cpu);
    PUT(out, ok, ", %zu cores, %s kernels; millrace %s; %.0f seconds</p>\n", machine->cores, machine->kernels->name, report->version, report->seconds);
    PUT(out, ok, "<p%s>The median burst of multiply-adds lay %.0f %% below the best%s.</p>\n", noise < MR_BENCH_NOISY ? "" : " class='noisy'", 100.0 * noise,
        noise < MR_BENCH_NOISY ? "" : ": others were at work, single figures are not to be trusted");
    return ok;
}

static bool put_roof(const mr_bench_roof *roof, const char *unit, mr_buf *out)
{
    char size[16] = "";
    bool ok = true;
    if (roof->bytes > 0) mr_str_bytes(size, roof->bytes);
    PUT(out, ok, "<tr><td>%s<td>%s<td>%.1f<td>%.1f<td class='l'>%s\n", roof->name, size, roof->one.most * 1e-9, roof->all.most * 1e-9, unit);
    return ok;
}

static bool put_peaks(const mr_bench_report *report, mr_buf *out)
{
    const mr_bench_machine *machine = &report->machine;
    bool ok = mr_buf_append_str(out, "<h2>What the machine can do</h2><div class='card'><table><tr><th>peak<th>per core<th>1 core<th>all cores<th class='l'>unit\n");
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) ok &= put_roof(&machine->peaks[f], "G operations/s", out);
    for (size_t i = 0; i < machine->memory_count; i++) ok &= put_roof(&machine->memory[i], "GB/s", out);
    return ok && mr_buf_append_str(out, "</table></div>\n");
}

static bool put_share(double share, mr_linear_format format, mr_buf *out)
{
    bool ok = true;
    PUT(out, ok, "<td><span class='bar'><i class='%s' style='width:%.0f%%'></i></span>%.1f %%", mr_linear_format_text(format), 100.0 * (share < 1.0 ? share : 1.0),
        100.0 * share);
    return ok;
}

static bool put_forwards(const mr_bench_report *report, mr_buf *out)
{
    if (report->forward_count == 0) return true;
    bool ok = mr_buf_append_str(out, "<h2>Whole forward pass of ");
    ok &= put_text(out, report->model);
    ok &= mr_buf_append_str(out, "</h2><div class='card'><table><tr><th>precision<th>tokens/s, 1 core<th>of limit<th>tokens/s, all cores<th>of limit<th>scaling\n");
    for (size_t i = 0; i < report->forward_count; i++) {
        const mr_bench_forward *f = &report->forwards[i];
        const double limit = mr_bench_forward_limit(f, &report->machine);
        PUT(out, ok, "<tr><td>%s<td>%.0f", mr_precision_text(f->precision), f->one.most);
        ok &= put_share(f->one.most / limit, f->format, out);
        PUT(out, ok, "<td>%.0f", f->all.most);
        ok &= put_share(f->all.most / limit / (double)report->machine.cores, f->format, out);
        PUT(out, ok, "<td>%.2fx\n", f->all.most / f->one.most);
    }
    PUT(out, ok, "</table><p>The limit: its multiplications and additions, %.1f MFLOP a token in linear layers and %.1f in attention, at the peaks below.</p></div>\n",
        report->forwards[0].linear_flops * 1e-6, report->forwards[0].attention_flops * 1e-6);
    return ok;
}

static bool put_results(const mr_bench_report *report, mr_buf *out)
{
    bool ok = true;
    const char *group = "";
    for (size_t i = 0; i < report->result_count; i++) {
        const mr_bench_result *result = &report->results[i];
        const mr_bench_case *facts = &result->facts;
        if (facts->group != group)
            PUT(out, ok, "%s<h2>Kernels: %s, one core</h2><div class='card'><table><tr><th>precision<th class='l'>what<th>%s<th>&micro;s<th>G/s<th>of peak<th>GB/s<th>flop/byte\n",
                i > 0 ? "</table></div>\n" : "", facts->group, facts->group[0] == 'a' ? "tokens" : "rows");
        group = facts->group;
        PUT(out, ok, "<tr><td>%s<td class='l'>%s<td>%zu<td>%.1f", mr_linear_format_text(facts->format), facts->name, facts->rows, result->time.least * 1e6);
        if (facts->flops > 0.0) {
            PUT(out, ok, "<td>%.1f", mr_bench_result_rate(result) * 1e-9);
            ok &= put_share(mr_bench_result_share(result, &report->machine), facts->format, out);
            PUT(out, ok, "<td>%.1f<td>%.1f\n", facts->bytes / result->time.least * 1e-9, facts->flops / facts->bytes);
        } else {
            PUT(out, ok, "<td><td><td>%.1f<td>\n", facts->bytes / result->time.least * 1e-9);
        }
    }
    return ok && (report->result_count == 0 || mr_buf_append_str(out, "</table></div>\n"));
}

bool mr_bench_page_html(const mr_bench_report *report, mr_buf *out)
{
    bool ok = mr_buf_append_str(out, head) && put_machine(report, out);
    ok = ok && put_forwards(report, out);
    ok = ok && mr_buf_append_str(out, "<h2>Roofline</h2><div class='card'>") && mr_bench_roofline_svg(report, out) && mr_buf_append_str(out, "</div>\n");
    return ok && put_peaks(report, out) && put_results(report, out) && mr_buf_append_str(out, "</main></html>\n");
}
