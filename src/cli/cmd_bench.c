#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/kernel_suite.h"
#include "cli/bench_model.h"
#include "cli/cli.h"
#include "core/cores.h"
#include "core/mem.h"
#include "pipelines/build_facts.h"
#include "registry/pool/memory_limits.h"

static int run(int argc, char **argv);

const mr_command mr_command_bench = {
    .name = "bench",
    .summary = "this machine's peaks; kernels and a model beside them",
    .run = run,
    .help =
        "usage: millrace bench [-m MODEL] [--shape MxNxK]... [OPTIONS]\n"
        "\n"
        "Measures what this machine can do (multiply-adds per precision, bandwidth per level of memory; one core and all), then\n"
        "the kernels on the sizes of MODEL's layers and its whole forward pass beside that. Without a model: the machine alone.\n"
        "\n"
        "  -m, --model MODEL     each linear layer at 1 to 256 rows, attention at 16 to 512 tokens, norms and activations;\n"
        "                        then tokens/s of the forward pass, on one core and on all, and its share of the limit (an\n"
        "                        image is as many tokens as the rows it becomes)\n"
        "      --shape MxNxK     a linear layer of N outputs and K inputs on M rows; may be given again\n"
        "      --modality KIND   text or image, of a model that embeds both (default: image)\n"
        "      --precision LIST  of f32, bf16, int8, separated by commas (default: all three)\n"
        "      --no-kernels      of a model only the forward pass\n"
        "      --lengths LIST    tokens of the forward pass's texts, separated by commas (default: those of a mixed corpus)\n"
        "      --threads N       cores for \"all\" (default: those this process may use)\n"
        "      --isa NAME        kernels of a lower instruction set; millrace doctor lists them\n"
        "      --seconds S       about how long to measure (default 20; 4 without model and shapes)\n"
        "      --json            the figures with medians and counts of runs, on stdout\n"
        "      --svg FILE        a roofline picture\n"
        "      --html FILE       everything as one page\n"
        "\n"
        "Every figure is the best of many short runs spread over the whole time, since other work only makes a run slower; how far the\n"
        "median lies below the best is reported as the machine's noise.\n"
        "\n"
        "example:\n"
        "  millrace bench -m sentence-transformers/all-MiniLM-L6-v2 --html bench.html\n",
};

#define SHAPES_MAX 64

/* Every twentieth text by length of a corpus of titles, descriptions and long documents (Debian's), truncated at 256 tokens. */
static const size_t default_lengths[] = { 7, 9, 10, 12, 13, 14, 16, 28, 43, 51, 59, 67, 76, 85, 97, 112, 138, 190, 256, 256 };

typedef struct request {
    const char *model, *isa, *svg, *html;
    mr_bench_shape shapes[SHAPES_MAX];
    size_t shape_count;
    bool formats[MR_LINEAR_FORMAT_COUNT];
    size_t lengths[MR_BENCH_LENGTHS_MAX];
    size_t length_count;
    size_t threads;
    mr_bench_tower tower;
    double seconds; /* 0: by default */
    bool json, no_kernels;
} request;

/* ---------------------------------------------------------------- progress */

typedef struct view {
    bool live;
    double from, to; /* shares of the whole that the present part covers */
} view;

static void show(void *context, double share, const char *what)
{
    const view *v = context;
    if (v->live) fprintf(stderr, "\r\033[K%3.0f %%  %s", 100.0 * (v->from + (v->to - v->from) * share), what);
}

/* The next part lasts until `to`. */
static void enter(view *v, double to)
{
    v->from = v->to;
    v->to = to;
}

/* ---------------------------------------------------------------- the model */

/* Before the weights are read: a model too large for this machine is refused. */
static mr_status check_memory(const mr_bench_forward_job *job, const char *model, mr_error *error)
{
    mr_memory_estimate estimate;
    mr_memory_limits limits;
    char needed[16], there[16];
    MR_TRY(job->vtable->estimate(job->path, &job->options, &estimate, error));
    if (mr_memory_limits_read(NULL, &limits, NULL) != MR_OK) return MR_OK;
    uint64_t bytes = estimate.shared_bytes + job->cores * estimate.worker_bytes + mr_mem_rss();
    if (bytes <= limits.effective) return MR_OK;
    return mr_error_set(error, MR_MEMORY_EXHAUSTED, "%s in %s needs %s on %zu cores, there are %s; try --precision int8 or fewer --threads", model,
                        mr_precision_text(job->options.precision), mr_str_bytes(needed, bytes), job->cores, mr_str_bytes(there, limits.effective));
}

