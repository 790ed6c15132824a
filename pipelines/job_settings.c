/* The table of settings and how one of them is read from and written as text. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/duration.h"
#include "core/str.h"
#include "io/record.h"
#include "pipelines/job.h"

static const char *const job_kinds[] = { "embed", NULL };
static const char *const dtypes[] = { "f32", "f16", "int8", "binary", NULL };
static const char *const precisions[] = { "auto", "f32", "bf16", "int8", NULL };
static const char *const pins[] = { "auto", "none", NULL };
static const char *const numa_policies[] = { "none", "interleave", NULL };
static const char *const policies[] = { "record", "fail", NULL };
static const char *const modalities[] = { "auto", "text", "image", NULL };
static const char *const invalid_utf8[] = { "record", "replace", NULL };
static const char *const alphas[] = { "drop", "white", NULL };
static const char *const pillows[] = { "13", "12", NULL };
static const char *const poolings[] = { "mean", "cls", "last", "max", "mean_sqrt_len", "weightedmean", NULL };

#define AT(member) offsetof(mr_job, member)
#define POOL_PREFIX "pool."

static const mr_setting settings[] = {
    { "version", NULL, "1", "version of the job file format", MR_SETTING_COUNT, AT(version), NULL, false },
    { "job", NULL, "KIND", "what to do: embed", MR_SETTING_CHOICE, AT(kind), job_kinds, true },
    { "model", "--model", "MODEL", "catalogue key or model directory", MR_SETTING_STRING, AT(model), NULL, true },
    { "input.paths", NULL, "PATHS", "files, directories, globs or - (stdin), read in this order", MR_SETTING_STRINGS, AT(paths), NULL, true },
    { "input.text_field", "--text-field", "NAME", "JSON field with the text (default: text, content, body, document, messages)", MR_SETTING_STRING, AT(text_field), NULL, true },
    { "input.id_field", "--id-field", "NAME", "JSON field with the id (default: id, _id, custom_id; else file#line)", MR_SETTING_STRING, AT(id_field), NULL, true },
    { "input.invalid_utf8", "--invalid-utf8", "HOW", "record: a text that is no UTF-8 is a failed record (default); replace: U+FFFD for what is wrong", MR_SETTING_CHOICE, AT(invalid_utf8), invalid_utf8, true },
    { "input.limit", "--limit", "N", "read only the first N records", MR_SETTING_COUNT, AT(limit), NULL, true },
    { "output.path", "--output", "OUT", "file to write: .h5, .jsonl, or - for JSON lines on stdout", MR_SETTING_STRING, AT(output_path), NULL, false },
    { "output.dtype", "--dtype", "TYPE", "f32, f16, int8 or binary vectors (default f32)", MR_SETTING_CHOICE, AT(output_dtype), dtypes, true },
    { "output.store_text", "--store-text", NULL, "keep each record's text beside its vector", MR_SETTING_BOOL, AT(store_text), NULL, true },
    { "output.overwrite", "--overwrite", NULL, "drop an existing output of another job", MR_SETTING_BOOL, AT(overwrite), NULL, false },
    { "output.part_rows", "--part-rows", "N", "records per part file, which is what a kill can cost (default 16384, fewer for large vectors)", MR_SETTING_COUNT, AT(part_rows), NULL, false },
    { "output.keep_parts", "--keep-parts", NULL, "leave OUT.parts/ in place when done", MR_SETTING_BOOL, AT(keep_parts), NULL, false },
    { "output.in_place_parts", "--in-place-parts", NULL, "leave the vectors in OUT.parts/ and let OUT refer to them: no room for them twice", MR_SETTING_BOOL, AT(in_place_parts), NULL, false },
    { "precision", "--precision", "CLASS", "auto, f32, bf16 or int8 (default auto)", MR_SETTING_CHOICE, AT(precision), precisions, true },
    { "embedding.prompt", "--prompt", "NAME", "prompt of the model to put in front of each text", MR_SETTING_STRING, AT(prompt_name), NULL, true },
    { "embedding.prompt_text", "--prompt-text", "S", "literal text to put in front of each text", MR_SETTING_STRING, AT(prompt_text), NULL, true },
    { "embedding.pooling", "--pooling", "MODE", "mean, cls, last, max, mean_sqrt_len or weightedmean (default: the model's)", MR_SETTING_CHOICE, AT(pooling), poolings, true },
    { "embedding.normalize", "--normalize", NULL, "scale vectors to unit length (default: as the model says)", MR_SETTING_BOOL, AT(normalize), NULL, true },
    { "embedding.dim", "--dim", "N", "keep the first N components (Matryoshka models)", MR_SETTING_COUNT, AT(dim), NULL, true },
    { "embedding.max_tokens", "--max-tokens", "N", "tokens per text, specials included (default: the model's limit)", MR_SETTING_COUNT, AT(max_tokens), NULL, true },
    { "embedding.truncate", "--truncate", NULL, "cut longer texts (default); --no-truncate makes them failed records", MR_SETTING_BOOL, AT(truncate), NULL, true },
    { "embedding.modality", "--modality", "KIND", "text or image, for a model that embeds both (default: text where all inputs are lines, else image)", MR_SETTING_CHOICE, AT(modality), modalities, true },
    { "image.alpha", "--alpha", "HOW", "drop: transparency is dropped, the colours under it stay (default); white: painted on white", MR_SETTING_CHOICE, AT(alpha), alphas, true },
    { "image.max_pixels", "--max-pixels", "N", "larger images are failed records (default 178956970, less where memory is short)", MR_SETTING_COUNT, AT(max_pixels), NULL, true },
    { "image.fast_decode", "--fast-decode", NULL, "decode large JPEGs at a part of their size: faster, slightly other pixels", MR_SETTING_BOOL, AT(fast_decode), NULL, true },
    { "image.pillow", "--pillow", "VERSION", "resize as Pillow 13 does (default), or as 12.1 and older: tall images differ", MR_SETTING_CHOICE, AT(pillow), pillows, true },
    { "resources.threads", "--threads", "N", "cores to use (default: all this process may run on)", MR_SETTING_COUNT, AT(threads), NULL, false },
    { "resources.readers", "--readers", "N", "input files read at once (default: 4 where there are many)", MR_SETTING_COUNT, AT(readers), NULL, false },
    { "resources.memory", "--memory-limit", "SIZE", "8G, 300M or 80% of what the machine or container allows (default 80%)", MR_SETTING_STRING, AT(memory), NULL, false },
    { "resources.memory_reserve", NULL, "SIZE", "of the limit, kept out of plans and pools for code, stacks and small allocations: 256M or 5% (default: the smaller of these)", MR_SETTING_STRING, AT(memory_reserve), NULL, false },
    { "resources.batch_tokens", "--batch-tokens", "N", "tokens per batch (default: by the plan; results do not depend on it)", MR_SETTING_COUNT, AT(batch_tokens), NULL, false },
    { "resources.shard", "--shard", "I/N", "do only shard I of N (from 0), or auto: Slurm, Kubernetes and AWS Batch arrays; then `millrace merge`", MR_SETTING_STRING, AT(shard), NULL, false },
    { "resources.stall_timeout", "--stall-timeout", "TIME", "end the job when a stage shows no sign of life for so long (default 30min; none: never)", MR_SETTING_DURATION, AT(stall_timeout), NULL, false },
    { "resources.cache", "--cache", "DIR", "folder for what makes the next start faster (default ~/.cache/millrace); none: keep nothing", MR_SETTING_STRING, AT(cache), NULL, false },
    { "resources.cache_size", "--cache-size", "SIZE", "what that folder may hold (default 1G)", MR_SETTING_STRING, AT(cache_size), NULL, false },
    { "resources.metrics", "--metrics", "FILE", "keep Prometheus metrics in FILE (node_exporter's textfile collector reads it)", MR_SETTING_STRING, AT(metrics), NULL, false },
    { "resources.metrics_listen", "--metrics-listen", "ADDRESS", "serve the same at http://ADDRESS/metrics: a port of this machine (9464), or HOST:PORT", MR_SETTING_STRING, AT(metrics_listen), NULL, false },
    { "resources.pin", "--pin", "WHERE", "auto: each worker keeps to cores of its own (default); none", MR_SETTING_CHOICE, AT(pin), pins, false },
    { "resources.numa", "--numa", "POLICY", "none: weights lie where they are first used (default); interleave: spread over all memory nodes", MR_SETTING_CHOICE, AT(numa), numa_policies, false },
    { "on_error.policy", "--on-error", "POLICY", "record: a bad record gets a failed row (default); fail: stop at the first", MR_SETTING_CHOICE, AT(on_error), policies, false },
    { "on_error.max_failed", "--max-failed", "N|P%", "stop when more records than this have failed", MR_SETTING_STRING, AT(max_failed), NULL, false },
#define POOL_SETTING(kind, name, value, minimum, why) { POOL_PREFIX #name, NULL, NULL, why, MR_SETTING_POOL, AT(pool), NULL, false },
    MR_POOL_SETTING_LIST(POOL_SETTING)
#undef POOL_SETTING
};

#define SETTING_COUNT (sizeof settings / sizeof *settings)

mr_pool_settings mr_job_pool_defaults(void)
{
    mr_pool_settings pool = mr_pool_settings_default();
    pool.request_timeout = MR_CLOCK_FOREVER;       /* nobody waits for one answer */
    pool.worker_ready_timeout = pool.load_timeout; /* a job waits as long as a load may take */
    return pool;
}

