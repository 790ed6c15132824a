/* Special tokens around one or two texts. Every kind comes down to two templates. */
#include "tokenizer/post_processor.h"

#include <stdlib.h>

#include "tokenizer/component.h"
#include "tokenizer/vocabulary.h"

/* Far above any real template (5 items). */
#define MAX_ITEMS 1024

static mr_status append(mr_template *template, mr_template_item item, mr_error *error)
{
    if (template->count == MAX_ITEMS) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "post-processor: a template has more than %d ids", MAX_ITEMS);
    mr_template_item *grown = realloc(template->items, (template->count + 1) * sizeof *grown);
    if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    grown[template->count++] = item;
    template->items = grown;
    template->added += item.id >= 0;
    return MR_OK;
}

static mr_status corrupt(mr_json_value component, const char *what, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: post-processor: %s", mr_json_path(component), what);
}

/* {"SpecialToken": {"id": name, "type_id": t}}: all ids of that special token. */
static mr_status read_special(mr_json_value component, mr_json_value item, mr_template *template, mr_error *error)
{
    size_t type, id;
    mr_json_value name = mr_json_get(item, "id"), specials = mr_json_get(component, "special_tokens"), special = { 0 };
    MR_TRY(mr_json_get_size(item, "type_id", UINT8_MAX, 0, &type, error));
    if (mr_json_type_of(name) != MR_JSON_STRING) return corrupt(component, "a special token has no \"id\"", error);
    for (mr_json_value key = mr_json_first(specials); mr_json_type_of(specials) == MR_JSON_OBJECT && mr_json_more(specials, key);) {
        mr_json_value value = mr_json_after(key);
        if (mr_str_equal(mr_json_bytes(key), mr_json_bytes(name))) special = value;
        key = mr_json_after(value);
    }
    mr_json_value ids = mr_json_get(special, "ids");
    if (mr_json_type_of(ids) != MR_JSON_ARRAY) return corrupt(component, "a template names a special token that \"special_tokens\" does not have", error);
    for (mr_json_value value = mr_json_first(ids); mr_json_more(ids, value); value = mr_json_after(value)) {
        if (!mr_json_to_size(value, MR_VOCABULARY_MAX_ID, &id)) return corrupt(component, "\"ids\" must be whole numbers", error);
        MR_TRY(append(template, (mr_template_item){ (int32_t)id, 0, (uint8_t)type }, error));
    }
    return MR_OK;
}

static mr_status read_template(mr_json_value component, const char *key, mr_template *template, mr_error *error)
{
    mr_json_value list = mr_json_get(component, key);
    if (mr_json_type_of(list) != MR_JSON_ARRAY) return corrupt(component, "\"single\" and \"pair\" must be lists", error);
    for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) {
        mr_json_value special = mr_json_get(item, "SpecialToken"), sequence = mr_json_get(item, "Sequence");
        if (mr_json_present(special)) {
            MR_TRY(read_special(component, special, template, error));
            continue;
        }
        mr_str name;
        size_t type;
        MR_TRY(mr_json_get_str(sequence, "id", MR_STR(""), &name, error));
        MR_TRY(mr_json_get_size(sequence, "type_id", UINT8_MAX, 0, &type, error));
        bool second = mr_type_is(name, "B");
        if (!second && !mr_type_is(name, "A")) return corrupt(component, "a template item must be a SpecialToken or the Sequence A or B", error);
        MR_TRY(append(template, (mr_template_item){ -1, second, (uint8_t)type }, error));
    }
    return MR_OK;
}

/* [text, id] */
static mr_status read_pair(mr_json_value component, const char *key, int32_t *out, mr_error *error)
{
    mr_json_value pair = mr_json_get(component, key);
    size_t id;
    if (mr_json_type_of(pair) != MR_JSON_ARRAY || mr_json_count(pair) != 2 || !mr_json_to_size(mr_json_after(mr_json_first(pair)), MR_VOCABULARY_MAX_ID, &id))
        return corrupt(component, "\"cls\" and \"sep\" must be [text, id]", error);
    *out = (int32_t)id;
    return MR_OK;
}

static mr_status read_bert(mr_json_value component, bool roberta, mr_post_processor *out, mr_error *error)
{
    int32_t cls, sep;
    MR_TRY(read_pair(component, "cls", &cls, error));
    MR_TRY(read_pair(component, "sep", &sep, error));
    uint8_t second = !roberta; /* RoBERTa has type 0 everywhere, and two separators in the middle */
    for (size_t pair = 0; pair < 2; pair++) {
        mr_template *template = &out->templates[pair];
        MR_TRY(append(template, (mr_template_item){ cls, 0, 0 }, error));
        MR_TRY(append(template, (mr_template_item){ -1, 0, 0 }, error));
        MR_TRY(append(template, (mr_template_item){ sep, 0, 0 }, error));
        if (!pair) continue;
        if (roberta) MR_TRY(append(template, (mr_template_item){ sep, 0, 0 }, error));
        MR_TRY(append(template, (mr_template_item){ -1, 1, second }, error));
        MR_TRY(append(template, (mr_template_item){ sep, 0, second }, error));
    }
    return MR_OK;
}

static mr_status read_component(mr_json_value component, mr_post_processor *out, bool *found, mr_error *error)
{
    mr_str type;
    MR_TRY(mr_component_type(component, "post-processor", &type, error));
    if (mr_type_is(type, "ByteLevel") || mr_type_is(type, "RobertaProcessing")) {
        bool trims;
        MR_TRY(mr_json_get_bool(component, "trim_offsets", true, &trims, error));
        MR_TRY(mr_json_get_bool(component, "add_prefix_space", true, &out->prefix, error));
        out->trims = out->trims || trims;
    }
    if (mr_type_is(type, "ByteLevel")) return MR_OK;
    if (mr_type_is(type, "Sequence")) {
        mr_json_value list = mr_json_get(component, "processors");
        MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "post-processor Sequence: \"processors\"", error));
        for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) MR_TRY(read_component(item, out, found, error));
        return MR_OK;
    }
    if (*found) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: two post-processors that add tokens are not supported", mr_json_path(component));
    *found = true;
    if (mr_type_is(type, "TemplateProcessing")) {
        MR_TRY(read_template(component, "single", &out->templates[0], error));
        return read_template(component, "pair", &out->templates[1], error);
    }
    if (mr_type_is(type, "BertProcessing")) return read_bert(component, false, out, error);
    if (mr_type_is(type, "RobertaProcessing")) return read_bert(component, true, out, error);
    return mr_component_unsupported(component, "post-processor", error);
}

mr_status mr_post_processor_open(mr_json_value component, mr_post_processor *out, mr_error *error)
{
    mr_post_processor made = { 0 };
    mr_status status = MR_OK;
    bool found = false;
    if (mr_json_present(component)) MR_TRY_OR(status, read_component(component, &made, &found, error), done);
    if (!found) {
        MR_TRY_OR(status, append(&made.templates[0], (mr_template_item){ -1, 0, 0 }, error), done);
        MR_TRY_OR(status, append(&made.templates[1], (mr_template_item){ -1, 0, 0 }, error), done);
        MR_TRY_OR(status, append(&made.templates[1], (mr_template_item){ -1, 1, 1 }, error), done);
    }
    *out = made;
done:
    if (status != MR_OK) mr_post_processor_fini(&made);
    return status;
}

void mr_post_processor_fini(mr_post_processor *post_processor)
{
    free(post_processor->templates[0].items);
    free(post_processor->templates[1].items);
    *post_processor = (mr_post_processor){ 0 };
}
