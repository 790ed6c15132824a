/* The roofline picture: operations a second over operations per byte, both logarithmic, for one core.
 *
 * Roofs: a slope per level of memory (bandwidth), a ceiling per precision (multiply-add peak). Points: what was measured. */
#include <math.h>
#include <string.h>

#include "bench/report.h"

#define WIDTH 980.0
#define HEIGHT 640.0
#define LEFT 76.0
#define RIGHT 24.0
#define TOP 64.0
#define BOTTOM 112.0

/* Colours that stay apart for colour-blind eyes (Okabe and Ito). */
static const char *const colours[MR_LINEAR_FORMAT_COUNT] = { "#0072b2", "#d55e00", "#009e73" };

typedef struct plot {
    const mr_bench_report *report;
    mr_buf *out;
    double x_low, x_high, y_low, y_high; /* logarithms to base 2; x: flop/byte, y: Gflop/s */
    bool failed;
} plot;

#define PUT(p, ...) ((p)->failed |= !mr_buf_printf((p)->out, __VA_ARGS__))

static double at_x(const plot *p, double intensity)
{
    return LEFT + (log2(intensity) - p->x_low) / (p->x_high - p->x_low) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const plot *p, double rate)
{
    return HEIGHT - BOTTOM - (log2(rate * 1e-9) - p->y_low) / (p->y_high - p->y_low) * (HEIGHT - TOP - BOTTOM);
}

static double highest_peak(const mr_bench_machine *machine)
{
    double highest = 0.0;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) highest = fmax(highest, machine->peaks[f].one.most);
    return highest;
}

/* Whole powers of two round everything that is drawn. */
static void choose_range(plot *p)
{
    double least_x = 0.25, most_x = 64.0, least_y = 1e10;
    for (size_t i = 0; i < p->report->result_count; i++) {
        const mr_bench_result *result = &p->report->results[i];
        if (result->facts.flops <= 0.0) continue;
        least_x = fmin(least_x, result->facts.flops / result->facts.bytes);
        most_x = fmax(most_x, result->facts.flops / result->facts.bytes);
        least_y = fmin(least_y, mr_bench_result_rate(result));
    }
    p->x_low = floor(log2(least_x));
    p->x_high = ceil(log2(most_x * 1.5));
    p->y_low = floor(log2(least_y * 0.7e-9));
    p->y_high = ceil(log2(highest_peak(&p->report->machine) * 1.2e-9));
}

static void put_number(plot *p, double power)
{
    if (power < 0.0) PUT(p, "1/%.0f", exp2(-power));
    else PUT(p, "%.0f", exp2(power));
}

