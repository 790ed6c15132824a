#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/str.h"
#include "io/source.h"
#include "registry/model_store.h"
#include "tokenizer/tokenizer.h"

static int run(int argc, char **argv);

const mr_command mr_command_tokenize = {
    .name = "tokenize",
    .summary = "texts -> token ids as JSON lines, and back",
    .run = run,
    .help =
        "usage: millrace tokenize INPUT... -m MODEL [OPTIONS]\n"
        "       millrace tokenize --decode INPUT... -m MODEL\n"
        "\n"
        "Prints {\"id\": ..., \"ids\": [...]} for every record, exactly as the model's tokenizer.json says. A directory holding only\n"
        "tokenizer.json will do as MODEL. INPUT as for `millrace embed`.\n"
        "\n"
        "  -m, --model MODEL\n"
        "      --no-special-tokens  leave out [CLS], </s> and the like\n"
        "      --max-tokens N       truncate, special tokens included (default: no limit)\n"
        "      --pieces             also \"pieces\": the text of each token\n"
        "      --decode             reverse: INPUT is JSON lines with \"ids\"; prints {\"id\": ..., \"text\": ...}\n"
        "      --skip-special-tokens  when decoding\n"
        "      --text-field NAME    --id-field NAME\n"
        "\n"
        "A record that fails gets {\"id\": ..., \"error\": ...}; the exit code is then 3.\n"
        "\n"
        "example:\n"
        "  echo '{\"id\":1,\"text\":\"Hello, World!\"}' | millrace tokenize - -m sentence-transformers/all-MiniLM-L6-v2 --pieces\n",
};

typedef struct request {
    const char *model, *text_field, *id_field;
    const char *const *paths;
    size_t path_count;
    mr_encode_options encode;
    bool pieces, decode, skip_special;
} request;

static void print_object(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static void print_failed(mr_str id, const char *text)
{
    print_object(json_pack("{s:s%,s:s}", "id", id.data, id.length, "error", text));
}

static void print_ids(const mr_tokenizer *tokenizer, mr_str id, const mr_encoding *encoding, bool with_pieces)
{
    json_t *ids = json_array(), *pieces = with_pieces ? json_array() : NULL;
    for (size_t i = 0; i < encoding->count; i++) {
        mr_str piece = mr_tokenizer_piece(tokenizer, encoding->ids[i]);
        json_array_append_new(ids, json_integer(encoding->ids[i]));
        if (pieces) json_array_append_new(pieces, json_stringn(piece.data ? piece.data : "", piece.length));
    }
    json_t *object = json_pack("{s:s%,s:o}", "id", id.data, id.length, "ids", ids);
    if (pieces) json_object_set_new(object, "pieces", pieces);
    print_object(object);
}

static mr_status encode_all(const request *wanted, const mr_tokenizer *tokenizer, size_t *failed, mr_error *error)
{
    mr_source *source = NULL;
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding encoding = { 0 };
    mr_status status;
    const mr_source_options options = { .paths = wanted->paths, .path_count = wanted->path_count, .text_field = wanted->text_field, .id_field = wanted->id_field };
    MR_TRY_OR(status, mr_tokenizer_scratch_create(&scratch, error), done);
    MR_TRY_OR(status, mr_source_open(&options, &source, error), done);
    for (;;) {
        mr_record *record;
        mr_error problem;
        status = mr_source_next(source, &record, error);
        if (status != MR_OK) break;
        if (record->status != MR_OK) {
            print_failed(record->id, record->error_text);
            ++*failed;
        } else if (mr_tokenizer_encode(tokenizer, scratch, record->text, &wanted->encode, &encoding, &problem) != MR_OK) {
            print_failed(record->id, problem.text);
            ++*failed;
        } else {
            print_ids(tokenizer, record->id, &encoding, wanted->pieces);
        }
        mr_record_free(record);
    }
    if (status == MR_END) status = MR_OK;
done:
    mr_encoding_fini(&encoding);
    mr_source_close(source);
    mr_tokenizer_scratch_destroy(scratch);
    return status;
}

/* `line` is one JSON object with "ids" and perhaps "id". */
static const char *decode_line(const request *wanted, const mr_tokenizer *tokenizer, const json_t *line, json_t *out)
{
    const json_t *list = json_object_get(line, "ids");
    size_t count = json_array_size(list);
    int32_t *ids = malloc((count + 1) * sizeof *ids);
    mr_buf text = { 0 };
    mr_error error;
    const char *problem = !ids ? "out of memory" : !json_is_array(list) ? "no array \"ids\"" : NULL;
    for (size_t i = 0; !problem && i < count; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id > INT32_MAX) problem = "\"ids\" holds something that is no token id";
        else ids[i] = (int32_t)id;
    }
    if (!problem && mr_tokenizer_decode(tokenizer, ids, count, wanted->skip_special, &text, &error) != MR_OK) problem = "cannot be decoded";
    if (!problem) json_object_set_new(out, "text", json_stringn(text.data ? text.data : "", text.length));
    mr_buf_fini(&text);
    free(ids);
    return problem;
}

