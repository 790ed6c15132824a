/* What the subcommands share. One file per subcommand: cmd_<name>.c with a `const mr_command mr_command_<name>`. */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include <getopt.h>
#include <stdio.h>

#include "core/error.h"
#include "core/str.h"
#include "pipelines/job.h"

typedef struct mr_command {
    const char *name;
    const char *summary; /* one line in `millrace --help` */
    const char *help;    /* usage, what it does, options, examples */
    int (*run)(int argc, char **argv); /* argv[0] = the command's name; returns the exit code */
} mr_command;

/* Every command, in the order of the overview. */
#define MR_COMMAND_LIST(X) \
    X(embed) X(run) X(plan) X(tokenize) X(preprocess) X(neighbors) X(inspect) X(status) X(verify) X(merge) X(retry) X(export) X(models) X(fetch) X(bench) X(doctor)

#define MR_COMMAND_DECLARE(name) extern const mr_command mr_command_##name;
MR_COMMAND_LIST(MR_COMMAND_DECLARE)
#undef MR_COMMAND_DECLARE

/* "millrace: <text>" on stderr; returns the exit code of the status. */
int mr_cli_fail(const mr_error *error);
/* Usage error: the text, then where help is; returns 64. */
int mr_cli_usage(const mr_command *command, const char *format, ...) MR_PRINTF(2, 3);

/* Text from a file, on stdout: control characters but newlines and tabs as "?", since a terminal would obey them. */
void mr_cli_print_text(mr_str text);

/* getopt_long with our error texts: an unknown option names the nearest one. `options` ends with a zero entry and
 * must not contain help, quiet, verbose or log: these are added and handled here.
 * Returns the option's `val`, -1 at the end, '?' after an error was printed (exit with *exit_code),
 * or 'H' when help was printed (exit 0). */
int mr_cli_option(const mr_command *command, int argc, char **argv, const char *short_options, const struct option *options, int *exit_code);

/* -q lowers, -v raises: -1 only errors, 0 warnings and milestones of a job, 1 info, 2 debug. */
int mr_cli_verbosity(void);

/* Flags of every job setting plus the job command's own (--plan, --json, --set, --trace); see job_flags.c. */
typedef struct mr_job_flags {
    bool plan_only;
    bool json;
    const char *isa;
    const char *trace; /* file, or NULL */
} mr_job_flags;

/* Reads flags into `job`; *first_operand = index of the first operand. False after an error was printed or help was
 * shown: leave with *exit_code. */
bool mr_cli_read_job_flags(const mr_command *command, int argc, char **argv, mr_job *job, mr_job_flags *flags, int *first_operand, int *exit_code);

/* Checks, plans, runs `job` with progress and summary on stderr; returns the exit code. */
int mr_cli_run_job(mr_job *job, const mr_job_flags *flags);

/* The same for the job that `load` finds at the command's one operand ("a job file", say), with the flags on top of it. The
 * loader fills a fresh job, which is cleaned up behind it also when it fails. */
typedef mr_status mr_cli_job_loader(mr_job *job, const char *path, mr_error *error);
int mr_cli_run_loaded(const mr_command *command, int argc, char **argv, const char *operand, mr_cli_job_loader *load, bool plan_only);

#endif
