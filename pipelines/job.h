/* What a job is: one flat table of settings, filled from a YAML file, --set pairs or command-line flags.
 *
 * The table (job_settings.c) drives all of them, the help text and the fingerprint, so a setting exists everywhere or
 * nowhere. Paths in a job are relative to the working directory, as in a shell. */
#ifndef MR_PIPELINES_JOB_H
#define MR_PIPELINES_JOB_H

#include "core/error.h"
#include "registry/pool/pool_settings.h"

typedef enum mr_job_kind { MR_JOB_EMBED, MR_JOB_KIND_COUNT } mr_job_kind;
typedef enum mr_error_policy { MR_ON_ERROR_RECORD, MR_ON_ERROR_FAIL } mr_error_policy;

typedef enum mr_pin_policy { MR_PIN_AUTO, MR_PIN_NONE } mr_pin_policy;
typedef enum mr_numa_policy { MR_NUMA_NONE, MR_NUMA_INTERLEAVE } mr_numa_policy;

#define MR_UNSET (-1) /* of a choice or a yes/no setting nobody gave */

typedef struct mr_strings {
    char **items; /* owned, malloc'ed */
    size_t count;
} mr_strings;

/* The choices of input.invalid_utf8, embedding.modality, image.alpha, image.pillow. */
typedef enum mr_modality_choice { MR_MODALITY_AUTO, MR_MODALITY_TEXT, MR_MODALITY_IMAGE } mr_modality_choice;
typedef enum mr_invalid_utf8_choice { MR_INVALID_UTF8_RECORD, MR_INVALID_UTF8_REPLACE } mr_invalid_utf8_choice;
typedef enum mr_alpha_choice { MR_ALPHA_DROP, MR_ALPHA_WHITE } mr_alpha_choice;
typedef enum mr_pillow_choice { MR_PILLOW_13, MR_PILLOW_12 } mr_pillow_choice;

/* Strings are owned, NULL = not given. Counts: 0 = not given or "auto". */
typedef struct mr_job {
    uint64_t version;
    int kind;             /* mr_job_kind */
    char *model;
    mr_strings paths;
    char *text_field;
    char *id_field;
    uint64_t limit;
    char *output_path;
    int output_dtype;     /* mr_vector_dtype */
    int store_text;
    int precision;        /* mr_precision */
    char *prompt_name;
    char *prompt_text;
    int normalize;        /* yes, no, MR_UNSET: as the model says */
    int pooling;          /* index into the choices of embedding.pooling, or MR_UNSET */
    uint64_t dim;
    uint64_t max_tokens;
    int truncate;
    int modality;         /* mr_modality_choice, MR_UNSET: as model and inputs say */
    int alpha;            /* mr_alpha_choice */
    int pillow;           /* mr_pillow_choice */
    int fast_decode;
    uint64_t max_pixels;
    uint64_t threads;
    uint64_t readers;
    char *memory;
    char *memory_reserve;
    uint64_t batch_tokens;
    char *shard;
    int64_t stall_timeout; /* nanoseconds; 0 = not given */
    char *cache;          /* a folder, or "none" */
    char *cache_size;
    char *metrics;
    char *metrics_listen;
    int pin;              /* mr_pin_policy */
    int numa;             /* mr_numa_policy */
    mr_pool_settings pool; /* the listed numbers; what else is in there is set when the job runs */
    int invalid_utf8;     /* mr_invalid_utf8_choice */
    int on_error;         /* mr_error_policy */
    char *max_failed;
    uint64_t part_rows;
    int overwrite;
    int keep_parts;
    int in_place_parts;
    bool is_query;        /* no setting: the texts are queries (mr_embed_options) */
    bool retry_failed;    /* no setting: what `millrace retry-failed` does with a finished output's own job */
} mr_job;

void mr_job_init(mr_job *job);
void mr_job_fini(mr_job *job);

/* Reads a job file on top of `job`. CONFIG errors name file, line, column and the nearest valid key. */
mr_status mr_job_load(mr_job *job, const char *path, mr_error *error);
mr_status mr_job_parse(mr_job *job, const char *text, size_t length, const char *name, mr_error *error);

/* "embedding.dim=256". */
mr_status mr_job_set(mr_job *job, const char *assignment, mr_error *error);

/* Is everything there and consistent? CONFIG otherwise. Fills what only depends on the job (defaults). */
mr_status mr_job_check(mr_job *job, mr_error *error);
/* Only what concerns the model: for uses without input and output. */
mr_status mr_job_check_model(mr_job *job, mr_error *error);

/* ---- the table, for flags and help ---- */

typedef enum mr_setting_type {
    MR_SETTING_STRING,
    MR_SETTING_STRINGS,
    MR_SETTING_COUNT,  /* >= 1; "auto" and null mean not given */
    MR_SETTING_CHOICE, /* one of `choices` */
    MR_SETTING_DURATION, /* 30s, 10min; none */
    MR_SETTING_BOOL,   /* flags: --name / --no-name; YAML: true / false */
    MR_SETTING_POOL    /* "pool.NAME": see mr_pool_settings_set */
} mr_setting_type;

typedef struct mr_setting {
    const char *key;             /* "embedding.dim" */
    const char *flag;            /* "--dim"; NULL: only in job files or by --set */
    const char *value_name;      /* "N" in help */
    const char *help;
    mr_setting_type type;
    size_t offset;               /* in mr_job */
    const char *const *choices;  /* NULL-terminated */
    bool is_identity;            /* part of what the job computes: another value is another job */
} mr_setting;

const mr_setting *mr_job_settings(size_t *count);
/* Of a job: it waits longer than somebody who asks. */
mr_pool_settings mr_job_pool_defaults(void);
const mr_setting *mr_job_setting_by_flag(const char *flag); /* "--dim"; NULL when unknown */
/* From text, as on a command line. `what` names the place in error texts ("--dim", "job.yaml:3:8"). */
mr_status mr_job_setting_assign(mr_job *job, const mr_setting *setting, const char *value, const char *what, mr_error *error);

/* The text of a choice setting by key; NULL when not given. */
const char *mr_job_choice(const mr_job *job, const char *key);

/* One "key: value" line per identity setting (a line per item of a list), malloc'ed: what the fingerprint is made of. */
char *mr_job_identity_text(const mr_job *job);
/* Every setting that was given, the same form: stored in the output as the job's text. */
char *mr_job_text(const mr_job *job);
/* And back: on top of `job`. CONFIG for a line it does not know. */
mr_status mr_job_read_text(mr_job *job, const char *text, mr_error *error);

#endif
