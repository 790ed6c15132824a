#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_MODULES 16
#define MODULE_NAME_MAX 24
#define LINE_MAX_BYTES 2048

typedef struct module_level {
    char name[MODULE_NAME_MAX];
    mr_log_level level;
} module_level;

static struct {
    mr_log_sink *sink;
    void *context;
    mr_log_level default_level;
    module_level modules[MAX_MODULES];
    size_t module_count;
    pthread_mutex_t lock; /* leaf: serialises sink calls, nothing is locked under it */
} logger = { .default_level = MR_LOG_WARN, .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *const level_names[] = { "off", "error", "warn", "info", "debug", "trace" };

const char *mr_log_level_name(mr_log_level level)
{
    return level_names[level];
}

void mr_log_set_sink(mr_log_sink *sink, void *context)
{
    logger.sink = sink;
    logger.context = context;
}

static bool parse_level(const char *text, size_t length, mr_log_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strlen(level_names[i]) == length && memcmp(level_names[i], text, length) == 0) {
            *out = (mr_log_level)i;
            return true;
        }
    }
    return false;
}

static mr_status configure_item(const char *item, size_t length, mr_error *error)
{
    const char *equals = memchr(item, '=', length);
    const char *level_text = equals ? equals + 1 : item;
    size_t level_length = length - (size_t)(level_text - item);
    mr_log_level level;
    if (!parse_level(level_text, level_length, &level))
        return mr_error_set(error, MR_CONFIG, "unknown log level \"%.*s\"; use off, error, warn, info, debug or trace", (int)level_length, level_text);
    if (!equals) {
        logger.default_level = level;
        return MR_OK;
    }
    size_t name_length = (size_t)(equals - item);
    if (name_length == 0 || name_length >= MODULE_NAME_MAX || logger.module_count == MAX_MODULES)
        return mr_error_set(error, MR_CONFIG, "bad log module in \"%.*s\"", (int)length, item);
    module_level *module = &logger.modules[logger.module_count++];
    memcpy(module->name, item, name_length);
    module->name[name_length] = '\0';
    module->level = level;
    return MR_OK;
}

mr_status mr_log_configure(const char *specification, mr_error *error)
{
    logger.module_count = 0;
    while (*specification) {
        size_t length = strcspn(specification, ",");
        if (length > 0) MR_TRY(configure_item(specification, length, error));
        specification += length;
        if (*specification == ',') specification++;
    }
    return MR_OK;
}

static bool is_enabled(mr_log_level level, const char *module)
{
    if (!logger.sink) return false;
    for (size_t i = 0; i < logger.module_count; i++)
        if (strcmp(logger.modules[i].name, module) == 0) return level <= logger.modules[i].level;
    return level <= logger.default_level;
}

void mr_log(mr_log_level level, const char *module, const char *format, ...)
{
    if (!is_enabled(level, module)) return;
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (written < 0) return;
    pthread_mutex_lock(&logger.lock);
    logger.sink(logger.context, level, module, line);
    pthread_mutex_unlock(&logger.lock);
}
