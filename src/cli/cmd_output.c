/* status, verify and merge: an output as a whole, from outside the run that makes it. */
#include <jansson.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "io/output.h"

static int run_status(int argc, char **argv);
static int run_verify(int argc, char **argv);
static int run_merge(int argc, char **argv);

const mr_command mr_command_status = {
    .name = "status",
    .summary = "how far a running or stopped job is",
    .run = run_status,
    .help =
        "usage: millrace status OUT.h5... [--json]\n"
        "\n"
        "Shows, from outside and while it runs, what of an output is committed, who is writing it, and whether it is finished.\n"
        "Exit code: 0 finished, 75 not yet.\n"
        "\n"
        "example:\n"
        "  millrace status out/corpus.h5\n",
};

const mr_command mr_command_verify = {
    .name = "verify",
    .summary = "prove that an output is complete and sound",
    .run = run_verify,
    .help =
        "usage: millrace verify OUT.h5...\n"
        "\n"
        "Reads everything: checksums, row counts, offsets, UTF-8, a reason for each failed row, finite vectors of the others.\n"
        "Exit code: 0 only if every record, checksum and count is right; 75 for sound but unfinished; 65 for damage.\n"
        "\n"
        "example:\n"
        "  millrace verify out/corpus.h5 && rsync out/corpus.h5 archive:\n",
};

const mr_command mr_command_merge = {
    .name = "merge",
    .summary = "the parts of a sharded job, or finished files, -> one file",
    .run = run_merge,
    .help =
        "usage: millrace merge OUT.h5                      behind a job run with --shard: checks that nothing is missing\n"
        "       millrace merge A.h5 B.h5... -o ALL.h5      joins finished files in this order\n"
        "\n"
        "      --overwrite        replace an existing ALL.h5\n"
        "      --in-place-parts   leave the vectors in OUT.h5.parts/, where OUT.h5 refers to them: when the disk cannot hold them\n"
        "                         twice. `millrace merge OUT.h5 -o ONE.h5` makes one file of it later\n"
        "\n"
        "Exit code: 0 done; 75 something is missing (it says which records).\n"
        "\n"
        "examples:\n"
        "  for i in 0 1 2 3; do millrace run job.yaml --shard $i/4; done; millrace merge out/corpus.h5\n"
        "  millrace merge monday.h5 tuesday.h5 -o week.h5\n",
};

static void print_state(const char *path, const mr_output_state *state)
{
    char rows[32], total[32], failed[32];
    printf("%s: %s, %s rows", path, state->finished ? "finished" : state->running ? "running" : "stopped; run the same command again to go on",
           mr_format_count(rows, state->rows));
    if (state->total_known && !state->finished) printf(" of %s", mr_format_count(total, state->total));
    printf(", %s failed", mr_format_count(failed, state->by_status[MR_ROW_FAILED]));
    if (!state->finished) printf(", %zu parts", state->parts);
    if (state->running) printf(", written by %s", state->holder);
    putchar('\n');
}

static void print_state_json(const char *path, const mr_output_state *state)
{
    json_t *object = json_pack("{s:s,s:b,s:b,s:s,s:I,s:I,s:o,s:I,s:I,s:I,s:I}", "path", path, "finished", state->finished, "running", state->running, "holder",
                               state->holder, "parts", (json_int_t)state->parts, "rows", (json_int_t)state->rows, "total",
                               state->total_known ? json_integer((json_int_t)state->total) : json_null(), "ok", (json_int_t)state->by_status[MR_ROW_OK],
                               "truncated", (json_int_t)state->by_status[MR_ROW_TRUNCATED], "failed", (json_int_t)state->by_status[MR_ROW_FAILED], "skipped",
                               (json_int_t)state->by_status[MR_ROW_SKIPPED]);
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static int run_status(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
    bool json = false;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_status, argc, argv, "", options, &code)) != -1) {
        if (option == '?' || option == 'H') return code;
        json = true;
    }
    if (optind == argc) return mr_cli_usage(&mr_command_status, "name the output of a job");
    for (int i = optind; i < argc; i++) {
        mr_output_state state;
        mr_error error;
        if (mr_output_inspect(argv[i], &state, &error) != MR_OK) return mr_cli_fail(&error);
        if (json) print_state_json(argv[i], &state);
        else print_state(argv[i], &state);
        if (!state.finished) code = mr_status_exit_code(MR_INCOMPLETE);
    }
    return code;
}

static int run_verify(int argc, char **argv)
{
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_verify, argc, argv, "", NULL, &code)) != -1) return code;
    if (optind == argc) return mr_cli_usage(&mr_command_verify, "name the output of a job");
    for (int i = optind; i < argc; i++) {
        mr_error error;
        if (mr_output_verify(argv[i], &error) != MR_OK) code = mr_cli_fail(&error);
        else if (mr_cli_verbosity() >= 0) printf("%s: complete and sound\n", argv[i]);
    }
    return code;
}

static int run_merge(int argc, char **argv)
{
    static const struct option options[] = { { "output", required_argument, NULL, 'o' }, { "overwrite", no_argument, NULL, 'w' },
                                            { "in-place-parts", no_argument, NULL, 'i' }, { 0 } };
    const char *path = NULL;
    bool overwrite = false, in_place = false;
    mr_error error;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_merge, argc, argv, "o:", options, &code)) != -1) {
        if (option == 'o') path = optarg;
        else if (option == 'w') overwrite = true;
        else if (option == 'i') in_place = true;
        else return code;
    }
    int operands = argc - optind;
    if (operands < 1 || (!path && operands != 1)) return mr_cli_usage(&mr_command_merge, "name one output of a sharded job, or several files and -o");
    if (path && in_place) return mr_cli_usage(&mr_command_merge, "--in-place-parts is for the parts of one job, without -o");
    mr_status status = path ? mr_output_merge_files((const char *const *)&argv[optind], (size_t)operands, path, overwrite, &error) : mr_output_merge_parts(argv[optind], in_place, &error);
    if (status != MR_OK) return mr_cli_fail(&error);
    if (mr_cli_verbosity() >= 0) printf("%s: merged\n", path ? path : argv[optind]);
    return 0;
}
