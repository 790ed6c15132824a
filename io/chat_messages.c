#include "io/chat_messages.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[] = { "system", "developer", "user", "assistant", "tool" };

bool mr_messages_are_chat(const json_t *value)
{
    return json_is_object(json_array_get(value, 0));
}

static bool is_role(const char *role)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0) return true;
    return false;
}

static bool append_string(mr_buf *text, const json_t *string)
{
    return mr_buf_append(text, json_string_value(string), json_string_length(string));
}

/* `where` is "messages[3]". */
static mr_status append_parts(const json_t *parts, const char *where, mr_buf *text, mr_error *error)
{
    size_t i;
    const json_t *part;
    json_array_foreach(parts, i, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *string = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(string))
            return mr_error_set(error, MR_BAD_RECORD, "%s: part %zu of its content is not a text but %.40s", where, i, type ? type : "has no type");
        if ((i > 0 && !mr_buf_append_str(text, "\n")) || !append_string(text, string)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
    }
    return MR_OK;
}

static mr_status append_message(const json_t *message, const char *where, mr_buf *text, mr_error *error)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    if (!role) return mr_error_set(error, MR_BAD_RECORD, "%s has no role", where);
    if (!is_role(role)) return mr_error_set(error, MR_BAD_RECORD, "%s has the role \"%.40s\", not system, developer, user, assistant or tool", where, role);
    if (!mr_buf_printf(text, "%s%s:", text->length ? "\n" : "", role)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
    if (!content || json_is_null(content)) {
        if (json_object_get(message, "tool_calls")) return MR_OK;
        return mr_error_set(error, MR_BAD_RECORD, "%s has no content", where);
    }
    if (!json_is_string(content) && !json_is_array(content)) return mr_error_set(error, MR_BAD_RECORD, "the content of %s is neither a string nor an array", where);
    if (!mr_buf_append_str(text, " ")) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
    if (json_is_array(content)) return append_parts(content, where, text, error);
    return append_string(text, content) ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
}

mr_status mr_messages_to_text(const json_t *messages, const char *name, mr_buf *text, mr_error *error)
{
    size_t i;
    const json_t *message;
    if (json_array_size(messages) == 0) return mr_error_set(error, MR_BAD_RECORD, "\"%s\" has no message", name);
    json_array_foreach(messages, i, message) {
        char *where = mr_strf("%s[%zu]", name, i);
        mr_status status = where ? append_message(message, where, text, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
        free(where);
        MR_TRY(status);
    }
    return MR_OK;
}