static mr_status run_forwards(const mr_bench_model *model, const request *wanted, double seconds, view *v, mr_bench_report *report, mr_error *error)
{
    static const mr_precision precisions[MR_LINEAR_FORMAT_COUNT] = { MR_PRECISION_F32, MR_PRECISION_BF16, MR_PRECISION_INT8 };
    const mr_bench_progress progress = { show, v };
    mr_bench_forward_job job = mr_bench_model_job(model);
    size_t count = 0;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) count += wanted->formats[f];
    job.cores = wanted->threads;
    job.seconds = seconds / (double)count;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) {
        if (!wanted->formats[f]) continue;
        enter(v, v->to + (1.0 - v->to) / (double)(count - report->forward_count));
        job.options.precision = precisions[f];
        MR_TRY(check_memory(&job, wanted->model, error));
        MR_TRY(mr_bench_forward_run(&job, &progress, &report->machine, &report->forwards[report->forward_count], error));
        report->forward_count++;
    }
    return MR_OK;
}

/* ---------------------------------------------------------------- all of it */

/* The shapes asked for, then the model's; malloc'ed. */
static mr_bench_shape *all_shapes(const mr_bench_model *model, const request *wanted, size_t *count)
{
    static const mr_work nothing;
    mr_bench_shape *found = mr_bench_model_shapes(model && !wanted->no_kernels ? mr_bench_model_work(model) : &nothing, count);
    mr_bench_shape *all = found ? malloc((wanted->shape_count + *count + 1) * sizeof *all) : NULL;
    if (all) {
        memcpy(all, wanted->shapes, wanted->shape_count * sizeof *all);
        memcpy(all + wanted->shape_count, found, *count * sizeof *all);
        *count += wanted->shape_count;
    }
    free(found);
    return all;
}

static mr_status run_kernels(const mr_bench_model *model, const request *wanted, double seconds, view *v, mr_bench_report *report, mr_error *error)
{
    const mr_bench_progress progress = { show, v };
    mr_bench_suite suite = { 0 };
    mr_bench_shape *shapes = all_shapes(model, wanted, &suite.shape_count);
    if (!shapes) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    suite.shapes = shapes;
    memcpy(suite.formats, wanted->formats, sizeof suite.formats);
    if (model && !wanted->no_kernels) {
        suite.model = mr_bench_model_work(model);
        suite.max_tokens = mr_bench_model_max_tokens(model);
    }
    mr_status status = mr_bench_suite_run(&suite, seconds, &progress, report, error);
    free(shapes);
    return status;
}

/* The machine, kernels and forward passes: a fifth of the time for the machine, what is left in halves. */
static mr_status measure_parts(const mr_bench_model *model, const request *wanted, view *v, mr_bench_report *report, mr_error *error)
{
    const mr_bench_progress progress = { show, v };
    const bool kernels = wanted->shape_count > 0 || (model && !wanted->no_kernels), alone = !model && !kernels;
    double left = wanted->seconds > 0.0 ? wanted->seconds : alone ? 4.0 : 20.0, part = alone ? left : left / 5.0;
    enter(v, alone ? 1.0 : 0.2);
    MR_TRY(mr_bench_machine_measure(mr_kernels_get(), wanted->threads, part, &progress, &report->machine, error));
    left -= part;
    if (kernels) {
        part = model ? left / 2.0 : left;
        enter(v, model ? 0.6 : 1.0);
        MR_TRY(run_kernels(model, wanted, part, v, report, error));
        left -= part;
    }
    return model ? run_forwards(model, wanted, left, v, report, error) : MR_OK;
}

