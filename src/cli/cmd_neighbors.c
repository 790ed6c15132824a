#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/str.h"
#include "image/contact_sheet.h"
#include "image/decode.h"
#include "io/embedding_file.h"
#include "kernels/kernels.h"
#include "pipelines/embedder.h"
#include "pipelines/neighbors.h"
#include "pipelines/source_image.h"

static int run(int argc, char **argv);

const mr_command mr_command_neighbors = {
    .name = "neighbors",
    .summary = "nearest rows of an embedding file to a text, an image or one of its rows",
    .run = run,
    .help =
        "usage: millrace neighbors OUT.h5 \"query text\" [-k N] [OPTIONS]\n"
        "       millrace neighbors OUT.h5 --id ID [-k N]\n"
        "       millrace neighbors OUT.h5 --image FILE [-k N]\n"
        "\n"
        "Prints the N nearest rows: rank, score, id (and text, when stored by --store-text). The score is the model's own: mostly the cosine, else\n"
        "the dot product or a distance with a minus. The query is embedded as the file was: same model, pooling and dimension; with the\n"
        "model's \"query\" prompt when it has one.\n"
        "\n"
        "  -k N              how many (default 10)\n"
        "      --id ID       nearest to this row instead of a text\n"
        "      --image FILE  nearest to this image, where the model embeds images\n"
        "      --thumbnails SHEET.png  the images found, on one sheet: best first, row by row (the query image in front)\n"
        "  -m, --model M     model of the query (default: the one named in the file)\n"
        "      --prompt NAME prompt of the model; --prompt-text S: literal text\n"
        "      --json        one JSON object a line\n"
        "\n"
        "examples:\n"
        "  millrace neighbors out/debian.h5 \"edit photographs\" -k 5\n"
        "  millrace neighbors out/debian.h5 --id gimp\n"
        "  millrace neighbors photos.h5 \"a red bicycle\" --thumbnails found.png\n",
};

typedef struct request {
    const char *path, *text, *id, *image, *model, *prompt, *prompt_text, *thumbnails;
    size_t k;
    bool json;
} request;

#define MAX_NEIGHBORS 100000
#define MAX_THUMBNAILS 500 /* a sheet that can still be opened */
#define MAX_IMAGE_BYTES ((size_t)256 << 20)

static mr_status run_query(const request *wanted, mr_embedder *embedder, float *vector, mr_error *error)
{
    const mr_str text = mr_str_of(wanted->text);
    char *image = NULL;
    size_t length = 0;
    if (!wanted->image) return mr_embedder_run(embedder, &text, 1, vector, NULL, error);
    MR_TRY(mr_file_read(wanted->image, MAX_IMAGE_BYTES, &image, &length, error));
    mr_status status = length ? MR_OK : mr_error_set(error, MR_BAD_INPUT, "the file is empty");
    if (status == MR_OK) status = mr_embedder_run_image(embedder, (mr_str){ image, length }, vector, error);
    if (status != MR_OK) mr_error_prefix(error, status, "%s", wanted->image);
    free(image);
    return status;
}

static mr_status embed_query(const request *wanted, mr_embedding_file *file, float *vector, mr_error *error)
{
    mr_embedder_options options;
    MR_TRY(mr_embedder_options_of_file(file, &options, error));
    if (wanted->model) options.model = wanted->model;
    options.prompt_name = wanted->prompt;
    options.prompt_text = wanted->prompt_text;
    options.is_query = true;
    mr_embedder *embedder;
    MR_TRY((wanted->image ? mr_embedder_open_images : mr_embedder_open)(&options, &embedder, error));
    mr_status status = MR_OK;
    if (mr_embedder_dimension(embedder) != mr_embedding_file_dimension(file))
        status = mr_error_set(error, MR_CONFIG, "the model gives vectors of %zu, the file holds vectors of %zu", mr_embedder_dimension(embedder), mr_embedding_file_dimension(file));
    if (status == MR_OK) status = run_query(wanted, embedder, vector, error);
    mr_embedder_close(embedder);
    return status;
}

static mr_status query_vector(const request *wanted, mr_embedding_file *file, float *vector, uint64_t *row, mr_error *error)
{
    *row = UINT64_MAX;
    if (!wanted->id) return embed_query(wanted, file, vector, error);
    MR_TRY(mr_embedding_file_find(file, mr_str_of(wanted->id), row, error));
    return mr_embedding_file_vectors(file, *row, 1, vector, error);
}

#define SHOWN_BYTES 60

/* The first line of a stored text, cut between characters. */
static void print_beginning(mr_str text)
{
    size_t shown = 0;
    while (shown < text.length && shown < SHOWN_BYTES && text.data[shown] != '\n') shown++;
    while (shown > 0 && shown < text.length && ((unsigned char)text.data[shown] & 0xC0) == 0x80) shown--;
    if (shown == 0) return;
    printf("  ");
    mr_cli_print_text((mr_str){ text.data, shown });
    if (shown < text.length) printf("...");
}

static mr_status print_neighbors(const request *wanted, mr_embedding_file *file, const mr_neighbor *found, size_t count, mr_error *error)
{
    for (size_t i = 0; i < count; i++) {
        mr_embedding_row row;
        MR_TRY(mr_embedding_file_row(file, found[i].row, &row, error));
        if (wanted->json) {
            json_t *object = json_pack("{s:i,s:f,s:I,s:s%}", "rank", (int)i + 1, "score", found[i].score, "row", (json_int_t)found[i].row, "id", row.id.data, row.id.length);
            json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
            putchar('\n');
            json_decref(object);
        } else {
            printf("%3zu  %.4f  ", i + 1, found[i].score);
            mr_cli_print_text(row.id);
            print_beginning(row.text);
            putchar('\n');
        }
    }
    return MR_OK;
}

