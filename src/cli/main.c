#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/version.h"
#include "core/log.h"
#include "core/str.h"

static const mr_command *const commands[] = {
#define ENTRY(name) &mr_command_##name,
    MR_COMMAND_LIST(ENTRY)
#undef ENTRY
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static int verbosity;

int mr_cli_verbosity(void)
{
    return verbosity;
}

int mr_cli_fail(const mr_error *error)
{
    fflush(stdout);
    fprintf(stderr, "millrace: %s\n", error->text);
    return mr_status_exit_code(error->status);
}

int mr_cli_usage(const mr_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("millrace: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nSee millrace %s --help\n", command->name);
    return mr_status_exit_code(MR_INVALID_ARGUMENT);
}

static bool is_control(mr_str text, size_t at)
{
    const unsigned char c = (unsigned char)text.data[at], next = at + 1 < text.length ? (unsigned char)text.data[at + 1] : 0;
    return (c < ' ' && c != '\n' && c != '\t') || c == 0x7F || (c == 0xC2 && next >= 0x80 && next <= 0x9F);
}

void mr_cli_print_text(mr_str text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_control(text, i)) continue;
        fwrite(text.data + from, 1, i - from, stdout);
        putchar('?');
        if (text.data[i] == '\xC2') i++;
        from = i + 1;
    }
    if (from < text.length) fwrite(text.data + from, 1, text.length - from, stdout);
}

enum { OPTION_HELP = 0x1000, OPTION_LOG };

static const struct option common_options[] = {
    { "help", no_argument, NULL, OPTION_HELP },
    { "quiet", no_argument, NULL, 'q' },
    { "verbose", no_argument, NULL, 'v' },
    { "log", required_argument, NULL, OPTION_LOG },
};

#define MAX_OPTIONS 80

static int unknown_option(const mr_command *command, const char *word, const struct option *options)
{
    const char *names[MAX_OPTIONS];
    size_t count = 0;
    for (; options[count].name; count++) names[count] = options[count].name;
    const char *bare = word + strspn(word, "-");
    char *name = mr_strndup(bare, strcspn(bare, "="));
    const char *nearest = name ? mr_str_nearest(name, names, count) : NULL;
    int code = nearest ? mr_cli_usage(command, "unknown option %s; did you mean --%s?", word, nearest) : mr_cli_usage(command, "unknown option %s", word);
    free(name);
    return code;
}

static int bad_option(const mr_command *command, int argc, char **argv, const struct option *options, int result)
{
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (result == ':') return mr_cli_usage(command, "option %s needs a value", word);
    if (optopt && optopt < 0x100 && word[1] != '-') return mr_cli_usage(command, "unknown option -%c", optopt);
    if (optopt) return mr_cli_usage(command, "option %s takes no value", word);
    return unknown_option(command, word, options);
}

int mr_cli_option(const mr_command *command, int argc, char **argv, const char *short_options, const struct option *options, int *exit_code)
{
    struct option all[MAX_OPTIONS + 1] = { 0 };
    char shorts[64];
    size_t count = 0;
    if (optind == 0) verbosity = 0; /* a second reading of the same flags */
    snprintf(shorts, sizeof shorts, ":hqv%s", short_options);
    for (size_t i = 0; i < sizeof common_options / sizeof *common_options; i++) all[count++] = common_options[i];
    for (const struct option *option = options; option && option->name && count < MAX_OPTIONS; option++) all[count++] = *option;
    for (;;) {
        mr_error error;
        opterr = 0;
        optopt = 0;
        int result = getopt_long(argc, argv, shorts, all, NULL);
        switch (result) {
        case OPTION_HELP:
        case 'h': puts(command->help); *exit_code = 0; return 'H';
        case 'q': verbosity--; break;
        case 'v':
            verbosity++;
            (void)mr_log_configure(verbosity > 1 ? "debug" : "info", NULL);
            break;
        case OPTION_LOG:
            if (mr_log_configure(optarg, &error) == MR_OK) break;
            *exit_code = mr_cli_fail(&error);
            return '?';
        case '?':
        case ':': *exit_code = bad_option(command, argc, argv, all, result); return '?';
        default: return result;
        }
    }
}

static void print_log_line(void *context, mr_log_level level, const char *module, const char *line)
{
    (void)context;
    fprintf(stderr, "%s %s: %s\n", mr_log_level_name(level), module, line);
}

/* Under RLIMIT_AS the 64 MiB that malloc sets aside for every thread would be gone before the weights are there. */
static void spare_address_space(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) mallopt(M_ARENA_MAX, 1);
}

static void print_overview(FILE *out)
{
    fputs("millrace: runs a model over every record of a corpus, on CPUs\n\nusage: millrace COMMAND [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nA first job:\n"
          "  millrace fetch sentence-transformers/all-MiniLM-L6-v2\n"
          "  millrace embed corpus.jsonl -m sentence-transformers/all-MiniLM-L6-v2 -o corpus.h5\n"
          "  millrace neighbors corpus.h5 \"edit photographs\" -k 5\n\n"
          "millrace COMMAND --help explains a command; millrace --version shows the build.\n", out);
}

static int run_command(int argc, char **argv)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[0], names[i]) == 0) return commands[i]->run(argc, argv);
    }
    const char *nearest = mr_str_nearest(argv[0], names, COMMAND_COUNT);
    fprintf(stderr, "millrace: unknown command \"%s\"%s%s%s\nSee millrace --help\n", argv[0], nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return mr_status_exit_code(MR_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    mr_error error;
    spare_address_space();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to report, not a silent death */
    setenv("HWLOC_HIDE_ERRORS", "2", 0); /* hwloc writes to stderr when /sys is not mounted; without it cores are just not pinned */
    mr_log_set_sink(print_log_line, NULL);
    const char *specification = getenv("MILLRACE_LOG");
    if (specification && mr_log_configure(specification, &error) != MR_OK) return mr_cli_fail(&error);
    if (argc < 2) {
        print_overview(stderr);
        return mr_status_exit_code(MR_INVALID_ARGUMENT);
    }
    int code;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        if (argc > 2) {
            char *again[] = { argv[2], (char[]){ "--help" }, NULL };
            code = run_command(2, again);
        } else {
            print_overview(stdout);
            code = 0;
        }
    } else if (strcmp(argv[1], "--version") == 0) {
        mr_cli_print_version(stdout);
        code = 0;
    } else {
        code = run_command(argc - 1, argv + 1);
    }
    bool arrived = fflush(stdout) == 0 && !ferror(stdout);
    if (!arrived && (code == 0 || code == mr_status_exit_code(MR_RECORDS_FAILED))) { /* data that did not arrive is a failure */
        fprintf(stderr, "millrace: cannot write to standard output\n");
        code = mr_status_exit_code(MR_IO);
    }
    return code;
}