static mr_status measure(const request *wanted, mr_bench_report *report, mr_error *error)
{
    const char *terminal = getenv("TERM");
    view v = { .live = mr_cli_verbosity() >= 0 && isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0 };
    const double start = mr_bench_now();
    mr_bench_model *model = NULL;
    mr_status status = MR_OK;
    if (wanted->model) status = mr_bench_model_open(wanted->model, wanted->tower, wanted->lengths, wanted->length_count, mr_command_bench.help, &model, error);
    if (status == MR_OK) status = measure_parts(model, wanted, &v, report, error);
    mr_bench_model_close(model);
    if (v.live) fputs("\r\033[K", stderr);
    report->seconds = mr_bench_now() - start;
    return status;
}

typedef bool make_text(const mr_bench_report *report, mr_buf *out);

static mr_status write_file(FILE *file, const char *path, make_text *make, const mr_bench_report *report, mr_error *error)
{
    mr_buf text = { 0 };
    mr_status status = make(report, &text) ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK && (fwrite(text.data, 1, text.length, file) != text.length || fflush(file) != 0)) status = mr_error_errno(error, errno, "cannot write %s", path);
    mr_buf_fini(&text);
    return status;
}

static mr_status print_report(bool as_json, const mr_bench_report *report, mr_error *error)
{
    if (!as_json) {
        mr_bench_print_text(stdout, report);
        return MR_OK;
    }
    json_t *root = mr_bench_report_json(report);
    if (!root) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
    return MR_OK;
}

/* Files are opened first: a wrong path is found out before anything is measured. */
static mr_status bench(const request *wanted, mr_error *error)
{
    const struct { const char *path; make_text *make; } outputs[] = { { wanted->svg, mr_bench_roofline_svg }, { wanted->html, mr_bench_page_html } };
    FILE *files[2] = { 0 };
    mr_bench_report report = { .version = mr_build_facts_get()->version, .model = wanted->model };
    mr_status status = MR_OK;
    for (int i = 0; i < 2 && status == MR_OK; i++) {
        if (outputs[i].path && !(files[i] = fopen(outputs[i].path, "we")))
            status = mr_error_set(error, MR_CANNOT_CREATE, "cannot write %s: %s", outputs[i].path, strerror(errno));
    }
    if (status == MR_OK) status = measure(wanted, &report, error);
    if (status == MR_OK) status = print_report(wanted->json, &report, error);
    for (int i = 0; i < 2; i++) {
        if (files[i] && status == MR_OK) status = write_file(files[i], outputs[i].path, outputs[i].make, &report, error);
        if (files[i]) fclose(files[i]);
    }
    mr_bench_report_fini(&report);
    return status;
}

/* ---------------------------------------------------------------- options */

/* A size in 1 .. most at *text, followed by `end` or the end of the text; moves *text behind it. */
static bool take_size(const char **text, char end, size_t most, size_t *out)
{
    char *after;
    errno = 0;
    unsigned long long value = **text >= '0' && **text <= '9' ? strtoull(*text, &after, 10) : 0;
    if (value == 0 || value > most || errno != 0 || (*after != end && *after != '\0')) return false;
    *out = (size_t)value;
    *text = *after ? after + 1 : after;
    return true;
}

static bool take_shape(request *wanted, const char *text)
{
    enum { MOST = 1 << 20 };
    mr_bench_shape shape;
    if (wanted->shape_count == SHAPES_MAX || !*text || strchr(text, '\0')[-1] == 'x') return false;
    if (!take_size(&text, 'x', MOST, &shape.rows) || !take_size(&text, 'x', MOST, &shape.n) || !take_size(&text, 'x', MOST, &shape.k) || *text) return false;
    wanted->shapes[wanted->shape_count++] = shape;
    return true;
}

static bool take_lengths(request *wanted, const char *text)
{
    wanted->length_count = 0;
    if (*text && strchr(text, '\0')[-1] == ',') return false;
    do {
        if (wanted->length_count == MR_BENCH_LENGTHS_MAX || !take_size(&text, ',', MR_BENCH_BATCH_TOKENS, &wanted->lengths[wanted->length_count])) return false;
        wanted->length_count++;
    } while (*text);
    return true;
}