static void draw_axes(plot *p)
{
    const double bottom = HEIGHT - BOTTOM, right = WIDTH - RIGHT;
    for (double x = p->x_low; x <= p->x_high; x++) {
        const double at = at_x(p, exp2(x));
        PUT(p, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='grid'/><text x='%.1f' y='%.1f' class='tick' text-anchor='middle'>", at, TOP, at, bottom, at, bottom + 18);
        put_number(p, x);
        PUT(p, "</text>\n");
    }
    for (double y = p->y_low; y <= p->y_high; y++) {
        const double at = at_y(p, exp2(y) * 1e9);
        PUT(p, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='grid'/><text x='%.1f' y='%.1f' class='tick' text-anchor='end'>", LEFT, at, right, at, LEFT - 8, at + 4);
        put_number(p, y);
        PUT(p, "</text>\n");
    }
    PUT(p, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='frame'/>\n", LEFT, TOP, right - LEFT, bottom - TOP);
    PUT(p, "<text x='%.1f' y='%.1f' class='axis' text-anchor='middle'>operations per byte moved (every operand once)</text>\n", (LEFT + right) / 2, bottom + 42);
    PUT(p, "<text transform='translate(20 %.1f) rotate(-90)' class='axis' text-anchor='middle'>G operations per second, one core</text>\n", (TOP + bottom) / 2);
}

/* A slope from where it enters the picture to the highest ceiling, named along its beginning, where few points are; names of neighbours
 * stand at different places, since the slopes may be close. */
static void draw_slope(plot *p, const mr_bench_roof *roof, size_t index)
{
    const double bandwidth = roof->one.most, top = highest_peak(&p->report->machine);
    const double x1 = fmax(exp2(p->x_low), exp2(p->y_low) * 1e9 / bandwidth), x2 = fmin(top / bandwidth, exp2(p->x_high));
    if (x1 >= x2) return;
    PUT(p, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='roof'/>\n", at_x(p, x1), at_y(p, x1 * bandwidth), at_x(p, x2), at_y(p, x2 * bandwidth));
    const double angle = atan2(at_y(p, bandwidth) - at_y(p, 2.0 * bandwidth), at_x(p, 2.0) - at_x(p, 1.0)) * 180.0 / acos(-1.0);
    const double x = exp2(log2(x1) + (index % 2 == 0 ? 0.1 : 1.9));
    PUT(p, "<text transform='translate(%.1f %.1f) rotate(%.1f)' class='name' fill='#475569'>%s %.0f GB/s</text>\n", at_x(p, x) - 5.0, at_y(p, x * bandwidth) - 5.0, -angle, roof->name,
        bandwidth * 1e-9);
}

static void draw_ceiling(plot *p, int format)
{
    const mr_bench_machine *machine = &p->report->machine;
    const double peak = machine->peaks[format].one.most, right = WIDTH - RIGHT;
    double fastest = 0.0;
    for (size_t i = 0; i < machine->memory_count; i++) fastest = fmax(fastest, machine->memory[i].one.most);
    const double left = fastest > 0.0 ? fmax(LEFT, at_x(p, peak / fastest)) : LEFT;
    PUT(p, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='ceiling' stroke='%s'/>\n", left, at_y(p, peak), right, at_y(p, peak), colours[format]);
    PUT(p, "<text x='%.1f' y='%.1f' class='name' text-anchor='end' fill='%s'>%s peak %.0f G/s</text>\n", right - 6.0, at_y(p, peak) - 6.0, colours[format],
        machine->peaks[format].name, peak * 1e-9);
}

static bool is_attention(const mr_bench_result *result)
{
    return result->facts.group[0] == 'a';
}

static void draw_point(plot *p, const mr_bench_result *result)
{
    const mr_bench_case *facts = &result->facts;
    const double x = at_x(p, facts->flops / facts->bytes), y = at_y(p, mr_bench_result_rate(result));
    const char *colour = colours[facts->format];
    if (is_attention(result)) PUT(p, "<path d='M%.1f %.1fl5 9h-10z' class='point' fill='%s'>", x, y - 6.0, colour);
    else PUT(p, "<circle cx='%.1f' cy='%.1f' r='4.2' class='point' fill='%s'>", x, y, colour);
    PUT(p, "<title>%s %s %s, %zu %s: %.0f G/s, %.0f %% of peak</title></%s>\n", facts->group, mr_linear_format_text(facts->format), facts->name, facts->rows,
        is_attention(result) ? "tokens" : "rows", mr_bench_result_rate(result) * 1e-9, 100.0 * mr_bench_result_share(result, &p->report->machine),
        is_attention(result) ? "path" : "circle");
}

/* Points of one layer (or attention) in one precision, joined; then the points on top of all lines. */
static void draw_points(plot *p)
{
    const mr_bench_report *report = p->report;
    for (size_t i = 1; i < report->result_count; i++) {
        const mr_bench_result *a = &report->results[i - 1], *b = &report->results[i];
        if (b->facts.flops <= 0.0 || a->facts.format != b->facts.format || strcmp(a->facts.name, b->facts.name) != 0) continue;
        PUT(p, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' class='join'/>\n", at_x(p, a->facts.flops / a->facts.bytes), at_y(p, mr_bench_result_rate(a)),
            at_x(p, b->facts.flops / b->facts.bytes), at_y(p, mr_bench_result_rate(b)), colours[b->facts.format]);
    }
    for (size_t i = 0; i < report->result_count; i++)
        if (report->results[i].facts.flops > 0.0) draw_point(p, &report->results[i]);
}

static void draw_legend(plot *p)
{
    double x = LEFT;
    const double y = HEIGHT - 30.0;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++, x += 62.0)
        PUT(p, "<rect x='%.1f' y='%.1f' width='12' height='12' rx='2' fill='%s'/><text x='%.1f' y='%.1f' class='tick'>%s</text>\n", x, y - 10.0, colours[f], x + 17.0, y,
            p->report->machine.peaks[f].name);
    if (p->report->result_count == 0) return;
    PUT(p, "<circle cx='%.1f' cy='%.1f' r='4.2' fill='#64748b'/><text x='%.1f' y='%.1f' class='tick'>linear layer, joined: 1 to 256 rows</text>\n", x + 20.0, y - 4.0, x + 32.0, y);
    PUT(p, "<path d='M%.1f %.1fl5 9h-10z' fill='#64748b'/><text x='%.1f' y='%.1f' class='tick'>attention of one text, joined: 16 to 512 tokens</text>\n", x + 290.0, y - 10.0,
        x + 302.0, y);
}

static void put_escaped(plot *p, const char *text)
{
    for (; *text; text++) {
        if (*text == '&') PUT(p, "&amp;");
        else if (*text == '<') PUT(p, "&lt;");
        else PUT(p, "%c", *text);
    }
}

static void draw_title(plot *p)
{
    const mr_bench_report *report = p->report;
    PUT(p, "<text x='%.1f' y='28' class='title'>", LEFT);
    put_escaped(p, report->model ? report->model : "multiply-add peaks and memory");
    PUT(p, "</text>\n<text x='%.1f' y='48' class='tick'>one core of ", LEFT);
    put_escaped(p, report->machine.cpu);
    PUT(p, ", %s kernels; best of many runs</text>\n", report->machine.kernels->name);
}

bool mr_bench_roofline_svg(const mr_bench_report *report, mr_buf *out)
{
    plot p = { .report = report, .out = out };
    choose_range(&p);
    PUT(&p, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f' font-family='system-ui,sans-serif'>\n"
            "<style>.grid{stroke:#e2e8f0}.frame{fill:none;stroke:#64748b}.tick{font-size:12px;fill:#475569}.axis{font-size:13px;fill:#1e293b}"
            ".title{font-size:17px;font-weight:600;fill:#0f172a}.name{font-size:12px;font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}.roof{stroke:#64748b;stroke-width:1.5}"
            ".ceiling{stroke-width:2;stroke-dasharray:7 4}.point{stroke:#fff;stroke-width:1}.join{stroke-width:1.2;opacity:.45}</style>\n"
            "<rect width='100%%' height='100%%' fill='#fff'/>\n", WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_title(&p);
    draw_axes(&p);
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) draw_ceiling(&p, f);
    for (size_t i = 0; i < report->machine.memory_count; i++) draw_slope(&p, &report->machine.memory[i], i);
    draw_points(&p);
    draw_legend(&p);
    PUT(&p, "</svg>\n");
    return !p.failed;
}
