/* Parts or finished files -> one output, without a run. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "io/lines_mark.h"
#include "io/output.h"
#include "io/output_lock.h"
#include "io/output_name.h"
#include "io/part_join.h"

#define LOCK_NAME "merge"

/* What two files must have in common for their vectors to be compared with each other. */
static const char *const vital_attributes[] = { "model_sha256", "precision", "pooling", "normalized", "prompt", "max_tokens" };

typedef struct merging {
    const char *path;
    char *parts, *temporary;
    mr_output_lock *lock;
    mr_part_list list;
} merging;

static mr_status merging_init(merging *merge, const char *path, mr_error *error)
{
    *merge = (merging){ .path = path, .parts = mr_strf("%s.parts", path), .temporary = mr_strf("%s.parts/" LOCK_NAME ".tmp", path) };
    return merge->parts && merge->temporary ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
}

static void merging_fini(merging *merge)
{
    mr_output_lock_release(merge->lock);
    if (merge->parts) rmdir(merge->parts); /* stays while it holds anything */
    mr_part_list_fini(&merge->list);
    free(merge->temporary);
    free(merge->parts);
}

static mr_status take_lock(merging *merge, mr_error *error)
{
    char holder[256];
    if (mr_output_lock_holder(merge->parts, holder, sizeof holder))
        return mr_error_set(error, MR_CANNOT_CREATE, "%s is being written by %s; wait for it or stop it", merge->path, holder);
    return mr_output_lock_acquire(merge->parts, LOCK_NAME, &merge->lock, error);
}

/* Schema, fingerprint and job of the first part that can be read: what all others must match. */
static mr_status check_parts(mr_part_list *list, mr_error *error)
{
    mr_error problem = { 0 };
    for (size_t i = 0; i < list->count; i++) {
        hid_t file;
        mr_embedding_schema schema;
        if (mr_h5_open_sealed(list->items[i].path, &file, &problem) != MR_OK) continue;
        char *fingerprint = mr_h5_get_text(file, "fingerprint"), *job = mr_h5_get_text(file, "job"), *inputs = mr_h5_get_text(file, "inputs");
        mr_status status = mr_part_file_read_schema(file, list->items[i].path, &schema, &problem);
        H5Fclose(file);
        bool readable = status == MR_OK && fingerprint && job;
        if (readable) status = mr_part_list_check(list, &schema, &(mr_job_identity){ fingerprint, job, inputs }, error);
        free(fingerprint);
        free(job);
        free(inputs);
        if (readable) return status;
    }
    return mr_error_set(error, MR_BAD_INPUT, "no part can be read: %s", problem.text);
}

static char *fingerprint_of(const char *path)
{
    hid_t file;
    if (mr_h5_open_sealed(path, &file, NULL) != MR_OK) return NULL;
    char *fingerprint = mr_h5_get_text(file, "fingerprint");
    H5Fclose(file);
    return fingerprint;
}

/* Are the parts, if there are any, those of the finished output beside them? */
static bool is_made_of_parts(const merging *merge)
{
    char *theirs = NULL, *own = NULL;
    for (size_t i = 0; !theirs && i < merge->list.count; i++) theirs = fingerprint_of(merge->list.items[i].path);
    bool same = merge->list.count == 0;
    mr_lines_mark mark;
    if (theirs && mr_output_name_is_json_lines(merge->path)) same = mr_lines_mark_read(merge->path, &mark) && strcmp(mark.fingerprint, theirs) == 0;
    else if (theirs && (own = fingerprint_of(merge->path))) same = strcmp(own, theirs) == 0;
    free(theirs);
    free(own);
    return same;
}

/* The output is there already. A merge that was killed behind the last rename left its parts. */
static mr_status settle(const merging *merge, mr_error *error)
{
    hid_t file;
    mr_embedding_schema schema;
    mr_lines_mark mark;
    bool refers = false;
    if (!mr_output_name_is_json_lines(merge->path)) {
        MR_TRY(mr_h5_open(merge->path, &file, error));
        mr_status status = mr_part_file_read_schema(file, merge->path, &schema, error);
        refers = mr_part_file_is_in_place(file);
        H5Fclose(file);
        MR_TRY(status);
    } else if (!mr_lines_mark_read(merge->path, &mark)) {
        return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists and does not say that a job made it", merge->path);
    }
    if (!refers && is_made_of_parts(merge)) mr_parts_remove_leftovers(merge->parts, LOCK_NAME);
    return MR_OK;
}

mr_status mr_output_merge_parts(const char *path, bool in_place, mr_error *error)
{
    merging merge;
    mr_status status;
    MR_TRY_OR(status, merging_init(&merge, path, error), done);
    MR_TRY_OR(status, mr_part_list_scan(&merge.list, merge.parts, error), done);
    if (mr_path_exists(path)) {
        status = settle(&merge, error);
        goto done;
    }
    if (merge.list.count == 0) {
        status = mr_error_set(error, MR_NO_INPUT, "there is neither %s nor a part of it in %s", path, merge.parts);
        goto done;
    }
    MR_TRY_OR(status, take_lock(&merge, error), done);
    MR_TRY_OR(status, check_parts(&merge.list, error), done);
    if (!merge.list.has_total) {
        status = mr_error_set(error, MR_INCOMPLETE, "no run of %s has reached the end of the input yet. What there is so far: millrace merge %s/part-*.h5 -o SOME.h5",
                              path, merge.parts);
        goto done;
    }
    MR_TRY_OR(status, mr_part_list_join(&merge.list, merge.list.total, (mr_join_options){ .in_place = in_place }, merge.temporary, path, error), done);
    if (!in_place) mr_parts_remove_all(merge.parts);
done:
    merging_fini(&merge);
    return status;
}

