/* Filters that compare: sort, min, max, unique, dictsort. */
#include "chat/template_value.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    mr_value key;
    json_t *item;
    size_t place;
} entry;

/* The item, its member, or its place in the pair; texts in lower case unless case matters. */
static mr_status key_of(mr_render *r, const mr_node *node, json_t *item, mr_value by, bool case_sensitive, mr_value *out)
{
    *out = mr_value_of(item);
    if (by.kind == MR_VALUE_JSON && !json_is_null(by.json)) MR_TRY(mr_value_item(r, node, *out, by, out));
    return !case_sensitive && mr_value_is_string(*out) ? mr_template_lower(r, node, mr_value_text(*out), out) : MR_OK;
}

/* The items with their keys, malloc'ed. `by` is a name without dots or commas, or a place. */
static mr_status read_entries(mr_render *r, const mr_node *node, json_t *list, mr_value by, bool case_sensitive, entry **out)
{
    size_t count = json_array_size(list);
    if (mr_value_is_string(by) && strpbrk(json_string_value(by.json), "., 0123456789")) return mr_render_fail(r, node, "an attribute that is no plain name");
    entry *entries = malloc((count + 1) * sizeof *entries);
    mr_status status = entries ? MR_OK : mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    for (size_t i = 0; i < count && status == MR_OK; i++) {
        entries[i] = (entry){ .item = json_array_get(list, i), .place = i };
        status = key_of(r, node, entries[i].item, by, case_sensitive, &entries[i].key);
    }
    if (status == MR_OK) *out = entries;
    else free(entries);
    return status;
}

/* Of keys that are known to have an order; equal ones stay as they were. */
static int compare(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    int difference = 0;
    (void)mr_value_order(NULL, NULL, a->key, b->key, &difference);
    return difference ? difference : (a->place > b->place) - (a->place < b->place);
}

static int compare_backwards(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    int difference = 0;
    (void)mr_value_order(NULL, NULL, b->key, a->key, &difference);
    return difference ? difference : (a->place > b->place) - (a->place < b->place);
}

static mr_status sort(mr_render *r, const mr_node *node, json_t *list, mr_value by, bool case_sensitive, bool reverse, mr_value *out)
{
    entry *entries;
    int unused;
    size_t count = json_array_size(list);
    MR_TRY(read_entries(r, node, list, by, case_sensitive, &entries));
    mr_status status = mr_render_keep(r, node, json_array(), out);
    for (size_t i = 1; i < count && status == MR_OK; i++) status = mr_value_order(r, node, entries[0].key, entries[i].key, &unused);
    if (status == MR_OK && count) qsort(entries, count, sizeof *entries, reverse ? compare_backwards : compare);
    for (size_t i = 0; i < count && status == MR_OK; i++) json_array_append(out->json, entries[i].item);
    r->bytes += 64 * count;
    free(entries);
    return status;
}

/* sort(reverse, case_sensitive, attribute) */
mr_status mr_template_sort(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    json_t *list;
    MR_TRY(mr_value_items(r, node, value, &list));
    return sort(r, node, list, mr_argument(arguments, 2, "attribute"), mr_value_true(mr_argument(arguments, 1, "case_sensitive")), mr_value_true(mr_argument(arguments, 0, "reverse")), out);
}

/* min or max(case_sensitive, attribute): the first of them. */
mr_status mr_template_extreme(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, bool most, mr_value *out)
{
    json_t *list;
    MR_TRY(mr_value_items(r, node, value, &list));
    MR_TRY(sort(r, node, list, mr_argument(arguments, 1, "attribute"), mr_value_true(mr_argument(arguments, 0, "case_sensitive")), most, out));
    return *out = mr_value_of(json_array_get(out->json, 0)), MR_OK;
}

/* dictsort(case_sensitive, by, reverse), of the mapping's pairs */
mr_status mr_template_sort_pairs(mr_render *r, const mr_node *node, mr_value pairs, const mr_arguments *arguments, mr_value *out)
{
    mr_value by = mr_argument(arguments, 1, "by"), place;
    bool value = mr_value_is_string(by) && mr_str_equal(mr_value_text(by), MR_STR("value"));
    if (by.kind != MR_VALUE_UNDEFINED && !value && !(mr_value_is_string(by) && mr_str_equal(mr_value_text(by), MR_STR("key")))) return mr_render_fail(r, node, "dictsort is by \"key\" or \"value\"");
    MR_TRY(mr_render_keep(r, node, json_integer(value), &place));
    return sort(r, node, pairs.json, place, mr_value_true(mr_argument(arguments, 0, "case_sensitive")), mr_value_true(mr_argument(arguments, 2, "reverse")), out);
}

/* unique(case_sensitive, attribute): the first of equal items. Keys are texts or numbers: found by the text that JSON gives them. */
mr_status mr_template_unique(mr_render *r, const mr_node *node, mr_value value, const mr_arguments *arguments, mr_value *out)
{
    json_t *list, *seen = json_object();
    entry *entries = NULL;
    mr_status status = seen ? mr_value_items(r, node, value, &list) : mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
    if (status == MR_OK) status = read_entries(r, node, list, mr_argument(arguments, 1, "attribute"), mr_value_true(mr_argument(arguments, 0, "case_sensitive")), &entries);
    if (status == MR_OK) status = mr_render_keep(r, node, json_array(), out);
    for (size_t i = 0; status == MR_OK && i < json_array_size(list); i++) {
        mr_buf text = { 0 };
        if (!mr_value_is_string(entries[i].key) && !(entries[i].key.kind == MR_VALUE_JSON && json_is_integer(entries[i].key.json))) {
            status = mr_render_fail(r, node, "unique of something that is no text and no whole number");
        } else if (!mr_value_dump(entries[i].key.json, -1, 0, &text)) {
            status = mr_error_set(r->error, MR_OUT_OF_MEMORY, "%s: out of memory", r->made->where);
        } else if (!json_object_getn(seen, text.data, text.length)) {
            json_object_setn_new(seen, text.data, text.length, json_null());
            json_array_append(out->json, entries[i].item);
        }
        mr_buf_fini(&text);
    }
    free(entries);
    json_decref(seen);
    return status;
}
