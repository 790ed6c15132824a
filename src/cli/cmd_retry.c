#include "cli/cli.h"
#include "io/embedding_file.h"

static int run(int argc, char **argv);

const mr_command mr_command_retry = {
    .name = "retry-failed",
    .summary = "run the failed rows of a finished output again",
    .run = run,
    .help =
        "usage: millrace retry-failed OUT.h5 [FLAGS]\n"
        "\n"
        "Runs the job of OUT.h5 again for its failed rows only, in place of the old ones: behind a mended disk, model or limit. The\n"
        "job is the one stored in the file, its inputs must be unchanged. Flags that do not change results (--threads,\n"
        "--memory-limit, ...) may be given. OUT.h5 stays as it is until the new file takes its place.\n"
        "\n"
        "Exit code: 0 none failed any more; 3 some failed again.\n"
        "\n"
        "example:\n"
        "  millrace retry-failed out/corpus.h5\n",
};

/* The job a finished output was made by. */
static mr_status read_job(mr_job *job, const char *path, mr_error *error)
{
    mr_embedding_file *file;
    MR_TRY(mr_embedding_file_open(path, &file, error));
    const char *text = mr_embedding_file_attribute(file, "job_settings");
    mr_status status = text ? mr_job_read_text(job, text, error) : mr_error_set(error, MR_BAD_INPUT, "%s does not say which job made it", path);
    mr_embedding_file_close(file);
    job->retry_failed = true;
    job->overwrite = 0;
    return status == MR_OK ? mr_job_setting_assign(job, mr_job_setting_by_flag("--output"), path, "OUT", error) : status;
}

static int run(int argc, char **argv)
{
    return mr_cli_run_loaded(&mr_command_retry, argc, argv, "a finished output", read_job, false);
}
