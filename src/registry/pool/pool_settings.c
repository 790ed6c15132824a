#include "registry/pool/pool_settings.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/duration.h"

typedef enum setting_kind { KIND_DURATION, KIND_COUNT } setting_kind;

typedef struct setting {
    const char *name;
    setting_kind kind;
    size_t offset;
    int64_t minimum;
} setting;

static const setting settings_table[] = {
#define ROW(setting_kind, field, value, minimum, why) { #field, KIND_##setting_kind, offsetof(mr_pool_settings, field), minimum },
    MR_POOL_SETTING_LIST(ROW)
#undef ROW
};

#define SETTING_COUNT (sizeof settings_table / sizeof *settings_table)

mr_pool_settings mr_pool_settings_default(void)
{
    return (mr_pool_settings){
#define DEFAULT(kind, name, value, minimum, why) .name = (value),
        MR_POOL_SETTING_LIST(DEFAULT)
#undef DEFAULT
    };
}

static bool parse_count(const char *text, uint64_t *out, const char **end)
{
    if (*text < '0' || *text > '9') return false;
    char *stop;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

static const setting *find_setting(const char *name)
{
    size_t i = 0;
    while (i + 1 < SETTING_COUNT && strcmp(settings_table[i].name, name) != 0) i++;
    assert(strcmp(settings_table[i].name, name) == 0);
    return &settings_table[i];
}

static int64_t read_value(const mr_pool_settings *settings, const setting *row)
{
    const char *field = (const char *)settings + row->offset;
    return row->kind == KIND_DURATION ? *(const int64_t *)field : (int64_t)*(const size_t *)field;
}

static void write_value(mr_pool_settings *settings, const setting *row, int64_t value)
{
    char *field = (char *)settings + row->offset;
    if (row->kind == KIND_DURATION) *(int64_t *)field = value;
    else *(size_t *)field = (size_t)value;
}

static const char *value_text(setting_kind kind, int64_t value, char out[MR_POOL_SETTING_TEXT_MAX])
{
    if (kind == KIND_DURATION) return mr_duration_text(value, out);
    snprintf(out, MR_POOL_SETTING_TEXT_MAX, "%lld", (long long)value);
    return out;
}

static mr_status check(const setting *row, int64_t value, mr_error *error)
{
    char text[MR_POOL_SETTING_TEXT_MAX];
    return value >= row->minimum ? MR_OK : mr_error_set(error, MR_CONFIG, "pool.%s: at least %s", row->name, value_text(row->kind, row->minimum, text));
}

mr_status mr_pool_settings_set(mr_pool_settings *settings, const char *name, const char *value, mr_error *error)
{
    const setting *row = find_setting(name);
    int64_t number;
    uint64_t count = 0;
    const char *end = "";
    if (row->kind == KIND_DURATION) {
        if (!mr_duration_parse(value, &number))
            return mr_error_set(error, MR_CONFIG, "pool.%s: \"%s\" is no duration; write 250ms, 30s, 2min, 1h or none", name, value);
    } else {
        if (strcmp(value, "auto") != 0 && (!parse_count(value, &count, &end) || *end != '\0' || count > UINT32_MAX))
            return mr_error_set(error, MR_CONFIG, "pool.%s: \"%s\" is no count", name, value);
        number = (int64_t)count;
    }
    MR_TRY(check(row, number, error));
    write_value(settings, row, number);
    return MR_OK;
}

const char *mr_pool_settings_text(const mr_pool_settings *settings, const char *name, char out[MR_POOL_SETTING_TEXT_MAX])
{
    const setting *row = find_setting(name);
    return value_text(row->kind, read_value(settings, row), out);
}

mr_status mr_pool_settings_check(const mr_pool_settings *settings, mr_error *error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) MR_TRY(check(&settings_table[i], read_value(settings, &settings_table[i]), error));
    return MR_OK;
}