static mr_status decode_file(const request *wanted, const mr_tokenizer *tokenizer, const char *path, size_t *failed, mr_error *error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file) return mr_error_errno(error, errno, "cannot open %s", path);
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0') continue;
        json_error_t syntax;
        json_t *object = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, &syntax), *out = json_object();
        json_t *id = json_object_get(object, "id");
        if (id) json_object_set(out, "id", id);
        else json_object_set_new(out, "id", json_sprintf("%s#%zu", path, number));
        const char *problem = object ? decode_line(wanted, tokenizer, object, out) : syntax.text;
        if (problem) {
            json_object_set_new(out, "error", json_string(problem));
            ++*failed;
        }
        print_object(out);
        json_decref(object);
    }
    mr_status status = ferror(file) ? mr_error_errno(error, errno, "cannot read %s", path) : MR_OK;
    free(line);
    if (file != stdin) fclose(file);
    return status;
}

static mr_status tokenize(const request *wanted, size_t *failed, mr_error *error)
{
    mr_model_store *store;
    mr_tokenizer *tokenizer;
    char *path = NULL;
    MR_TRY(mr_model_store_open(&store, error));
    mr_status status = mr_model_store_resolve(store, wanted->model, &path, error);
    mr_model_store_close(store);
    MR_TRY(status);
    status = mr_tokenizer_open(path, &tokenizer, error);
    free(path);
    MR_TRY(status);
    if (!wanted->decode) status = encode_all(wanted, tokenizer, failed, error);
    for (size_t i = 0; wanted->decode && status == MR_OK && i < wanted->path_count; i++) status = decode_file(wanted, tokenizer, wanted->paths[i], failed, error);
    mr_tokenizer_close(tokenizer);
    return status;
}

static int run(int argc, char **argv)
{
    enum { NO_SPECIAL = 0x100, MAX_TOKENS, PIECES, DECODE, SKIP_SPECIAL, TEXT_FIELD, ID_FIELD };
    static const struct option options[] = { { "model", required_argument, NULL, 'm' }, { "no-special-tokens", no_argument, NULL, NO_SPECIAL },
        { "max-tokens", required_argument, NULL, MAX_TOKENS }, { "pieces", no_argument, NULL, PIECES }, { "decode", no_argument, NULL, DECODE },
        { "skip-special-tokens", no_argument, NULL, SKIP_SPECIAL }, { "text-field", required_argument, NULL, TEXT_FIELD },
        { "id-field", required_argument, NULL, ID_FIELD }, { 0 } };
    request wanted = { .encode = { .add_special_tokens = true } };
    mr_error error;
    size_t failed = 0;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_tokenize, argc, argv, "m:", options, &code)) != -1) {
        char *end = NULL;
        switch (option) {
        case 'm': wanted.model = optarg; break;
        case NO_SPECIAL: wanted.encode.add_special_tokens = false; break;
        case MAX_TOKENS:
            wanted.encode.max_tokens = strtoul(optarg, &end, 10);
            if (*end || wanted.encode.max_tokens == 0) return mr_cli_usage(&mr_command_tokenize, "--max-tokens %s: expected a number from 1", optarg);
            break;
        case PIECES: wanted.pieces = true; break;
        case DECODE: wanted.decode = true; break;
        case SKIP_SPECIAL: wanted.skip_special = true; break;
        case TEXT_FIELD: wanted.text_field = optarg; break;
        case ID_FIELD: wanted.id_field = optarg; break;
        default: return code;
        }
    }
    if (!wanted.model) return mr_cli_usage(&mr_command_tokenize, "no model given; add -m MODEL");
    if (optind == argc) return mr_cli_usage(&mr_command_tokenize, "no input given; name files or - for stdin");
    wanted.paths = (const char *const *)&argv[optind];
    wanted.path_count = (size_t)(argc - optind);
    if (tokenize(&wanted, &failed, &error) != MR_OK) return mr_cli_fail(&error);
    return failed ? mr_status_exit_code(MR_RECORDS_FAILED) : 0;
}
