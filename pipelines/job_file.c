#include "pipelines/job.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capability/model.h"
#include "core/str.h"
#include "core/yaml.h"
#include "io/sink.h"

#define JOB_FILE_MAX_BYTES ((size_t)1 << 20) /* hand-written; a megabyte is a mistake */
#define MAX_SETTINGS 64

void mr_job_init(mr_job *job)
{
    *job = (mr_job){ .kind = MR_UNSET, .output_dtype = MR_UNSET, .store_text = MR_UNSET, .precision = MR_UNSET, .normalize = MR_UNSET,
                     .pooling = MR_UNSET, .truncate = MR_UNSET, .on_error = MR_UNSET, .pin = MR_UNSET, .numa = MR_UNSET, .overwrite = MR_UNSET, .keep_parts = MR_UNSET,
                     .in_place_parts = MR_UNSET, .invalid_utf8 = MR_UNSET, .modality = MR_UNSET, .alpha = MR_UNSET, .pillow = MR_UNSET,
                     .fast_decode = MR_UNSET,
                     .pool = mr_job_pool_defaults() };
}

static void clear_strings(mr_strings *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (mr_strings){ 0 };
}

void mr_job_fini(mr_job *job)
{
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count; i++) {
        void *slot = (char *)job + settings[i].offset;
        if (settings[i].type == MR_SETTING_STRING) free(*(char **)slot);
        if (settings[i].type != MR_SETTING_STRINGS) continue;
        clear_strings(slot);
    }
    mr_job_init(job);
}

/* "embedding." of "embedding.dim": does any setting live below this key? */
static bool is_group(const char *key)
{
    size_t count, length = strlen(key);
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(settings[i].key, key, length) == 0 && settings[i].key[length] == '.') return true;
    return false;
}

static const mr_setting *setting_by_key(const char *key)
{
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(settings[i].key, key) == 0) return &settings[i];
    return NULL;
}

static const char *nearest_key(const char *key)
{
    const char *keys[MAX_SETTINGS];
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count && i < MAX_SETTINGS; i++) keys[i] = settings[i].key;
    return mr_str_nearest(key, keys, count < MAX_SETTINGS ? count : MAX_SETTINGS);
}

/* What to say behind the name of an unknown key. */
static const char *key_advice(const char *key, char text[128])
{
    const char *nearest = nearest_key(key);
    if (nearest) snprintf(text, 128, "; did you mean \"%s\"?", nearest);
    else snprintf(text, 128, " (`millrace run --settings` lists all)");
    return text;
}

static mr_status assign_at(mr_job *job, const mr_setting *setting, const mr_yaml *document, const mr_yaml_node *value, mr_error *error)
{
    mr_error problem;
    const char *text = mr_yaml_text(value);
    if (!text) return mr_yaml_error_at(document, value, error, "\"%s\" must be a single value", setting->key);
    mr_status status = mr_job_setting_assign(job, setting, text, setting->key, &problem);
    return status == MR_OK ? MR_OK : mr_yaml_error_at(document, value, error, "%s", problem.text);
}

static mr_status read_setting(mr_job *job, const mr_setting *setting, const mr_yaml *document, const mr_yaml_node *value, mr_error *error)
{
    if (mr_yaml_is_null(value)) return MR_OK; /* null: as if not given */
    if (setting->type != MR_SETTING_STRINGS || mr_yaml_node_kind(value) == MR_YAML_SCALAR) return assign_at(job, setting, document, value, error);
    if (mr_yaml_node_kind(value) != MR_YAML_SEQUENCE) return mr_yaml_error_at(document, value, error, "\"%s\" must be a list", setting->key);
    for (size_t i = 0; i < mr_yaml_node_size(value); i++) MR_TRY(assign_at(job, setting, document, mr_yaml_item(document, value, i), error));
    return MR_OK;
}

static mr_status read_mapping(mr_job *job, const mr_yaml *document, const mr_yaml_node *mapping, const char *prefix, mr_error *error);

