/* How far an output is. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/lines_mark.h"
#include "io/output.h"
#include "io/output_lock.h"
#include "io/output_name.h"
#include "io/part_list.h"

static const char *const count_names[MR_ROW_STATUS_COUNT] = { "rows_ok", "rows_truncated", "rows_failed", "rows_skipped" };

static mr_status add_counts(const char *path, bool sealed, mr_output_state *state, mr_error *error)
{
    hid_t file;
    mr_embedding_schema schema;
    MR_TRY(sealed ? mr_h5_open_sealed(path, &file, error) : mr_h5_open(path, &file, error));
    mr_status status = mr_part_file_read_schema(file, path, &schema, error);
    for (size_t i = 0; status == MR_OK && i < MR_ROW_STATUS_COUNT; i++) {
        char *text = mr_h5_get_text(file, count_names[i]);
        if (text) state->by_status[i] += strtoull(text, NULL, 10);
        free(text);
    }
    H5Fclose(file);
    return status;
}

static mr_status count_lines(const char *path, mr_output_state *state, mr_error *error)
{
    mr_lines_mark mark;
    if (!mr_lines_mark_read(path, &mark)) return mr_error_set(error, MR_BAD_INPUT, "%s does not say that a job made it", path);
    memcpy(state->by_status, mark.by_status, sizeof state->by_status);
    return MR_OK;
}

static mr_status inspect_output(const char *path, mr_output_state *state, mr_error *error)
{
    MR_TRY(mr_output_name_is_json_lines(path) ? count_lines(path, state, error) : add_counts(path, false, state, error));
    state->finished = true;
    for (size_t i = 0; i < MR_ROW_STATUS_COUNT; i++) state->rows += state->by_status[i];
    state->total_known = true;
    state->total = state->rows;
    return MR_OK;
}

static mr_status inspect_parts(const mr_part_list *list, mr_output_state *state, mr_error *error)
{
    mr_range *ranges;
    size_t count;
    MR_TRY(mr_part_list_ranges(list, &ranges, &count, error));
    for (size_t i = 0; i < count; i++) state->rows += ranges[i].end - ranges[i].first;
    free(ranges);
    state->total_known = list->has_total;
    state->total = list->total;
    for (size_t i = 0; i < list->count; i++) {
        mr_error problem; /* a part nobody can read is not done: the next run says so */
        if (add_counts(list->items[i].path, true, state, &problem) != MR_OK) state->rows -= list->items[i].end - list->items[i].first;
    }
    return MR_OK;
}

mr_status mr_output_inspect(const char *path, mr_output_state *state, mr_error *error)
{
    mr_output_state found = { 0 };
    mr_part_list list = { 0 };
    char *parts = mr_strf("%s.parts", path);
    if (!parts) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    mr_status status;
    MR_TRY_OR(status, mr_part_list_scan(&list, parts, error), done);
    found.parts = list.count;
    found.running = mr_output_lock_holder(parts, found.holder, sizeof found.holder);
    if (mr_path_exists(path)) status = inspect_output(path, &found, error);
    else if (list.count || found.running) status = inspect_parts(&list, &found, error);
    else status = mr_error_set(error, MR_NO_INPUT, "there is neither %s nor a part of it in %s", path, parts);
    if (status == MR_OK) *state = found;
done:
    mr_part_list_fini(&list);
    free(parts);
    return status;
}
