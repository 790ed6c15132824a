#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/str.h"
#include "image/decode.h"
#include "image/processor.h"
#include "io/pixel_file.h"
#include "io/source.h"
#include "kernels/kernels.h"
#include "registry/model_store.h"

static int run(int argc, char **argv);

const mr_command mr_command_preprocess = {
    .name = "preprocess",
    .summary = "images -> the pixels a model sees of them",
    .run = run,
    .help =
        "usage: millrace preprocess IMAGES... -m MODEL -o OUT.h5 [OPTIONS]\n"
        "\n"
        "Writes /pixels u8 [N, height, width, 3], each image decoded, resized and cropped as preprocessor_config.json says, which is all\n"
        "that is read of MODEL. /id, /status, /error, /width and /height tell which image, and why one failed (its pixels are 0).\n"
        "INPUT as for `millrace embed`.\n"
        "\n"
        "  -m, --model MODEL\n"
        "  -o, --output OUT.h5\n"
        "      --alpha HOW       drop (default) or white\n"
        "      --max-pixels N    larger images fail (default 178956970)\n"
        "      --pillow VERSION  13 (default), or 12: resize as Pillow 12.1 and older\n"
        "      --overwrite\n"
        "\n"
        "Exit code 3 when an image failed.\n"
        "\n"
        "example:\n"
        "  millrace preprocess photos/ -m openai/clip-vit-base-patch32 -o pixels.h5\n",
};

typedef struct request {
    const char *model, *output;
    const char *const *paths;
    size_t path_count;
    mr_decode_options decode;
    bool old_pillow, overwrite;
} request;

static mr_status read_processor(const request *wanted, mr_image_processor *out, mr_error *error)
{
    mr_model_store *store;
    char *path = NULL;
    MR_TRY(mr_model_store_open(&store, error));
    mr_status status = mr_model_store_resolve(store, wanted->model, &path, error);
    mr_model_store_close(store);
    if (status == MR_OK) status = mr_image_processor_read(path, out, error);
    out->always_horizontal_first = wanted->old_pillow;
    free(path);
    return status;
}

static mr_status preprocess(const request *wanted, const mr_image_processor *processor, const mr_record *record, uint8_t *pixels, mr_embedding_row *row,
                            mr_error *error)
{
    if (record->status != MR_OK) return mr_error_set(error, record->status, "%s", record->error_text);
    if (record->image.length == 0) return mr_error_set(error, MR_BAD_RECORD, "the record holds no image");
    mr_bitmap bitmap = { 0 };
    MR_TRY(mr_image_decode((const uint8_t *)record->image.data, record->image.length, &wanted->decode, &bitmap, error));
    row->width = (uint32_t)bitmap.width;
    row->height = (uint32_t)bitmap.height;
    mr_status status = mr_image_processor_run(processor, &bitmap, pixels, error);
    mr_bitmap_free(&bitmap);
    return status;
}

static mr_status put_all(const request *wanted, const mr_image_processor *processor, mr_source *source, uint8_t *pixels, mr_pixel_file *file, size_t *failed,
                         mr_error *error)
{
    for (;;) {
        mr_record *record;
        mr_status status = mr_source_next(source, &record, error);
        if (status == MR_END) return MR_OK;
        MR_TRY(status);
        mr_error reason;
        mr_embedding_row row = { .status = MR_ROW_OK, .id = record->id, .error = { "", 0 } };
        if (preprocess(wanted, processor, record, pixels, &row, &reason) != MR_OK) {
            row.status = MR_ROW_FAILED;
            row.error = mr_str_of(reason.text);
            ++*failed;
        }
        status = mr_pixel_file_put(file, &row, row.status == MR_ROW_OK ? pixels : NULL, error);
        mr_record_free(record);
        MR_TRY(status);
    }
}

static mr_status preprocess_all(const request *wanted, size_t *failed, mr_error *error)
{
    mr_image_processor processor = { 0 };
    mr_source *source = NULL;
    mr_pixel_file *file = NULL;
    uint8_t *pixels = NULL;
    const mr_source_options options = { .paths = wanted->paths, .path_count = wanted->path_count };
    mr_status status;
    MR_TRY(read_processor(wanted, &processor, error));
    MR_TRY_OR(status, mr_source_open(&options, &source, error), done);
    MR_TRY_OR(status, mr_pixel_file_create(wanted->output, processor.width, processor.height, wanted->overwrite, &file, error), done);
    pixels = malloc(3 * processor.width * processor.height);
    status = pixels ? put_all(wanted, &processor, source, pixels, file, failed, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK) {
        const mr_attribute model = { "model", wanted->model };
        status = mr_pixel_file_finish(file, &model, 1, error);
        file = NULL;
    }
done:
    mr_pixel_file_abandon(file);
    mr_source_close(source);
    free(pixels);
    return status;
}

static bool read_count(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return *text >= '1' && *text <= '9' && *end == '\0';
}

static int run(int argc, char **argv)
{
    enum { ALPHA = 0x100, MAX_PIXELS, PILLOW, OVERWRITE };
    static const struct option options[] = { { "model", required_argument, NULL, 'm' }, { "output", required_argument, NULL, 'o' },
        { "alpha", required_argument, NULL, ALPHA }, { "max-pixels", required_argument, NULL, MAX_PIXELS }, { "pillow", required_argument, NULL, PILLOW },
        { "overwrite", no_argument, NULL, OVERWRITE }, { 0 } };
    const mr_command *self = &mr_command_preprocess;
    request wanted = { 0 };
    mr_error error;
    size_t failed = 0;
    int option, code = 0;
    while ((option = mr_cli_option(self, argc, argv, "m:o:", options, &code)) != -1) {
        switch (option) {
        case 'm': wanted.model = optarg; break;
        case 'o': wanted.output = optarg; break;
        case ALPHA:
            if (strcmp(optarg, "white") != 0 && strcmp(optarg, "drop") != 0) return mr_cli_usage(self, "--alpha %s: expected drop or white", optarg);
            wanted.decode.alpha_on_white = strcmp(optarg, "white") == 0;
            break;
        case MAX_PIXELS:
            if (!read_count(optarg, &wanted.decode.max_pixels)) return mr_cli_usage(self, "--max-pixels %s: expected a number", optarg);
            break;
        case PILLOW:
            if (strcmp(optarg, "13") != 0 && strcmp(optarg, "12") != 0) return mr_cli_usage(self, "--pillow %s: expected 13 or 12", optarg);
            wanted.old_pillow = strcmp(optarg, "12") == 0;
            break;
        case OVERWRITE: wanted.overwrite = true; break;
        default: return code;
        }
    }
    wanted.paths = (const char *const *)(argv + optind);
    wanted.path_count = (size_t)(argc - optind);
    if (!wanted.model || !wanted.output || wanted.path_count == 0) return mr_cli_usage(self, "name images, a model (-m) and an output (-o)");
    if (mr_kernels_init(NULL, &error) != MR_OK || preprocess_all(&wanted, &failed, &error) != MR_OK) return mr_cli_fail(&error);
    if (failed > 0 && mr_cli_verbosity() >= 0) fprintf(stderr, "millrace: %zu images failed; error/bytes in %s says why\n", failed, wanted.output);
    return failed > 0 ? mr_status_exit_code(MR_RECORDS_FAILED) : 0;
}
