#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/chat.h"
#include "cli/cli.h"
#include "cli/tokenize_decode.h"
#include "core/str.h"
#include "io/source.h"
#include "pipelines/job_cache.h"
#include "registry/model_store.h"
#include "tokenizer/tokenizer.h"

static int run(int argc, char **argv);

const mr_command mr_command_tokenize = {
    .name = "tokenize",
    .summary = "texts -> token ids as JSON lines, and back",
    .run = run,
    .help =
        "usage: millrace tokenize INPUT... -m MODEL [OPTIONS]\n"
        "       millrace tokenize --chat INPUT... -m MODEL\n"
        "       millrace tokenize --decode INPUT... -m MODEL\n"
        "\n"
        "Prints {\"id\": ..., \"ids\": [...]} for every record, exactly as the model's tokenizer.json says; on a terminal, a table of\n"
        "ids, bytes and pieces. A directory holding only tokenizer files, or a .gguf file, will do as MODEL. INPUT as for\n"
        "`millrace embed`.\n"
        "\n"
        "  -m, --model MODEL\n"
        "      --no-special-tokens  leave out [CLS], </s> and the like\n"
        "      --max-tokens N       truncate, special tokens included (default: no limit)\n"
        "      --pieces             also \"pieces\": the text of each token\n"
        "      --offsets            also \"offsets\": [first, behind the last] byte of the text each token comes from\n"
        "      --invalid-utf8 HOW   record: a text that is no UTF-8 fails (default); replace: U+FFFD for what is wrong\n"
        "      --json               JSON on a terminal too\n"
        "      --chat               records are {\"messages\": [...], \"tools\": [...], ...}: put through the model's chat template,\n"
        "                           then tokenized; also \"text\", the prompt. Their other members are the template's variables\n"
        "      --template NAME      which of several chat templates\n"
        "      --decode             reverse: INPUT is JSON lines with \"ids\"; prints {\"id\": ..., \"text\": ...}\n"
        "      --skip-special-tokens  when decoding\n"
        "      --text-field NAME    --id-field NAME\n"
        "\n"
        "A record that fails gets {\"id\": ..., \"error\": ...}; the exit code is then 3.\n"
        "\n"
        "examples:\n"
        "  echo '{\"id\":1,\"text\":\"Hello, World!\"}' | millrace tokenize - -m sentence-transformers/all-MiniLM-L6-v2 --offsets\n"
        "  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}' | millrace tokenize - --chat -m model.gguf\n",
};

typedef struct request {
    const char *model, *text_field, *id_field, *template_name;
    const char *const *paths;
    size_t path_count;
    mr_encode_options encode;
    bool pieces, decode, skip_special, chat, json, replace_invalid;
} request;

typedef struct worker {
    const request *wanted;
    const mr_tokenizer *tokenizer;
    const mr_chat *chat; /* NULL: texts */
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding;
    size_t failed;
} worker;

/* ---------------------------------------------------------------- output */

static void print_object(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static void print_failed(worker *w, mr_str id, const char *text)
{
    w->failed++;
    if (w->wanted->json) print_object(json_pack("{s:s%,s:s}", "id", id.data, id.length, "error", text));
    else printf("%.*s: %s\n", (int)id.length, id.data, text);
}

static void print_json(const worker *w, mr_str id, const mr_str *prompt)
{
    const mr_encoding *encoding = &w->encoding;
    json_t *ids = json_array(), *pieces = json_array(), *offsets = json_array();
    for (size_t i = 0; i < encoding->count; i++) {
        mr_str piece = mr_tokenizer_piece(w->tokenizer, encoding->ids[i]);
        json_array_append_new(ids, json_integer(encoding->ids[i]));
        if (w->wanted->pieces) json_array_append_new(pieces, json_stringn(piece.data ? piece.data : "", piece.length));
        if (encoding->spans && w->wanted->encode.offsets) json_array_append_new(offsets, json_pack("[i,i]", (int)encoding->spans[i].start, (int)encoding->spans[i].end));
    }
    json_t *object = json_pack("{s:s%}", "id", id.data, id.length);
    if (prompt) json_object_set_new(object, "text", json_stringn(prompt->data, prompt->length));
    json_object_set_new(object, "ids", ids);
    if (w->wanted->pieces) json_object_set(object, "pieces", pieces);
    if (w->wanted->encode.offsets) json_object_set(object, "offsets", offsets);
    json_decref(pieces);
    json_decref(offsets);
    print_object(object);
}

/* Bytes as a person can read them on one line. */
static void print_bytes(mr_str text)
{
    putchar('"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n') fputs("\\n", stdout);
        else if (c < 0x20 || c == 0x7F) printf("\\x%02X", c);
        else putchar(c);
    }
    putchar('"');
}