const mr_setting *mr_job_settings(size_t *count)
{
    *count = SETTING_COUNT;
    return settings;
}

const mr_setting *mr_job_setting_by_flag(const char *flag)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (settings[i].flag && strcmp(settings[i].flag, flag) == 0) return &settings[i];
    return NULL;
}

static void *field(mr_job *job, const mr_setting *setting) { return (char *)job + setting->offset; }
static const void *field_const(const mr_job *job, const mr_setting *setting) { return (const char *)job + setting->offset; }

static mr_status assign_string(char **slot, const char *value, mr_error *error)
{
    char *copy = mr_strdup(value);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    free(*slot);
    *slot = copy;
    return MR_OK;
}

static mr_status append_string(mr_strings *list, const char *value, mr_error *error)
{
    char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (grown) list->items = grown;
    char *copy = grown ? mr_strdup(value) : NULL;
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    list->items[list->count++] = copy;
    return MR_OK;
}

static mr_status assign_count(uint64_t *slot, const char *value, const char *what, mr_error *error)
{
    if (strcmp(value, "auto") == 0) {
        *slot = 0;
        return MR_OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long number = isdigit((unsigned char)*value) ? strtoull(value, &end, 10) : 0;
    if (!end || *end || errno || number == 0 || number > UINT32_MAX)
        return mr_error_set(error, MR_CONFIG, "%s: \"%s\" is not a whole number from 1 to %u", what, value, UINT32_MAX);
    *slot = number;
    return MR_OK;
}

static mr_status assign_duration(int64_t *slot, const char *value, const char *what, mr_error *error)
{
    int64_t duration;
    if (!mr_duration_parse(value, &duration) || duration == 0)
        return mr_error_set(error, MR_CONFIG, "%s: \"%s\" is no duration; write 30s, 10min, 1h or none", what, value);
    *slot = duration;
    return MR_OK;
}

static mr_status assign_choice(int *slot, const mr_setting *setting, const char *value, const char *what, mr_error *error)
{
    size_t count = 0;
    mr_buf list = { 0 };
    for (; setting->choices[count]; count++) {
        if (strcmp(setting->choices[count], value) == 0) {
            *slot = (int)count;
            mr_buf_fini(&list);
            return MR_OK;
        }
        mr_buf_printf(&list, "%s%s", count ? ", " : "", setting->choices[count]);
    }
    mr_status status = mr_error_set(error, MR_CONFIG, "%s: \"%s\" is not one of %s", what, value, list.data ? list.data : "");
    mr_buf_fini(&list);
    return status;
}

static mr_status assign_bool(int *slot, const char *value, const char *what, mr_error *error)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "no") != 0)
        return mr_error_set(error, MR_CONFIG, "%s: \"%s\" is neither true nor false", what, value);
    *slot = yes;
    return MR_OK;
}

