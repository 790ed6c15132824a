#include "io/job_identity.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INPUTS_NAMED 5 /* more are counted */

static mr_str next_line(const char **text)
{
    mr_str line = { *text, strcspn(*text, "\n") };
    *text += line.length + ((*text)[line.length] == '\n');
    return line;
}

/* ---- settings ---- */

static size_t key_length(mr_str line)
{
    const char *colon = memchr(line.data, ':', line.length);
    return colon ? (size_t)(colon - line.data) + 1 : line.length;
}

/* How many lines of `text` have the same name as `line`; *found: the last of them, or `line` itself when it is there. */
static size_t count_settings(const char *text, mr_str line, mr_str *found)
{
    size_t count = 0, key = key_length(line);
    *found = (mr_str){ "", 0 };
    while (*text) {
        mr_str other = next_line(&text);
        if (other.length < key || memcmp(other.data, line.data, key) != 0) continue;
        if (!mr_str_equal(*found, line)) *found = other;
        count++;
    }
    return count;
}

/* Appends each line of `one` that `other` has not, with its counterpart unless the setting is a list. `alone`: those that
 * have no counterpart only, and `one` is the job that is there. */
static void list_settings(mr_buf *out, const char *one, const char *other, bool alone, bool inputs_tell)
{
    for (const char *at = one; *at;) {
        mr_str own, there, line = next_line(&at);
        bool is_list = count_settings(one, line, &own) > 1 || count_settings(other, line, &there) > 1;
        count_settings(other, line, &there);
        const char *separator = out->length ? "; " : "";
        if (line.length == 0 || mr_str_equal(line, there) || (inputs_tell && strncmp(line.data, "input_sha256:", 13) == 0)) continue;
        if (is_list || !there.length) mr_buf_printf(out, "%s%.*s (%s)", separator, (int)line.length, line.data, alone ? "only there" : "only here");
        else if (!alone) mr_buf_printf(out, "%s%.*s (there %.*s)", separator, (int)line.length, line.data, (int)there.length, there.data);
    }
}

/* ---- inputs ---- */

typedef struct input_line {
    mr_str digest, name;
} input_line;

typedef struct input_lines {
    input_line *items;
    size_t count;
} input_lines;

static int by_name(const void *a, const void *b)
{
    const input_line *one = a, *other = b;
    size_t least = one->name.length < other->name.length ? one->name.length : other->name.length;
    int order = memcmp(one->name.data, other->name.data, least);
    return order ? order : (one->name.length > other->name.length) - (one->name.length < other->name.length);
}

static bool parse_inputs(const char *text, input_lines *out)
{
    size_t count = 1;
    for (const char *c = text; *c; c++) count += *c == '\n';
    out->items = calloc(count, sizeof *out->items);
    if (!out->items) return false;
    while (*text) {
        mr_str line = next_line(&text);
        size_t digest = strcspn(line.data, " \n");
        size_t name = digest + strspn(line.data + digest, " ");
        out->items[out->count++] = (input_line){ { line.data, digest }, { line.data + name, line.length - name } };
    }
    qsort(out->items, out->count, sizeof *out->items, by_name);
    return true;
}

static void name_input(mr_buf *out, size_t *named, mr_str name, const char *what)
{
    if ((*named)++ < MAX_INPUTS_NAMED) mr_buf_printf(out, "%sinput %.*s %s", out->length ? "; " : "", (int)name.length, name.data, what);
}

/* Both sorted by name. */
static void compare_inputs(mr_buf *out, const input_lines *here, const input_lines *there)
{
    size_t named = 0, i = 0, j = 0;
    while (i < here->count || j < there->count) {
        int order = i == here->count ? 1 : j == there->count ? -1 : by_name(&here->items[i], &there->items[j]);
        if (order < 0) name_input(out, &named, here->items[i].name, "is new");
        else if (order > 0) name_input(out, &named, there->items[j].name, "is not among the inputs any more");
        else if (!mr_str_equal(here->items[i].digest, there->items[j].digest)) name_input(out, &named, here->items[i].name, "has been changed");
        i += order <= 0;
        j += order >= 0;
    }
    if (named == 0) mr_buf_printf(out, "%sthe inputs come in another order", out->length ? "; " : "");
    if (named > MAX_INPUTS_NAMED) mr_buf_printf(out, "; and %zu more", named - MAX_INPUTS_NAMED);
}

/* False when they are the same, or cannot be compared. */
static bool list_inputs(mr_buf *out, const char *here, const char *there)
{
    input_lines ours = { 0 }, theirs = { 0 };
    bool differ = here && there && strcmp(here, there) != 0 && parse_inputs(here, &ours) && parse_inputs(there, &theirs);
    if (differ) compare_inputs(out, &ours, &theirs);
    free(ours.items);
    free(theirs.items);
    return differ;
}

void mr_job_identity_differences(mr_buf *out, const mr_job_identity *here, const mr_job_identity *there)
{
    bool inputs_tell = list_inputs(out, here->inputs, there->inputs);
    list_settings(out, here->text, there->text, false, inputs_tell);
    list_settings(out, there->text, here->text, true, inputs_tell);
}
