#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/str.h"
#include "io/embedding_file.h"
#include "io/vector_convert.h"

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

#define NAME_COLUMNS 16

static void print_attributes(const mr_embedding_file *file)
{
    mr_attribute attribute;
    for (size_t i = 0; mr_embedding_file_attribute_at(file, i, &attribute); i++) {
        printf("  ");
        mr_cli_print_text(mr_str_of(attribute.name));
        if (!strchr(attribute.value, '\n')) {
            const int length = (int)strlen(attribute.name);
            printf("%*s", length < NAME_COLUMNS ? NAME_COLUMNS - length + 1 : 1, "");
            mr_cli_print_text(mr_str_of(attribute.value));
            putchar('\n');
            continue;
        }
        putchar('\n');
        for (const char *line = attribute.value; *line;) {
            size_t length = strcspn(line, "\n");
            printf("    ");
            mr_cli_print_text((mr_str){ line, length });
            putchar('\n');
            line += length + (line[length] == '\n');
        }
    }
}

static void print_file(const char *path, const mr_embedding_file *file)
{
    printf("%s\n  %llu vectors of %zu, %s\n", path, (unsigned long long)mr_embedding_file_rows(file), mr_embedding_file_dimension(file),
           mr_vector_dtype_name(mr_embedding_file_dtype(file)));
    print_attributes(file);
}

static void print_file_json(const mr_embedding_file *file)
{
    json_t *attributes = json_object();
    mr_attribute attribute;
    for (size_t i = 0; mr_embedding_file_attribute_at(file, i, &attribute); i++) json_object_set_new(attributes, attribute.name, json_string(attribute.value));
    json_t *root = json_pack("{s:I,s:I,s:s,s:o}", "rows", (json_int_t)mr_embedding_file_rows(file), "dimension", (json_int_t)mr_embedding_file_dimension(file),
                             "dtype", mr_vector_dtype_name(mr_embedding_file_dtype(file)), "attributes", attributes);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void print_row_json(const mr_embedding_row *row, mr_str source, uint64_t number, const float *vector, size_t dimension)
{
    json_t *values = json_array();
    for (size_t i = 0; i < dimension; i++) json_array_append_new(values, isfinite(vector[i]) ? json_real(vector[i]) : json_null());
    json_t *object = json_pack("{s:I,s:s%,s:s,s:s%,s:s%,s:I,s:s%,s:I,s:o}", "row", (json_int_t)number, "id", row->id.data, row->id.length, "status",
                               mr_row_status_name(row->status), "error", row->error.data ? row->error.data : "", row->error.length, "text",
                               row->text.data ? row->text.data : "", row->text.length, "tokens", (json_int_t)row->tokens, "source", source.data, source.length,
                               "source_record", (json_int_t)row->source_record, "embedding", values);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
}

static void print_field(const char *name, mr_str text)
{
    if (text.length == 0) return;
    printf("%s  ", name);
    mr_cli_print_text(text);
    putchar('\n');
}

#define SHOWN_COMPONENTS 6

static void print_row_text(const mr_embedding_row *row, mr_str source, uint64_t number, const float *vector, size_t dimension)
{
    printf("row %llu  id ", (unsigned long long)number);
    mr_cli_print_text(row->id);
    printf("  %s  %u tokens  from ", mr_row_status_name(row->status), row->tokens);
    mr_cli_print_text(source);
    printf(" record %llu\n", (unsigned long long)row->source_record);
    print_field("error", row->error);
    print_field("text", row->text);
    printf("vector ");
    for (size_t i = 0; i < dimension && i < SHOWN_COMPONENTS; i++) printf(" %.6g", (double)vector[i]);
    printf("%s\n", dimension > SHOWN_COMPONENTS ? " ..." : "");
}

static mr_status print_row(mr_embedding_file *file, uint64_t number, bool json, mr_error *error)
{
    size_t dimension = mr_embedding_file_dimension(file);
    mr_embedding_row row;
    float *vector = malloc(dimension * sizeof *vector);
    if (!vector) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_status status = mr_embedding_file_vectors(file, number, 1, vector, error);
    if (status == MR_OK) status = mr_embedding_file_row(file, number, &row, error);
    if (status == MR_OK) (json ? print_row_json : print_row_text)(&row, mr_embedding_file_source_name(file, row.source_index), number, vector, dimension);
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
