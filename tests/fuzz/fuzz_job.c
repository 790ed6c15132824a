/* Any bytes as a job file: read, or refused with a reason that names the place; what was read comes back the same from the
 * text that outputs keep. */
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "pipelines/job.h"

static void must_survive(const mr_job *job)
{
    mr_job again;
    mr_error error;
    char *text = mr_job_text(job);
    if (!text) abort();
    mr_job_init(&again);
    if (mr_job_read_text(&again, text, &error) != MR_OK) abort();
    char *second = mr_job_text(&again);
    if (!second || strcmp(text, second) != 0) abort();
    free(second);
    free(text);
    mr_job_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_job job;
    mr_error error = { 0 };
    mr_job_init(&job);
    mr_status status = mr_job_parse(&job, (const char *)data, size, "job.yaml", &error);
    if (status == MR_OK) must_survive(&job);
    else if (status != MR_CONFIG || strncmp(error.text, "job.yaml", 8) != 0) abort();
    if (status == MR_OK && mr_job_check(&job, &error) != MR_OK && !error.text[0]) abort();
    mr_job_fini(&job);
    return 0;
}