static void print_table(const worker *w, mr_str id, mr_str text)
{
    printf("%.*s: %zu tokens, %zu bytes\n", (int)id.length, id.data, w->encoding.count, text.length);
    for (size_t i = 0; i < w->encoding.count; i++) {
        mr_span span = w->encoding.spans[i];
        mr_str piece = mr_tokenizer_piece(w->tokenizer, w->encoding.ids[i]);
        printf("%8d  %6u-%-6u  ", (int)w->encoding.ids[i], span.start, span.end);
        print_bytes((mr_str){ text.data + span.start, span.end - span.start });
        fputs("  ", stdout);
        print_bytes((mr_str){ piece.data ? piece.data : "", piece.length });
        putchar('\n');
    }
}

/* ---------------------------------------------------------------- encoding */

static void encode_text(worker *w, mr_str id, mr_str text, bool special, bool prompt)
{
    mr_encode_options options = w->wanted->encode;
    mr_error problem;
    options.offsets = options.offsets || !w->wanted->json;
    options.add_special_tokens = options.add_special_tokens && special;
    if (mr_tokenizer_encode(w->tokenizer, w->scratch, text, &options, &w->encoding, &problem) != MR_OK) print_failed(w, id, problem.text);
    else if (w->wanted->json) print_json(w, id, prompt ? &text : NULL);
    else print_table(w, id, text);
}

static mr_status encode_all(worker *w, mr_error *error)
{
    const request *wanted = w->wanted;
    const mr_source_options options = { .paths = wanted->paths, .path_count = wanted->path_count, .text_field = wanted->text_field, .id_field = wanted->id_field,
                                        .replace_invalid = wanted->replace_invalid };
    mr_source *source;
    mr_record *record;
    MR_TRY(mr_source_open(&options, &source, error));
    mr_status status;
    while ((status = mr_source_next(source, &record, error)) == MR_OK) {
        if (record->status != MR_OK) print_failed(w, record->id, record->error_text);
        else encode_text(w, record->id, record->text, true, false);
        mr_record_free(record);
    }
    mr_source_close(source);
    return status == MR_END ? MR_OK : status;
}

/* One line: a conversation. Its prompt is tokenized with special tokens, unless the template wrote the first itself. */
static void chat_line(const json_t *line, const char *id, void *context)
{
    worker *w = context;
    mr_buf prompt = { 0 };
    mr_error problem;
    if (mr_chat_make_prompt(w->chat, line, &prompt, &problem) != MR_OK) {
        print_failed(w, mr_str_of(id), problem.text);
    } else {
        mr_str text = { prompt.data ? prompt.data : "", prompt.length };
        encode_text(w, mr_str_of(id), text, mr_chat_needs_special_tokens(w->chat, text), true);
    }
    mr_buf_fini(&prompt);
}

static void decode_line(const json_t *line, const char *id, void *context)
{
    worker *w = context;
    mr_buf text = { 0 };
    const char *problem = mr_tokenize_decode_line(w->tokenizer, line, w->wanted->skip_special, &text);
    if (problem) print_failed(w, mr_str_of(id), problem);
    else print_object(json_pack("{s:s,s:s%}", "id", id, "text", text.data ? text.data : "", text.length));
    mr_buf_fini(&text);
}

static void bad_line(const char *id, const char *problem, void *context)
{
    print_failed(context, mr_str_of(id), problem);
}

static mr_status run_worker(worker *w, mr_error *error)
{
    const request *wanted = w->wanted;
    if (!wanted->decode && !wanted->chat) return encode_all(w, error);
    for (size_t i = 0; i < wanted->path_count; i++)
        MR_TRY(mr_tokenize_each_line(wanted->paths[i], wanted->id_field, wanted->decode ? decode_line : chat_line, bad_line, w, error));
    return MR_OK;
}

