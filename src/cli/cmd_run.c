/* run and plan: a job from a YAML file. */
#include "cli/cli.h"

static int run(int argc, char **argv);
static int plan(int argc, char **argv);

const mr_command mr_command_run = {
    .name = "run",
    .summary = "a job from a YAML file",
    .run = run,
    .help =
        "usage: millrace run JOB.yaml [--set KEY=VALUE]... [FLAGS]\n"
        "\n"
        "Runs the job a file describes; flags of `millrace embed` and --set come on top of it.\n"
        "Paths are relative to the working directory.\n"
        "\n"
        "  version: 1\n"
        "  job: embed\n"
        "  model: sentence-transformers/all-MiniLM-L6-v2\n"
        "  input:\n"
        "    paths: [corpus/*.jsonl.zst]       # files, directories, globs, -\n"
        "    text_field: text\n"
        "    id_field: id\n"
        "    limit: null\n"
        "  output: {path: out/corpus.h5, dtype: f32, store_text: false}\n"
        "  precision: auto                     # auto, f32, bf16, int8\n"
        "  embedding: {prompt: null, prompt_text: null, pooling: null, normalize: null, dim: null,\n"
        "              max_tokens: null, truncate: true}\n"
        "  resources: {threads: auto, memory: 80%, batch_tokens: auto, shard: null,\n"
        "              metrics: null, metrics_listen: null, pin: auto, numa: none}\n"
        "  pool: {shutdown_timeout: 5s}        # and more numbers of the worker pools\n"
        "  on_error: {policy: record, max_failed: 1%}\n"
        "\n"
        "      --set KEY=VALUE   for example --set embedding.dim=256\n"
        "      --settings        every key, what it is for and its default\n"
        "      --plan            print the plan and run nothing; --json: plan or summary as JSON\n"
        "\n"
        "examples:\n"
        "  millrace run configs/jobs/debian.yaml\n"
        "  millrace run nightly.yaml --set output.path=out/$(date +%F).h5 -q\n",
};

const mr_command mr_command_plan = {
    .name = "plan",
    .summary = "what a job would do: stages, workers, memory; runs nothing",
    .run = plan,
    .help =
        "usage: millrace plan JOB.yaml [--set KEY=VALUE]... [FLAGS] [--json]\n"
        "\n"
        "Prints stages, workers, threads, memory and an estimate of a job and runs nothing. Refuses, as the\n"
        "run would, a job that cannot fit and says what would fit. `millrace embed ... --plan` does the same for flags.\n"
        "\n"
        "example:\n"
        "  millrace plan configs/jobs/debian.yaml --memory-limit 1G\n",
};

static int run(int argc, char **argv)
{
    return mr_cli_run_loaded(&mr_command_run, argc, argv, "a job file", mr_job_load, false);
}

static int plan(int argc, char **argv)
{
    return mr_cli_run_loaded(&mr_command_plan, argc, argv, "a job file", mr_job_load, true);
}