static bool take_precisions(request *wanted, const char *text)
{
    memset(wanted->formats, 0, sizeof wanted->formats);
    for (;;) {
        const size_t length = strcspn(text, ",");
        bool known = false;
        for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) {
            const char *name = mr_linear_format_text((mr_linear_format)f);
            if (strlen(name) != length || strncmp(name, text, length) != 0) continue;
            wanted->formats[f] = known = true;
        }
        if (!known) return false;
        if (!text[length]) return true;
        text += length + 1;
    }
}

static bool take_modality(request *wanted, const char *text)
{
    wanted->tower = strcmp(text, "image") == 0 ? MR_BENCH_TOWER_IMAGE : MR_BENCH_TOWER_TEXT;
    return wanted->tower == MR_BENCH_TOWER_IMAGE || strcmp(text, "text") == 0;
}

static int run(int argc, char **argv)
{
    enum { SHAPE = 0x100, MODALITY, PRECISION, NO_KERNELS, LENGTHS, THREADS, ISA, SECONDS, JSON, SVG, HTML };
    static const struct option options[] = { { "model", required_argument, NULL, 'm' }, { "shape", required_argument, NULL, SHAPE },
        { "modality", required_argument, NULL, MODALITY }, { "precision", required_argument, NULL, PRECISION }, { "no-kernels", no_argument, NULL, NO_KERNELS }, { "lengths", required_argument, NULL, LENGTHS }, { "threads", required_argument, NULL, THREADS },
        { "isa", required_argument, NULL, ISA }, { "seconds", required_argument, NULL, SECONDS }, { "json", no_argument, NULL, JSON },
        { "svg", required_argument, NULL, SVG }, { "html", required_argument, NULL, HTML }, { 0 } };
    request wanted = { .formats = { true, true, true }, .threads = mr_cores_allowed(NULL), .length_count = sizeof default_lengths / sizeof *default_lengths };
    memcpy(wanted.lengths, default_lengths, sizeof default_lengths);
    const mr_command *self = &mr_command_bench;
    const char *text;
    char *end;
    int option, code = 0;
    while ((option = mr_cli_option(self, argc, argv, "m:", options, &code)) != -1) {
        switch (option) {
        case 'm': wanted.model = optarg; break;
        case ISA: wanted.isa = optarg; break;
        case JSON: wanted.json = true; break;
        case NO_KERNELS: wanted.no_kernels = true; break;
        case SVG: wanted.svg = optarg; break;
        case HTML: wanted.html = optarg; break;
        case SHAPE:
            if (!take_shape(&wanted, optarg)) return mr_cli_usage(self, "--shape %s: expected rows x outputs x inputs, such as 64x1536x384 (at most %d)", optarg, SHAPES_MAX);
            break;
        case MODALITY:
            if (!take_modality(&wanted, optarg)) return mr_cli_usage(self, "--modality %s: expected text or image", optarg);
            break;
        case PRECISION:
            if (!take_precisions(&wanted, optarg)) return mr_cli_usage(self, "--precision %s: expected f32, bf16, int8, or several with commas", optarg);
            break;
        case LENGTHS:
            if (!take_lengths(&wanted, optarg)) return mr_cli_usage(self, "--lengths %s: expected numbers from 1 to %d with commas", optarg, MR_BENCH_BATCH_TOKENS);
            break;
        case THREADS:
            text = optarg;
            if (!take_size(&text, '\0', 4096, &wanted.threads)) return mr_cli_usage(self, "--threads %s: expected a number from 1", optarg);
            break;
        case SECONDS:
            wanted.seconds = strtod(optarg, &end);
            if (*end || !(wanted.seconds > 0.0 && wanted.seconds <= 86400.0)) return mr_cli_usage(self, "--seconds %s: expected a number above 0", optarg);
            break;
        default: return code;
        }
    }
    if (optind < argc) return mr_cli_usage(self, "\"%s\": bench takes no inputs; a model is named with -m", argv[optind]);
    mr_error error;
    return mr_kernels_init(wanted.isa, &error) == MR_OK && bench(&wanted, &error) == MR_OK ? 0 : mr_cli_fail(&error);
}