/* `key` is the whole of it: "input.paths". */
static mr_status read_pair(mr_job *job, const mr_yaml *document, const char *key, const mr_yaml_node *at, const mr_yaml_node *value, mr_error *error)
{
    const mr_setting *setting = setting_by_key(key);
    if (setting) return read_setting(job, setting, document, value, error);
    char advice[128];
    if (!is_group(key)) return mr_yaml_error_at(document, at, error, "unknown key \"%s\"%s", key, key_advice(key, advice));
    if (mr_yaml_is_null(value)) return MR_OK;
    char *prefix = mr_strf("%s.", key);
    mr_status status = prefix ? read_mapping(job, document, value, prefix, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    free(prefix);
    return status;
}

/* `prefix` is "" at the top, "input." inside input. Two levels are all there are. */
static mr_status read_mapping(mr_job *job, const mr_yaml *document, const mr_yaml_node *mapping, const char *prefix, mr_error *error)
{
    if (mr_yaml_node_kind(mapping) != MR_YAML_MAPPING) return mr_yaml_error_at(document, mapping, error, "expected \"key: value\" lines%s%s", *prefix ? " in " : "", prefix);
    for (size_t i = 0; i < mr_yaml_node_size(mapping); i++) {
        const mr_yaml_node *at, *value;
        MR_TRY(mr_yaml_pair(document, mapping, i, &at, &value, error));
        char *key = mr_strf("%s%s", prefix, mr_yaml_text(at));
        mr_status status = key ? read_pair(job, document, key, at, value, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
        free(key);
        MR_TRY(status);
    }
    return MR_OK;
}

static mr_status read_document(mr_job *job, mr_yaml *document, mr_error *error)
{
    mr_status status = read_mapping(job, document, mr_yaml_root(document), "", error);
    if (status == MR_OK && job->version > 1)
        status = mr_yaml_error_at(document, mr_yaml_root(document), error, "job file version %llu is newer than this program understands (1)",
                                  (unsigned long long)job->version);
    mr_yaml_close(document);
    return status;
}

mr_status mr_job_load(mr_job *job, const char *path, mr_error *error)
{
    mr_yaml *document;
    MR_TRY(mr_yaml_load(path, JOB_FILE_MAX_BYTES, &document, error));
    return read_document(job, document, error);
}

mr_status mr_job_parse(mr_job *job, const char *text, size_t length, const char *name, mr_error *error)
{
    mr_yaml *document;
    MR_TRY(mr_yaml_parse(text, length, name, &document, error));
    return read_document(job, document, error);
}

mr_status mr_job_set(mr_job *job, const char *assignment, mr_error *error)
{
    const char *equals = strchr(assignment, '=');
    if (!equals) return mr_error_set(error, MR_CONFIG, "--set %s: expected key=value", assignment);
    char *key = mr_strndup(assignment, (size_t)(equals - assignment));
    if (!key) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    const mr_setting *setting = setting_by_key(key);
    mr_status status;
    if (setting) {
        if (setting->type == MR_SETTING_STRINGS) clear_strings((mr_strings *)(void *)((char *)job + setting->offset)); /* replaces, as every --set does */
        status = mr_job_setting_assign(job, setting, equals + 1, key, error);
    } else {
        char advice[128];
        status = mr_error_set(error, MR_CONFIG, "--set: unknown key \"%s\"%s", key, key_advice(key, advice));
    }
    free(key);
    return status;
}

/* One "key: value" of mr_job_text; the value may be a JSON string. */
static mr_status read_line(mr_job *job, const char *line, size_t length, mr_error *error)
{
    const char *colon = memchr(line, ':', length);
    char *key = colon && length >= (size_t)(colon - line) + 2 ? mr_strndup(line, (size_t)(colon - line)) : NULL;
    char *value = key ? mr_strndup(colon + 2, length - (size_t)(colon - line) - 2) : NULL;
    const mr_setting *setting = value ? setting_by_key(key) : NULL;
    json_t *quoted = setting && value[0] == '"' ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    mr_status status = setting ? mr_job_setting_assign(job, setting, json_is_string(quoted) ? json_string_value(quoted) : value, key, error)
                               : mr_error_set(error, MR_CONFIG, "not a setting: %.*s", (int)length, line);
    json_decref(quoted);
    free(value);
    free(key);
    return status;
}

mr_status mr_job_read_text(mr_job *job, const char *text, mr_error *error)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        MR_TRY(read_line(job, text, length, error));
        text += length + (text[length] == '\n');
    }
    return MR_OK;
}

static mr_status check_max_failed(const char *text, mr_error *error)
{
    char *end;
    double value = strtod(text, &end);
    bool percent = *end == '%';
    if (percent) end++;
    if (end == text || *end || !(value >= 0.0) || (percent && value > 100.0))
        return mr_error_set(error, MR_CONFIG, "max_failed: \"%s\" is neither a count nor a percentage", text);
    return MR_OK;
}

static mr_status check_memory(const char *text, mr_error *error)
{
    char *end;
    double percent = strtod(text, &end);
    uint64_t bytes;
    bool fine = end != text && strcmp(end, "%") == 0 ? percent > 0.0 && percent <= 100.0 : mr_str_parse_bytes(text, &bytes) && bytes > 0;
    return fine ? MR_OK : mr_error_set(error, MR_CONFIG, "memory limit \"%s\": expected a size such as 8G or 300M, or 1%% to 100%%", text);
}

static void set_default(int *choice, int value)
{
    if (*choice == MR_UNSET) *choice = value;
}

mr_status mr_job_check_model(mr_job *job, mr_error *error)
{
    if (!job->model) return mr_error_set(error, MR_CONFIG, "no model given; add --model (or \"model:\" in the job file). `millrace models` lists the known ones");
    if (job->prompt_name && job->prompt_text) return mr_error_set(error, MR_CONFIG, "prompt and prompt_text exclude each other");
    if (job->memory) MR_TRY(check_memory(job->memory, error));
    set_default(&job->precision, MR_PRECISION_AUTO);
    set_default(&job->truncate, 1);
    return MR_OK;
}

mr_status mr_job_check(mr_job *job, mr_error *error)
{
    if (job->kind == MR_UNSET) return mr_error_set(error, MR_CONFIG, "the job does not say what to do; add \"job: embed\"");
    MR_TRY(mr_job_check_model(job, error));
    if (job->paths.count == 0) return mr_error_set(error, MR_CONFIG, "no input given; name files, directories or - for stdin");
    if (!job->output_path) return mr_error_set(error, MR_CONFIG, "no output given; add -o OUT.h5 (or \"output: {path: OUT.h5}\" in the job file)");
    MR_TRY(mr_output_name_check(job->output_path, error));
    if (job->max_failed) MR_TRY(check_max_failed(job->max_failed, error));
    set_default(&job->output_dtype, 0);
    set_default(&job->store_text, 0);
    set_default(&job->pin, MR_PIN_AUTO);
    set_default(&job->numa, MR_NUMA_NONE);
    set_default(&job->on_error, MR_ON_ERROR_RECORD);
    set_default(&job->overwrite, 0);
    set_default(&job->keep_parts, 0);
    set_default(&job->in_place_parts, 0);
    return MR_OK;
}
