#include <string.h>

#include "cli/cli.h"
#include "io/export.h"

static int run(int argc, char **argv);

const mr_command mr_command_export = {
    .name = "export",
    .summary = "an output file as .npy or JSON lines",
    .run = run,
    .help =
        "usage: millrace export OUT.h5 --to npy|jsonl -o FILE [--overwrite]\n"
        "\n"
        "npy: float32 [rows, dimension], whatever type the file stores; failed rows are NaN (0 for int8 and binary).\n"
        "jsonl: one object a row: id, status, embedding, tokens, and error and text when there are any. -o - is stdout.\n"
        "\n"
        "examples:\n"
        "  millrace export out/debian.h5 --to npy -o debian.npy\n"
        "  millrace export out/debian.h5 --to jsonl -o - | head -1\n",
};

typedef mr_status exporter(mr_embedding_file *file, const char *path, bool overwrite, mr_error *error);

static exporter *exporter_of(const char *format)
{
    if (strcmp(format, "npy") == 0) return mr_export_npy;
    if (strcmp(format, "jsonl") == 0) return mr_export_jsonl;
    return NULL;
}

static int run(int argc, char **argv)
{
    enum { TO = 0x100, OVERWRITE };
    static const struct option options[] = { { "to", required_argument, NULL, TO }, { "output", required_argument, NULL, 'o' }, { "overwrite", no_argument, NULL, OVERWRITE }, { 0 } };
    exporter *export = NULL;
    const char *path = NULL;
    bool overwrite = false;
    mr_error error;
    mr_embedding_file *file;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_export, argc, argv, "o:", options, &code)) != -1) {
        switch (option) {
        case TO:
            export = exporter_of(optarg);
            if (!export) return mr_cli_usage(&mr_command_export, "--to %s: expected npy or jsonl", optarg);
            break;
        case 'o': path = optarg; break;
        case OVERWRITE: overwrite = true; break;
        default: return code;
        }
    }
    if (!export || !path || argc - optind != 1) return mr_cli_usage(&mr_command_export, "one input file, --to and -o are needed");
    if (mr_embedding_file_open(argv[optind], &file, &error) != MR_OK) return mr_cli_fail(&error);
    mr_status status = export(file, path, overwrite, &error);
    mr_embedding_file_close(file);
    return status == MR_OK ? 0 : mr_cli_fail(&error);
}