mr_status mr_job_setting_assign(mr_job *job, const mr_setting *setting, const char *value, const char *what, mr_error *error)
{
    void *slot = field(job, setting);
    switch (setting->type) {
    case MR_SETTING_STRING: return assign_string(slot, value, error);
    case MR_SETTING_STRINGS: return append_string(slot, value, error);
    case MR_SETTING_COUNT: return assign_count(slot, value, what, error);
    case MR_SETTING_CHOICE: return assign_choice(slot, setting, value, what, error);
    case MR_SETTING_DURATION: return assign_duration(slot, value, what, error);
    case MR_SETTING_BOOL: return assign_bool(slot, value, what, error);
    case MR_SETTING_POOL: return mr_pool_settings_set(slot, setting->key + strlen(POOL_PREFIX), value, error);
    }
    return mr_error_set(error, MR_INTERNAL, "setting %s has no type", setting->key);
}

/* "key: value"; a value that would not survive a line of its own is written as a JSON string. */
static bool print_line(mr_buf *out, const char *key, const char *value)
{
    if (!strchr(value, '\n') && value[0] != '"') return mr_buf_printf(out, "%s: %s\n", key, value);
    char *escaped = mr_utf8_escape(value, strlen(value)); /* JSON takes no ill-formed UTF-8 */
    json_t *string = escaped ? json_string(escaped) : NULL;
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    bool done = quoted && mr_buf_printf(out, "%s: %s\n", key, quoted);
    free(quoted);
    json_decref(string);
    free(escaped);
    return done;
}