static mr_status load_query_image(const char *path, mr_bitmap *out, mr_error *error)
{
    char *data;
    size_t length;
    const mr_decode_options options = { 0 };
    MR_TRY(mr_file_read(path, MAX_IMAGE_BYTES, &data, &length, error));
    mr_status status = mr_image_decode((const uint8_t *)data, length, &options, out, error);
    free(data);
    return status;
}

static mr_status add_thumbnail(mr_contact_sheet *sheet, mr_embedding_file *file, uint64_t at, mr_error *error)
{
    mr_embedding_row row;
    mr_bitmap image = { 0 };
    mr_error reason;
    MR_TRY(mr_embedding_file_row(file, at, &row, error));
    mr_status status = mr_source_image_load(file, &row, &image, &reason);
    if (status != MR_OK) fprintf(stderr, "millrace: no thumbnail of row %llu: %s\n", (unsigned long long)at, reason.text);
    status = mr_contact_sheet_add(sheet, status == MR_OK ? &image : NULL, error);
    mr_bitmap_free(&image);
    return status;
}

static mr_status write_thumbnails(const request *wanted, mr_embedding_file *file, const mr_neighbor *found, size_t count, mr_error *error)
{
    mr_contact_sheet sheet = { 0 };
    mr_status status = MR_OK;
    if (count == 0) return MR_OK;
    if (count > MAX_THUMBNAILS) count = MAX_THUMBNAILS;
    MR_TRY(mr_contact_sheet_create(count + (wanted->image ? 1 : 0), &sheet, error));
    if (wanted->image) {
        mr_bitmap query = { 0 };
        status = load_query_image(wanted->image, &query, error);
        if (status == MR_OK) status = mr_contact_sheet_add(&sheet, &query, error);
        mr_bitmap_free(&query);
    }
    for (size_t i = 0; status == MR_OK && i < count; i++) status = add_thumbnail(&sheet, file, found[i].row, error);
    if (status == MR_OK) status = mr_bitmap_write_png(&sheet.sheet, wanted->thumbnails, error);
    mr_contact_sheet_free(&sheet);
    return status;
}

static mr_status find_and_print(const request *wanted, mr_error *error)
{
    mr_embedding_file *file;
    MR_TRY(mr_embedding_file_open(wanted->path, &file, error));
    size_t count = 0;
    uint64_t row;
    mr_similarity similarity;
    float *vector = malloc(mr_embedding_file_dimension(file) * sizeof *vector);
    mr_neighbor *found = malloc(wanted->k * sizeof *found);
    mr_status status = vector && found ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK) status = query_vector(wanted, file, vector, &row, error);
    if (status == MR_OK) status = mr_neighbors_similarity(file, &similarity, error);
    if (status == MR_OK) status = mr_neighbors_find(file, similarity, vector, row, wanted->k, found, &count, error);
    if (status == MR_OK) status = print_neighbors(wanted, file, found, count, error);
    if (status == MR_OK && wanted->thumbnails) status = write_thumbnails(wanted, file, found, count, error);
    free(found);
    free(vector);
    mr_embedding_file_close(file);
    return status;
}

static int run(int argc, char **argv)
{
    enum { ID = 0x100, IMAGE, THUMBNAILS, PROMPT, PROMPT_TEXT, JSON };
    static const struct option options[] = { { "id", required_argument, NULL, ID },
        { "image", required_argument, NULL, IMAGE }, { "thumbnails", required_argument, NULL, THUMBNAILS }, { "model", required_argument, NULL, 'm' },
        { "prompt", required_argument, NULL, PROMPT }, { "prompt-text", required_argument, NULL, PROMPT_TEXT }, { "json", no_argument, NULL, JSON }, { 0 } };
    request wanted = { .k = 10 };
    mr_error error;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_neighbors, argc, argv, "k:m:", options, &code)) != -1) {
        switch (option) {
        case 'k': {
            char *end;
            unsigned long k = strtoul(optarg, &end, 10);
            if (*end || k == 0 || k > MAX_NEIGHBORS) return mr_cli_usage(&mr_command_neighbors, "-k %s: expected 1 to %d", optarg, MAX_NEIGHBORS);
            wanted.k = k;
            break;
        }
        case 'm': wanted.model = optarg; break;
        case ID: wanted.id = optarg; break;
        case IMAGE: wanted.image = optarg; break;
        case THUMBNAILS: wanted.thumbnails = optarg; break;
        case PROMPT: wanted.prompt = optarg; break;
        case PROMPT_TEXT: wanted.prompt_text = optarg; break;
        case JSON: wanted.json = true; break;
        default: return code;
        }
    }
    int operands = argc - optind;
    if (wanted.id && wanted.image) return mr_cli_usage(&mr_command_neighbors, "--id and --image exclude each other");
    bool wants_text = !wanted.id && !wanted.image;
    if (operands != (wants_text ? 2 : 1))
        return mr_cli_usage(&mr_command_neighbors, wants_text ? "name one file and one query text (quote it), or --id, or --image" : "name one file");
    wanted.path = argv[optind];
    if (wants_text) wanted.text = argv[optind + 1];
    if (mr_kernels_init(NULL, &error) != MR_OK) return mr_cli_fail(&error);
    return find_and_print(&wanted, &error) == MR_OK ? 0 : mr_cli_fail(&error);
}
