#include "registry/pool/pool_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"

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

static bool parse_duration(const char *text, int64_t *out)
{
    static const struct { const char *unit; int64_t ns; } units[] = {
        { "ms", MR_CLOCK_MILLISECOND }, { "s", MR_CLOCK_SECOND }, { "min", 60 * MR_CLOCK_SECOND }, { "h", 3600 * MR_CLOCK_SECOND }
    };
    if (strcmp(text, "none") == 0) {
        *out = MR_CLOCK_FOREVER;
        return true;
    }
    uint64_t number;
    const char *unit;
    if (!parse_count(text, &number, &unit)) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].unit) != 0) continue;
        if (number > (uint64_t)(INT64_MAX / units[i].ns)) return false;
        *out = (int64_t)number * units[i].ns;
        return true;
    }
    return false;
}

static const setting *find_setting(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings_table[i].name, name) == 0) return &settings_table[i];
    return NULL;
}

static mr_status unknown_setting(const char *name, mr_error *error)
{
    const char *names[SETTING_COUNT];
    for (size_t i = 0; i < SETTING_COUNT; i++) names[i] = settings_table[i].name;
    const char *nearest = mr_str_nearest(name, names, SETTING_COUNT);
    return mr_error_set(error, MR_CONFIG, "no pool setting \"%s\"%s%s%s", name, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
}

mr_status mr_pool_settings_set(mr_pool_settings *settings, const char *name, const char *value, mr_error *error)
{
    const setting *found = find_setting(name);
    if (!found) return unknown_setting(name, error);
    char *field = (char *)settings + found->offset;
    if (found->kind == KIND_DURATION) {
        int64_t duration;
        if (!parse_duration(value, &duration))
            return mr_error_set(error, MR_CONFIG, "pool setting %s: \"%s\" is no duration; write 250ms, 30s, 2min, 1h or none", name, value);
        memcpy(field, &duration, sizeof duration);
        return MR_OK;
    }
    uint64_t number;
    const char *end;
    if (!parse_count(value, &number, &end) || *end != '\0' || number > SIZE_MAX)
        return mr_error_set(error, MR_CONFIG, "pool setting %s: \"%s\" is no count", name, value);
    size_t count = (size_t)number;
    memcpy(field, &count, sizeof count);
    return MR_OK;
}

mr_status mr_pool_settings_check(const mr_pool_settings *settings, mr_error *error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const setting *row = &settings_table[i];
        const char *field = (const char *)settings + row->offset;
        if (row->kind == KIND_DURATION && *(const int64_t *)field < row->minimum)
            return mr_error_set(error, MR_CONFIG, "pool setting %s: %lld ns, at least %lld are needed", row->name, (long long)*(const int64_t *)field,
                                (long long)row->minimum);
        if (row->kind == KIND_COUNT && *(const size_t *)field < (size_t)row->minimum)
            return mr_error_set(error, MR_CONFIG, "pool setting %s: %zu, at least %lld is needed", row->name, *(const size_t *)field, (long long)row->minimum);
    }
    return MR_OK;
}