/* Nothing when it has its default, or was given it. */
static bool print_pool_setting(mr_buf *out, const mr_pool_settings *pool, const char *key)
{
    char text[MR_POOL_SETTING_TEXT_MAX], usual[MR_POOL_SETTING_TEXT_MAX];
    const mr_pool_settings defaults = mr_job_pool_defaults();
    const char *name = key + strlen(POOL_PREFIX);
    if (strcmp(mr_pool_settings_text(pool, name, text), mr_pool_settings_text(&defaults, name, usual)) == 0) return true;
    return print_line(out, key, text);
}

/* Nothing for a setting that nobody gave. */
static bool print_setting(mr_buf *out, const mr_job *job, const mr_setting *setting)
{
    const void *slot = field_const(job, setting);
    const char *const *string = slot;
    const mr_strings *list = slot;
    const uint64_t *number = slot;
    const int *choice = slot;
    const int64_t *duration = slot;
    char text[MR_DURATION_TEXT_MAX];
    bool done = true;
    switch (setting->type) {
    case MR_SETTING_STRING: return !*string || print_line(out, setting->key, *string);
    case MR_SETTING_STRINGS:
        for (size_t i = 0; done && i < list->count; i++) done = print_line(out, setting->key, list->items[i]);
        return done;
    case MR_SETTING_COUNT: return *number == 0 || mr_buf_printf(out, "%s: %llu\n", setting->key, (unsigned long long)*number);
    case MR_SETTING_DURATION: return *duration == 0 || print_line(out, setting->key, mr_duration_text(*duration, text));
    case MR_SETTING_CHOICE: return *choice == MR_UNSET || print_line(out, setting->key, setting->choices[*choice]);
    case MR_SETTING_BOOL: return *choice == MR_UNSET || print_line(out, setting->key, *choice ? "true" : "false");
    case MR_SETTING_POOL: return print_pool_setting(out, slot, setting->key);
    }
    return false;
}

static char *print_settings(const mr_job *job, bool identity_only)
{
    mr_buf out = { 0 };
    bool done = true;
    for (size_t i = 0; done && i < SETTING_COUNT; i++)
        if (!identity_only || settings[i].is_identity) done = print_setting(&out, job, &settings[i]);
    if (done) return mr_buf_detach(&out);
    mr_buf_fini(&out);
    return NULL;
}

const char *mr_job_choice(const mr_job *job, const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (settings[i].type != MR_SETTING_CHOICE || strcmp(settings[i].key, key) != 0) continue;
        int index = *(const int *)field_const(job, &settings[i]);
        return index == MR_UNSET ? NULL : settings[i].choices[index];
    }
    return NULL;
}

char *mr_job_identity_text(const mr_job *job) { return print_settings(job, true); }
char *mr_job_text(const mr_job *job) { return print_settings(job, false); }
