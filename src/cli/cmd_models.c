#include <jansson.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "core/str.h"
#include "registry/model_store.h"
#include "registry/pool/memory_limits.h"

static int run(int argc, char **argv);

const mr_command mr_command_models = {
    .name = "models",
    .summary = "the catalogue: what can be fetched, what is here, what fits",
    .run = run,
    .help =
        "usage: millrace models [KEY] [--json]\n"
        "\n"
        "Lists the models known by name: capability, size of the download, whether one fits into this machine's memory (bf16,\n"
        "int8: from that precision on) and whether its files are here. With KEY: everything the catalogue knows about one model.\n"
        "Own entries go into $MILLRACE_HOME/catalogue/*.yaml; a model directory needs no entry.\n"
        "\n"
        "examples:\n"
        "  millrace models\n"
        "  millrace models sentence-transformers/all-MiniLM-L6-v2\n",
};

/* Into this machine's memory: in any precision, from one on, or not at all. What f32 takes more than int8 is three of the four
 * bytes of each packed weight; bf16 takes one of them. */
static const char *fits(const mr_catalogue_entry *entry, uint64_t limit)
{
    uint64_t int8 = entry->memory_int8;
    if (entry->memory <= limit) return "yes";
    if (int8 == 0 || int8 > limit) return "no";
    return int8 + (entry->memory - int8) / 3 <= limit ? "bf16" : "int8";
}

static json_t *entry_json(const mr_catalogue_entry *entry, const char *path, uint64_t limit)
{
    json_t *files = json_array();
    for (size_t i = 0; i < entry->file_count; i++) {
        const mr_catalogue_file *file = &entry->files[i];
        json_array_append_new(files, json_pack("{s:s,s:I,s:s?}", "path", file->path, "bytes", (json_int_t)file->bytes, "sha256", file->sha256));
    }
    json_t *prompts = json_object();
    for (size_t i = 0; i < entry->prompt_count; i++) json_object_set_new(prompts, entry->prompts[i].name, json_string(entry->prompts[i].text));
    return json_pack("{s:s,s:s,s:s,s:s?,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:o,s:s?,s:o}", "key", entry->key, "capability", mr_capability_text(entry->capability),
                     "architecture", entry->architecture, "licence", entry->licence, "dimension", (json_int_t)entry->dimension,
                     "max_tokens", (json_int_t)entry->max_tokens, "bytes", (json_int_t)mr_catalogue_entry_bytes(entry),
                     "download", (json_int_t)entry->download, "memory", (json_int_t)entry->memory, "memory_int8", (json_int_t)entry->memory_int8,
                     "fits", fits(entry, limit), "prompts", prompts, "path", path, "files", files);
}

static const char *download_text(const mr_catalogue_entry *entry, char out[20])
{
    char size[16];
    uint64_t known = mr_catalogue_entry_bytes(entry), bytes = known > entry->download ? known : entry->download;
    snprintf(out, 20, "%s%s", entry->download ? "~" : "", bytes ? mr_str_bytes(size, bytes) : "?");
    return out;
}

static void print_entry(const mr_catalogue_entry *entry, const char *path, uint64_t limit)
{
    char size[20], memory[16];
    printf("%s\n  capability    %s\n  architecture  %s\n", entry->key, mr_capability_text(entry->capability), entry->architecture);
    if (entry->licence) printf("  licence       %s\n", entry->licence);
    if (entry->dimension) printf("  dimension     %zu\n", entry->dimension);
    if (entry->max_tokens) printf("  max tokens    %zu\n", entry->max_tokens);
    printf("  download      %s\n", download_text(entry, size));
    printf("  memory        about %s%s", mr_str_bytes(memory, entry->memory), entry->memory_int8 ? " in f32" : "\n");
    if (entry->memory_int8) printf(", %s in int8\n", mr_str_bytes(memory, entry->memory_int8));
    printf("  fits          %s\n", fits(entry, limit));
    printf("  on disk       %s\n", path ? path : "not fetched");
    for (size_t i = 0; i < entry->prompt_count; i++) {
        json_t *text = json_string(entry->prompts[i].text);
        char *quoted = json_dumps(text, JSON_ENCODE_ANY);
        printf("  %-13s %s: %s\n", i == 0 ? "prompts" : "", entry->prompts[i].name, quoted ? quoted : "");
        free(quoted);
        json_decref(text);
    }
    if (entry->hub.repository) printf("  hub           %s @ %s\n", entry->hub.repository, entry->hub.revision);
    if (entry->pypi.package) printf("  PyPI          %s %s\n", entry->pypi.package, entry->pypi.version);
    printf("  files\n");
    for (size_t i = 0; i < entry->file_count; i++)
        printf("    %-34s %10s  %s\n", entry->files[i].path, entry->files[i].bytes ? mr_str_bytes(size, entry->files[i].bytes) : "?",
               entry->files[i].sha256 ? entry->files[i].sha256 : "no hash known");
    if (!path) printf("get it: millrace fetch %s\n", entry->key);
}

static void print_list(const mr_model_store *store, uint64_t limit, bool json)
{
    const mr_catalogue *catalogue = mr_model_store_catalogue(store);
    json_t *list = json ? json_array() : NULL;
    if (!json) printf("%-44s %-16s %10s %6s  %s\n", "MODEL", "CAPABILITY", "SIZE", "FITS", "HERE");
    for (size_t i = 0; i < mr_catalogue_count(catalogue); i++) {
        const mr_catalogue_entry *entry = mr_catalogue_at(catalogue, i);
        char *path = mr_model_store_locate(store, entry);
        char size[20];
        if (json) json_array_append_new(list, entry_json(entry, path, limit));
        else printf("%-44s %-16s %10s %6s  %s\n", entry->key, mr_capability_text(entry->capability), download_text(entry, size),
                    fits(entry, limit), path ? path : "-");
        free(path);
    }
    if (!json) return;
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static int show(const char *key, bool json)
{
    mr_error error;
    mr_model_store *store;
    if (mr_model_store_open(&store, &error) != MR_OK) return mr_cli_fail(&error);
    mr_memory_limits memory = { .effective = UINT64_MAX };
    (void)mr_memory_limits_read(NULL, &memory, NULL); /* unknown memory: everything fits */
    int code = 0;
    const mr_catalogue_entry *entry = NULL;
    if (!key) {
        print_list(store, memory.effective, json);
    } else if (mr_model_store_entry(store, key, &entry, &error) != MR_OK) {
        code = mr_cli_fail(&error);
    } else {
        char *path = mr_model_store_locate(store, entry);
        json_t *object = json ? entry_json(entry, path, memory.effective) : NULL;
        if (json) json_dumpf(object, stdout, JSON_INDENT(2)), putchar('\n');
        else print_entry(entry, path, memory.effective);
        json_decref(object);
        free(path);
    }
    mr_model_store_close(store);
    return code;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
    bool json = false;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_models, argc, argv, "", options, &code)) != -1) {
        if (option == '?' || option == 'H') return code;
        json = true;
    }
    if (argc - optind > 1) return mr_cli_usage(&mr_command_models, "one KEY at a time");
    return show(optind < argc ? argv[optind] : NULL, json);
}