static mr_status tokenize(const request *wanted, size_t *failed, mr_error *error)
{
    mr_model_store *store;
    mr_cache *cache = NULL;
    mr_tokenizer *tokenizer = NULL;
    mr_chat *chat = NULL;
    char *path = NULL;
    worker w = { .wanted = wanted };
    MR_TRY(mr_model_store_open(&store, error));
    mr_status status = mr_model_store_resolve(store, wanted->model, &path, error);
    mr_model_store_close(store);
    MR_TRY(status);
    MR_TRY_OR(status, mr_job_cache_open(&(mr_job){ 0 }, &cache, error), done);
    MR_TRY_OR(status, mr_tokenizer_open(path, cache, &tokenizer, error), done);
    if (wanted->chat) MR_TRY_OR(status, mr_chat_open(path, wanted->template_name, &chat, error), done);
    MR_TRY_OR(status, mr_tokenizer_scratch_create(&w.scratch, error), done);
    w.tokenizer = tokenizer;
    w.chat = chat;
    status = run_worker(&w, error);
    *failed = w.failed;
done:
    mr_encoding_fini(&w.encoding);
    mr_tokenizer_scratch_destroy(w.scratch);
    mr_chat_close(chat);
    mr_tokenizer_close(tokenizer);
    mr_cache_close(cache);
    free(path);
    return status;
}

/* ---------------------------------------------------------------- command line */

enum { NO_SPECIAL = 0x100, MAX_TOKENS, PIECES, OFFSETS, INVALID_UTF8, JSON_OUTPUT, CHAT, TEMPLATE, DECODE, SKIP_SPECIAL, TEXT_FIELD, ID_FIELD };

/* False after a usage error was printed. */
static bool set_option(request *wanted, int option, int *code)
{
    char *end = NULL;
    switch (option) {
    case 'm': wanted->model = optarg; break;
    case NO_SPECIAL: wanted->encode.add_special_tokens = false; break;
    case MAX_TOKENS:
        wanted->encode.max_tokens = strtoul(optarg, &end, 10);
        if (*end == '\0' && wanted->encode.max_tokens > 0) break;
        *code = mr_cli_usage(&mr_command_tokenize, "--max-tokens %s: expected a number from 1", optarg);
        return false;
    case INVALID_UTF8:
        wanted->replace_invalid = strcmp(optarg, "replace") == 0;
        if (wanted->replace_invalid || strcmp(optarg, "record") == 0) break;
        *code = mr_cli_usage(&mr_command_tokenize, "--invalid-utf8 %s: expected record or replace", optarg);
        return false;
    case PIECES: wanted->pieces = true; break;
    case OFFSETS: wanted->encode.offsets = true; break;
    case JSON_OUTPUT: wanted->json = true; break;
    case CHAT: wanted->chat = true; break;
    case TEMPLATE: wanted->template_name = optarg; break;
    case DECODE: wanted->decode = true; break;
    case SKIP_SPECIAL: wanted->skip_special = true; break;
    case TEXT_FIELD: wanted->text_field = optarg; break;
    case ID_FIELD: wanted->id_field = optarg; break;
    default: return false;
    }
    return true;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "model", required_argument, NULL, 'm' }, { "no-special-tokens", no_argument, NULL, NO_SPECIAL },
        { "max-tokens", required_argument, NULL, MAX_TOKENS }, { "pieces", no_argument, NULL, PIECES }, { "offsets", no_argument, NULL, OFFSETS },
        { "invalid-utf8", required_argument, NULL, INVALID_UTF8 }, { "json", no_argument, NULL, JSON_OUTPUT }, { "chat", no_argument, NULL, CHAT },
        { "template", required_argument, NULL, TEMPLATE }, { "decode", no_argument, NULL, DECODE }, { "skip-special-tokens", no_argument, NULL, SKIP_SPECIAL },
        { "text-field", required_argument, NULL, TEXT_FIELD }, { "id-field", required_argument, NULL, ID_FIELD }, { 0 } };
    request wanted = { .encode = { .add_special_tokens = true }, .json = !isatty(STDOUT_FILENO) };
    mr_error error;
    size_t failed = 0;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_tokenize, argc, argv, "m:", options, &code)) != -1)
        if (!set_option(&wanted, option, &code)) return code;
    if (!wanted.model) return mr_cli_usage(&mr_command_tokenize, "no model given; add -m MODEL");
    if (optind == argc) return mr_cli_usage(&mr_command_tokenize, "no input given; name files or - for stdin");
    if (wanted.chat && wanted.decode) return mr_cli_usage(&mr_command_tokenize, "--chat and --decode exclude each other");
    if (wanted.pieces || wanted.encode.offsets || wanted.decode) wanted.json = true; /* asked for as members of an object */
    wanted.paths = (const char *const *)&argv[optind];
    wanted.path_count = (size_t)(argc - optind);
    if (tokenize(&wanted, &failed, &error) != MR_OK) return mr_cli_fail(&error);
    return failed ? mr_status_exit_code(MR_RECORDS_FAILED) : 0;
}
