/* What a bench found, and the forms it is shown in: text, JSON, a roofline picture (SVG), a page (HTML). */
#ifndef MR_BENCH_REPORT_H
#define MR_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/forward.h"
#include "bench/kernel_case.h"
#include "core/str.h"

/* One core; best of the runs. */
typedef struct mr_bench_result {
    mr_bench_case facts;   /* without operands */
    mr_bench_series time;  /* seconds a call */
} mr_bench_result;

typedef struct mr_bench_report {
    mr_bench_machine machine;
    const char *version; /* borrowed, like all texts here */
    const char *model;   /* NULL: none was given */
    mr_bench_result *results; /* owned, malloc'ed; grouped by what was measured */
    size_t result_count;
    mr_bench_forward forwards[MR_LINEAR_FORMAT_COUNT];
    size_t forward_count;
    double seconds; /* the whole bench took */
} mr_bench_report;

void mr_bench_report_fini(mr_bench_report *report);

/* Derived figures; 0 where they make no sense. */
double mr_bench_result_rate(const mr_bench_result *result); /* operations a second */
double mr_bench_result_share(const mr_bench_result *result, const mr_bench_machine *machine); /* of the measured peak, 0..1 */
/* Tokens a second one core could reach if every multiplication and addition ran at the measured peak. */
double mr_bench_forward_limit(const mr_bench_forward *forward, const mr_bench_machine *machine);

/* One line, for tables made while measuring. */
void mr_bench_print_result(FILE *out, const mr_bench_result *result, const mr_bench_machine *machine);
void mr_bench_print_text(FILE *out, const mr_bench_report *report);
/* Owned by the caller; NULL when out of memory. */
json_t *mr_bench_report_json(const mr_bench_report *report);
/* Appends; false when out of memory. */
bool mr_bench_roofline_svg(const mr_bench_report *report, mr_buf *out);
bool mr_bench_page_html(const mr_bench_report *report, mr_buf *out);

#endif
