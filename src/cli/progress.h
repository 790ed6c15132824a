/* The live view of a running job on stderr: a line per stage on a terminal, a plain line an interval elsewhere. */
#ifndef MR_CLI_PROGRESS_H
#define MR_CLI_PROGRESS_H

#include "pipelines/job_run.h"

typedef struct mr_progress_view {
    bool live;              /* stderr is a terminal that can move its cursor */
    bool quiet;
    uint64_t limit;         /* records of the input at most; 0: no limit */
    int lines_drawn;
    int64_t next_ns;        /* when the next line is due */
    int64_t interval_ns;
} mr_progress_view;

void mr_progress_view_init(mr_progress_view *view, bool quiet, uint64_t limit);
/* Draws when due (`force`: now). */
void mr_progress_view_update(mr_progress_view *view, const mr_job_progress *progress, const mr_job_plan *plan, int64_t now_ns, bool force);
/* Leaves the cursor below the view. */
void mr_progress_view_end(mr_progress_view *view);

/* "1,234,567"; "12.3k" style is never used: numbers in a log should add up. */
char *mr_format_count(char out[32], uint64_t value);
#endif
