#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/str.h"
#include "io/embedding_file.h"

static int run(int argc, char **argv);

const mr_command mr_command_inspect = {
    .name = "inspect",
    .summary = "what is in an output file; single rows by id",
    .run = run,
    .help =
        "usage: millrace inspect OUT.h5 [--id ID | --row N] [--json]\n"
        "\n"
        "Shows what the file holds: rows by status, dimension, type, and every attribute (model, weights' hash, inputs, build).\n"
        "With --id or --row: one row, its status, tokens, source, text and the beginning of its vector (--json: all of it).\n"
        "\n"
        "examples:\n"
        "  millrace inspect out/debian.h5\n"
        "  millrace inspect out/debian.h5 --id gimp --json | jq .embedding[0]\n",
};

static const char *const status_names[] = { "ok", "truncated", "failed", "skipped" };
static const char *const dtype_names[] = { "f32", "f16", "int8", "binary" };

static void print_attributes(const mr_embedding_file *file)
{
    mr_attribute attribute;
    for (size_t i = 0; mr_embedding_file_attribute_at(file, i, &attribute); i++) {
        if (!strchr(attribute.value, '\n')) {
            printf("  %-16s %s\n", attribute.name, attribute.value);
            continue;
        }
        printf("  %s\n", attribute.name);
        for (const char *line = attribute.value; *line;) {
            size_t length = strcspn(line, "\n");
            printf("    %.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
}

static void print_file(const char *path, const mr_embedding_file *file)
{
    printf("%s\n  %llu vectors of %zu, %s\n", path, (unsigned long long)mr_embedding_file_rows(file), mr_embedding_file_dimension(file),
           dtype_names[mr_embedding_file_dtype(file)]);
    print_attributes(file);
}

static void print_file_json(const mr_embedding_file *file)
{
    json_t *attributes = json_object();
    mr_attribute attribute;
    for (size_t i = 0; mr_embedding_file_attribute_at(file, i, &attribute); i++) json_object_set_new(attributes, attribute.name, json_string(attribute.value));
    json_t *root = json_pack("{s:I,s:I,s:s,s:o}", "rows", (json_int_t)mr_embedding_file_rows(file), "dimension", (json_int_t)mr_embedding_file_dimension(file),
                             "dtype", dtype_names[mr_embedding_file_dtype(file)], "attributes", attributes);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

#define SHOWN_COMPONENTS 6

static mr_status print_row(mr_embedding_file *file, uint64_t number, bool json, mr_error *error)
{
    size_t dimension = mr_embedding_file_dimension(file);
    mr_embedding_row row;
    float *vector = malloc(dimension * sizeof *vector);
    if (!vector) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_status status = mr_embedding_file_vectors(file, number, 1, vector, error);
    if (status == MR_OK) status = mr_embedding_file_row(file, number, &row, error);
    if (status == MR_OK) {
        mr_str source = mr_embedding_file_source_name(file, row.source_index);
        if (json) {
            json_t *values = json_array();
            for (size_t i = 0; i < dimension; i++) json_array_append_new(values, isfinite(vector[i]) ? json_real(vector[i]) : json_null());
            json_t *object = json_pack("{s:I,s:s%,s:s,s:s%,s:s%,s:I,s:s%,s:I,s:o}", "row", (json_int_t)number, "id", row.id.data, row.id.length, "status",
                                       status_names[row.status], "error", row.error.data ? row.error.data : "", row.error.length, "text", row.text.data ? row.text.data : "",
                                       row.text.length, "tokens", (json_int_t)row.tokens, "source", source.data, source.length, "source_record",
                                       (json_int_t)row.source_record, "embedding", values);
            json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
            putchar('\n');
            json_decref(object);
        } else {
            printf("row %llu  id %.*s  %s  %u tokens  from %.*s record %llu\n", (unsigned long long)number, (int)row.id.length, row.id.data,
                   status_names[row.status], row.tokens, (int)source.length, source.data, (unsigned long long)row.source_record);
            if (row.error.length) printf("error  %.*s\n", (int)row.error.length, row.error.data);
            if (row.text.length) printf("text  %.*s\n", (int)row.text.length, row.text.data);
            printf("vector ");
            for (size_t i = 0; i < dimension && i < SHOWN_COMPONENTS; i++) printf(" %.6g", (double)vector[i]);
            printf("%s\n", dimension > SHOWN_COMPONENTS ? " ..." : "");
        }
    }
    free(vector);
    return status;
}

static mr_status inspect(const char *path, const char *id, const char *row_text, bool json, mr_error *error)
{
    mr_embedding_file *file;
    MR_TRY(mr_embedding_file_open(path, &file, error));
    mr_status status = MR_OK;
    uint64_t row = 0;
    if (id) status = mr_embedding_file_find(file, mr_str_of(id), &row, error);
    if (row_text) row = strtoull(row_text, NULL, 10);
    if (status == MR_OK && row_text && row >= mr_embedding_file_rows(file))
        status = mr_error_set(error, MR_NO_INPUT, "%s has %llu rows, no row %s (the first is 0)", path, (unsigned long long)mr_embedding_file_rows(file), row_text);
    if (status == MR_OK && (id || row_text)) status = print_row(file, row, json, error);
    else if (status == MR_OK && json) print_file_json(file);
    else if (status == MR_OK) print_file(path, file);
    mr_embedding_file_close(file);
    return status;
}

static int run(int argc, char **argv)
{
    enum { ID = 0x100, ROW, JSON };
    static const struct option options[] = { { "id", required_argument, NULL, ID }, { "row", required_argument, NULL, ROW }, { "json", no_argument, NULL, JSON }, { 0 } };
    const char *id = NULL, *row = NULL;
    bool json = false;
    mr_error error;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_inspect, argc, argv, "", options, &code)) != -1) {
        switch (option) {
        case ID: id = optarg; break;
        case ROW: row = optarg; break;
        case JSON: json = true; break;
        default: return code;
        }
    }
    if (argc - optind != 1) return mr_cli_usage(&mr_command_inspect, "name one file");
    if (row && (!*row || row[strspn(row, "0123456789")])) return mr_cli_usage(&mr_command_inspect, "--row %s: expected a row number from 0", row);
    if (row && id) return mr_cli_usage(&mr_command_inspect, "--id and --row exclude each other");
    return inspect(argv[optind], id, row, json, &error) == MR_OK ? 0 : mr_cli_fail(&error);
}
