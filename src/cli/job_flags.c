/* Job settings as command-line flags: the table of pipelines/job_settings.c, turned into getopt options. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/str.h"

enum { OPTION_FIRST_SETTING = 0x2000, OPTION_NEGATED = 0x4000, OPTION_SET = 0x8000, OPTION_PLAN, OPTION_JSON, OPTION_ISA, OPTION_TRACE, OPTION_SETTINGS };

#define MAX_FLAGS 72

static const struct option own_options[] = {
    { "set", required_argument, NULL, OPTION_SET },
    { "plan", no_argument, NULL, OPTION_PLAN },
    { "json", no_argument, NULL, OPTION_JSON },
    { "isa", required_argument, NULL, OPTION_ISA },
    { "trace", required_argument, NULL, OPTION_TRACE },
    { "settings", no_argument, NULL, OPTION_SETTINGS },
};

/* Every key of a job file with its flag, and what it is for. */
static void print_settings(void)
{
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    const mr_pool_settings pool = mr_job_pool_defaults();
    for (size_t i = 0; i < count; i++) {
        const mr_setting *setting = &settings[i];
        char *flag = setting->flag ? mr_strf("  [%s%s%s]", setting->flag, setting->value_name ? " " : "", setting->value_name ? setting->value_name : "") : NULL;
        printf("%s%s\n      %s", setting->key, flag ? flag : "", setting->help);
        free(flag);
        char usual[MR_POOL_SETTING_TEXT_MAX];
        if (setting->type == MR_SETTING_POOL) printf(" (default %s)", mr_pool_settings_text(&pool, strchr(setting->key, '.') + 1, usual));
        putchar('\n');
    }
}

/* `negations` receives the "no-..." names, freed by the caller. */
static void build_options(struct option options[MAX_FLAGS + 1], char *negations[MAX_FLAGS])
{
    size_t count, used = 0, negated = 0;
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count && used + 2 < MAX_FLAGS; i++) {
        if (!settings[i].flag) continue;
        const char *name = settings[i].flag + 2;
        bool is_bool = settings[i].type == MR_SETTING_BOOL;
        options[used++] = (struct option){ name, is_bool ? no_argument : required_argument, NULL, OPTION_FIRST_SETTING + (int)i };
        if (!is_bool) continue;
        char *no_name = mr_strf("no-%s", name);
        if (!no_name) continue;
        negations[negated++] = no_name;
        options[used++] = (struct option){ no_name, no_argument, NULL, OPTION_NEGATED + (int)i };
    }
    for (size_t i = 0; i < sizeof own_options / sizeof *own_options; i++) options[used++] = own_options[i];
    options[used] = (struct option){ 0 };
}

static mr_status apply(mr_job *job, mr_job_flags *flags, int option, mr_error *error)
{
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    switch (option) {
    case 'm': return mr_job_setting_assign(job, mr_job_setting_by_flag("--model"), optarg, "-m", error);
    case 'o': return mr_job_setting_assign(job, mr_job_setting_by_flag("--output"), optarg, "-o", error);
    case OPTION_SET: return mr_job_set(job, optarg, error);
    case OPTION_PLAN: flags->plan_only = true; return MR_OK;
    case OPTION_JSON: flags->json = true; return MR_OK;
    case OPTION_ISA: flags->isa = optarg; return MR_OK;
    case OPTION_TRACE: flags->trace = optarg; return MR_OK;
    }
    bool negated = option >= OPTION_NEGATED;
    const mr_setting *setting = &settings[option - (negated ? OPTION_NEGATED : OPTION_FIRST_SETTING)];
    const char *value = setting->type == MR_SETTING_BOOL ? (negated ? "false" : "true") : optarg;
    return mr_job_setting_assign(job, setting, value, setting->flag, error);
}

bool mr_cli_read_job_flags(const mr_command *command, int argc, char **argv, mr_job *job, mr_job_flags *flags, int *first_operand, int *exit_code)
{
    struct option options[MAX_FLAGS + 1];
    char *negations[MAX_FLAGS] = { 0 };
    bool done = false;
    int option;
    build_options(options, negations);
    while ((option = mr_cli_option(command, argc, argv, "m:o:", options, exit_code)) != -1) {
        mr_error error;
        if (option == '?' || option == 'H') goto leave;
        if (option == OPTION_SETTINGS) {
            print_settings();
            *exit_code = 0;
            goto leave;
        }
        if (apply(job, flags, option, &error) != MR_OK) {
            *exit_code = mr_cli_usage(command, "%s", error.text);
            goto leave;
        }
    }
    *first_operand = optind;
    done = true;
leave:
    for (size_t i = 0; negations[i]; i++) free(negations[i]);
    return done;
}
