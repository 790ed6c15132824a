#include "tokenizer/component.h"

#include <stdlib.h>
#include <string.h>

mr_str mr_str_copy(mr_str text)
{
    return (mr_str){ mr_strndup(text.data, text.length), text.length };
}

static int shown_length(mr_str text)
{
    return (int)(text.length < 64 ? text.length : 64);
}

mr_status mr_component_type(mr_json_value component, const char *stage, mr_str *type, mr_error *error)
{
    mr_json_value value = mr_json_get(component, "type");
    if (mr_json_type_of(value) != MR_JSON_STRING)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %s must be an object with a \"type\"", mr_json_path(component), stage);
    *type = mr_json_bytes(value);
    return MR_OK;
}

mr_status mr_component_unsupported(mr_json_value component, const char *stage, mr_error *error)
{
    mr_str type = { 0 };
    MR_TRY(mr_component_type(component, stage, &type, error));
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: %s type \"%.*s\" is not supported", mr_json_path(component), stage, shown_length(type), type.data);
}