/* One finished file: appends it to the list and to the text that identifies the merge. *model is the first file's. */
static mr_status add_file(mr_part_list *list, const char *path, uint64_t *rows, uint32_t *sources, mr_embedding_file *model, mr_buf *job, mr_error *error)
{
    mr_embedding_file *file;
    MR_TRY(mr_embedding_file_open(path, &file, error));
    mr_status status = MR_OK;
    const char *fingerprint = mr_embedding_file_attribute(file, "fingerprint");
    if (mr_embedding_file_dtype(file) != mr_embedding_file_dtype(model) || mr_embedding_file_dimension(file) != mr_embedding_file_dimension(model) ||
        mr_embedding_file_has_text(file) != mr_embedding_file_has_text(model))
        status = mr_error_set(error, MR_OUTPUT_DIFFERS, "%s has another dtype, dimension or set of columns than the files before it", path);
    for (size_t i = 0; status == MR_OK && i < sizeof vital_attributes / sizeof *vital_attributes; i++) {
        const char *ours = mr_embedding_file_attribute(model, vital_attributes[i]), *theirs = mr_embedding_file_attribute(file, vital_attributes[i]);
        if (strcmp(ours ? ours : "", theirs ? theirs : "") != 0)
            status = mr_error_set(error, MR_OUTPUT_DIFFERS, "%s was made with %s = %s, the files before it with %s: their vectors do not belong together",
                                  path, vital_attributes[i], theirs ? theirs : "", ours ? ours : "");
    }
    uint64_t count = mr_embedding_file_rows(file);
    if (status == MR_OK && !mr_buf_printf(job, "merged: %s %s %llu rows\n", path, fingerprint ? fingerprint : "", (unsigned long long)count))
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the list of files");
    if (status == MR_OK && (count || list->count == 0)) status = mr_part_list_add(list, path, *rows, *rows + count, error);
    if (status == MR_OK && count) {
        list->items[list->count - 1].source_base = *sources;
        *sources += (uint32_t)mr_embedding_file_source_count(file);
        *rows += count;
    }
    mr_embedding_file_close(file);
    return status;
}

static mr_status list_files(merging *merge, const char *const *paths, size_t count, uint64_t *rows, mr_buf *job, mr_error *error)
{
    mr_embedding_file *model;
    uint32_t sources = 0;
    MR_TRY(mr_embedding_file_open(paths[0], &model, error));
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < count; i++) status = add_file(&merge->list, paths[i], rows, &sources, model, job, error);
    mr_embedding_file_close(model);
    merge->list.distinct = true;
    return status;
}

/* OK and *same when `path` is already this merge. */
static mr_status check_existing(const char *path, const char *fingerprint, const char *job, bool overwrite, bool *same, mr_error *error)
{
    hid_t file;
    *same = false;
    if (!mr_path_exists(path)) return MR_OK;
    mr_status status = mr_h5_open(path, &file, error);
    if (status == MR_OK) {
        status = mr_part_file_check_job(file, path, &(mr_job_identity){ fingerprint, job, NULL }, error);
        H5Fclose(file);
    }
    *same = status == MR_OK && !overwrite;
    return overwrite ? MR_OK : status;
}

mr_status mr_output_merge_files(const char *const *paths, size_t count, const char *path, bool overwrite, mr_error *error)
{
    merging merge;
    mr_buf job = { 0 };
    uint64_t rows = 0;
    bool same;
    char fingerprint[MR_SHA256_HEX];
    if (count == 0) return mr_error_set(error, MR_INVALID_ARGUMENT, "no files to merge");
    if (!mr_output_name_is_hdf5(path)) return mr_error_set(error, MR_INVALID_ARGUMENT, "%s: merge into an .h5 file; `millrace export` makes other formats of it", path);
    mr_status status;
    MR_TRY_OR(status, merging_init(&merge, path, error), done);
    MR_TRY_OR(status, list_files(&merge, paths, count, &rows, &job, error), done);
    mr_sha256_bytes(job.data, job.length, fingerprint);
    MR_TRY_OR(status, check_existing(path, fingerprint, job.data, overwrite, &same, error), done);
    if (same) { /* a merge that was killed behind the last rename left its lock */
        if (mr_path_is_directory(merge.parts)) (void)take_lock(&merge, NULL);
        goto done;
    }
    MR_TRY_OR(status, mr_path_make_directories(merge.parts, error), done);
    MR_TRY_OR(status, take_lock(&merge, error), done);
    const mr_join_options options = { .fingerprint = fingerprint, .job_text = job.data, .replace = overwrite };
    status = mr_part_list_join(&merge.list, rows, options, merge.temporary, path, error);
done:
    mr_buf_fini(&job);
    merging_fini(&merge);
    return status;
}
