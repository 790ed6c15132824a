#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"

#define LIVE_INTERVAL (200 * MR_CLOCK_MILLISECOND) /* smooth to the eye, nothing to a slow terminal */
#define PLAIN_INTERVAL (60 * MR_CLOCK_SECOND)      /* a log line a minute */
#define BAR_CELLS 24
#define BAR_COLUMNS 80 /* of a terminal that has room for bars beside the numbers */

char *mr_format_count(char out[32], uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *to = out;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

/* "0:07", "1:02:03". */
static char *format_duration(char out[32], double seconds)
{
    unsigned long whole = seconds > 0.0 && seconds < 4e9 ? (unsigned long)(seconds + 0.5) : 0;
    if (whole >= 3600) snprintf(out, 32, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(out, 32, "%lu:%02lu", whole / 60, whole % 60);
    return out;
}

void mr_progress_view_init(mr_progress_view *view, bool quiet, uint64_t limit)
{
    const char *terminal = getenv("TERM");
    bool live = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    *view = (mr_progress_view){ .live = live, .quiet = quiet, .limit = limit, .interval_ns = live ? LIVE_INTERVAL : PLAIN_INTERVAL };
    view->next_ns = live ? 0 : mr_clock_now(mr_clock_monotonic()) + PLAIN_INTERVAL;
}

typedef struct estimate {
    double done;     /* share of the input read, 0..1; negative = unknown */
    uint64_t total;  /* records of this run, estimated until the reader is through; 0 = unknown */
    double eta;      /* seconds; negative = unknown */
    double records_per_second;
    double tokens_per_second;
} estimate;

/* Before the input is read through: extrapolated from the bytes consumed, for what earlier runs have done was read first. */
static uint64_t estimate_total(const mr_job_progress *p, double done, uint64_t limit)
{
    uint64_t all = done > 0.0 ? (uint64_t)((double)(p->read + p->resumed) / done) : limit;
    if (limit > 0 && all > limit) all = limit;
    return all > p->read + p->resumed ? all - p->resumed : all > 0 ? p->read : 0;
}

/* The ETA counts tokens, not records,
 * since tokens cost the time: those already known from tokenizing, the rest at the average length seen so far. */
static estimate estimate_of(const mr_job_progress *p, uint64_t limit)
{
    estimate e = { .done = -1.0, .eta = -1.0 };
    double seconds = (double)p->elapsed_ns / (double)MR_CLOCK_SECOND;
    if (p->input_total > 0) e.done = (double)p->input_consumed / (double)p->input_total;
    e.total = p->read_done ? p->read : estimate_total(p, e.done, limit);
    if (seconds > 0.0) {
        e.records_per_second = (double)p->computed / seconds;
        e.tokens_per_second = (double)p->tokens / seconds;
    }
    if (e.total > 0 && p->prepared > 0 && e.tokens_per_second > 0.0) {
        double all_tokens = (double)p->prepared_tokens / (double)p->prepared * (double)e.total;
        double left = all_tokens - (double)p->tokens;
        e.eta = left > 0.0 ? left / e.tokens_per_second : 0.0;
    }
    return e;
}

static void append_bar(mr_buf *line, uint64_t done, uint64_t total)
{
    size_t filled = total ? (size_t)((double)done / (double)total * BAR_CELLS + 0.5) : 0;
    if (filled > BAR_CELLS) filled = BAR_CELLS;
    mr_buf_append_str(line, "[");
    for (size_t i = 0; i < BAR_CELLS; i++) mr_buf_append_str(line, i < filled ? "#" : "-");
    mr_buf_append_str(line, "] ");
}

typedef struct stage_style {
    bool exact; /* the total is no estimate */
    bool bar;
} stage_style;

static void append_stage(mr_buf *line, const char *name, uint64_t done, uint64_t total, stage_style style)
{
    char count[32];
    mr_buf_printf(line, "%-9s", name);
    if (style.bar) append_bar(line, done, total);
    mr_buf_append_str(line, mr_format_count(count, done));
    if (total) mr_buf_printf(line, "/%s%s", style.exact ? "" : "~", mr_format_count(count, total));
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* One write for the whole block; each line is cut to the terminal so that moving up counts right. */
static void draw_live(mr_progress_view *view, const mr_job_progress *p, const mr_job_plan *plan)
{
    const int width = terminal_width();
    const stage_style style = { .exact = p->read_done, .bar = width >= BAR_COLUMNS };
    estimate e = estimate_of(p, view->limit / plan->shard.count);
    char count[32], bytes[16], limit[16], rss[16];
    mr_buf lines[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    append_stage(&lines[0], "read", p->read, e.total, style);
    if (p->input_total) mr_buf_printf(&lines[0], "  %s of %s", mr_str_bytes(bytes, p->input_consumed), mr_str_bytes(limit, p->input_total));
    append_stage(&lines[1], plan->modality->preparing, p->prepared, e.total, style);
    append_stage(&lines[2], "embed", p->computed, e.total, style);
    if (p->workers_ready == 0) mr_buf_append_str(&lines[2], "  loading the model");
    else mr_buf_printf(&lines[2], "  %.0f records/s  %s tokens/s", e.records_per_second, mr_format_count(count, (uint64_t)e.tokens_per_second));
    if (e.eta >= 0.0) mr_buf_printf(&lines[2], "  ETA %s", format_duration(count, e.eta));
    append_stage(&lines[3], "write", p->written, e.total, style);
    mr_buf_printf(&lines[3], "  memory %s of %s", mr_str_bytes(rss, mr_mem_rss()), mr_str_bytes(limit, plan->memory_limit));
    if (p->failed) mr_buf_printf(&lines[3], "  failed %s", mr_format_count(count, p->failed));
    if (p->finishing) mr_buf_append_str(&lines[3], "  joining parts");

    mr_buf block = { 0 };
    if (view->lines_drawn) mr_buf_printf(&block, "\x1b[%dA", view->lines_drawn);
    for (size_t i = 0; i < 4; i++) {
        mr_buf_printf(&block, "\r\x1b[K%.*s\n", width - 1, lines[i].data ? lines[i].data : "");
        mr_buf_fini(&lines[i]);
    }
    if (block.data) (void)!write(STDERR_FILENO, block.data, block.length);
    mr_buf_fini(&block);
    view->lines_drawn = 4;
}

static void draw_plain(const mr_progress_view *view, const mr_job_progress *p, const mr_job_plan *plan)
{
    estimate e = estimate_of(p, view->limit / plan->shard.count);
    char done[32], total[32], tokens[32], eta[32], rss[16], limit[16];
    fprintf(stderr, "millrace: %s%s%s%s records  %.0f records/s  %s tokens/s  ETA %s  memory %s of %s  failed %llu\n",
            mr_format_count(done, p->computed), e.total ? " of " : "", e.total && !p->read_done ? "~" : "",
            e.total ? mr_format_count(total, e.total) : "", e.records_per_second, mr_format_count(tokens, (uint64_t)e.tokens_per_second),
            e.eta >= 0.0 ? format_duration(eta, e.eta) : "unknown", mr_str_bytes(rss, mr_mem_rss()),
            mr_str_bytes(limit, plan->memory_limit), (unsigned long long)p->failed);
}

void mr_progress_view_update(mr_progress_view *view, const mr_job_progress *progress, const mr_job_plan *plan, int64_t now_ns, bool force)
{
    if (view->quiet || (!force && now_ns < view->next_ns)) return;
    view->next_ns = now_ns + view->interval_ns;
    if (view->live) draw_live(view, progress, plan);
    else if (!force) draw_plain(view, progress, plan);
}

void mr_progress_view_end(mr_progress_view *view)
{
    view->lines_drawn = 0;
}
