#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mr_status_name(mr_status status)
{
    switch (status) {
#define NAME(name, value, exit_code, text) \
    case MR_##name: return #name;
        MR_STATUS_LIST(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

const char *mr_status_text(mr_status status)
{
    switch (status) {
#define TEXT(name, value, exit_code, text) \
    case MR_##name: return text;
        MR_STATUS_LIST(TEXT)
#undef TEXT
    }
    return "unknown status";
}

int mr_status_exit_code(mr_status status)
{
    switch (status) {
#define EXIT_CODE(name, value, exit_code, text) \
    case MR_##name: return exit_code;
        MR_STATUS_LIST(EXIT_CODE)
#undef EXIT_CODE
    }
    return 70;
}

static void set_text(mr_error *error, mr_status status, const char *format, va_list arguments)
{
    if (!error) return;
    error->status = status;
    int written = vsnprintf(error->text, sizeof error->text, format, arguments);
    if (written < 0) error->text[0] = '\0';
}

mr_status mr_error_set(mr_error *error, mr_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_text(error, status, format, arguments);
    va_end(arguments);
    return status;
}

mr_status mr_error_prefix(mr_error *error, mr_status status, const char *format, ...)
{
    if (!error) return status;
    char old[MR_ERROR_TEXT_MAX];
    memcpy(old, error->text, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    set_text(error, status, format, arguments);
    va_end(arguments);
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, ": %s", old);
    return status;
}

mr_status mr_error_errno(mr_error *error, int saved_errno, const char *format, ...)
{
    mr_status status = MR_IO;
    if (saved_errno == ENOSPC || saved_errno == EDQUOT) status = MR_NO_SPACE;
    if (saved_errno == ENOENT) status = MR_NO_INPUT;
    va_list arguments;
    va_start(arguments, format);
    set_text(error, status, format, arguments);
    va_end(arguments);
    if (error) {
        size_t used = strlen(error->text);
        snprintf(error->text + used, sizeof error->text - used, ": %s", strerror(saved_errno));
    }
    return status;
}
