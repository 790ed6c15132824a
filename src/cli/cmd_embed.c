#include "cli/cli.h"

static int run(int argc, char **argv);

const mr_command mr_command_embed = {
    .name = "embed",
    .summary = "texts or images -> vectors in HDF5",
    .run = run,
    .help =
        "usage: millrace embed INPUT... -m MODEL -o OUT.h5 [OPTIONS]\n"
        "\n"
        "Embeds every record of the inputs and writes one row per record, in input order.\n"
        "INPUT: .jsonl .ndjson .txt .tar (also .gz .zst .xz .bz2), .zip, directories, globs, or - for stdin: docs/input-formats.md.\n"
        "MODEL: a catalogue key (see `millrace models`) or a model directory in Hugging Face layout.\n"
        "OUT:   .h5, .jsonl, or - for JSON lines on stdout.\n"
        "\n"
        "Kill it at any time: the same command goes on where the last commit was.\n"
        "\n"
        "  -m, --model MODEL         -o, --output OUT\n"
        "      --text-field NAME     JSON field with the text (default: text, content, body, document, messages)\n"
        "      --id-field NAME       JSON field with the id (default: id, _id, custom_id; else file#line)\n"
        "      --limit N             read only the first N records\n"
        "      --dtype TYPE          f32 (default), f16, int8, binary\n"
        "      --store-text          keep each record's text beside its vector\n"
        "      --prompt NAME         prompt of the model, e.g. query; --prompt-text S: literal text\n"
        "      --pooling MODE        mean, cls, last, max, mean_sqrt_len, weightedmean (default: the model's)\n"
        "      --[no-]normalize      unit length or not (default: as the model says)\n"
        "      --dim N               keep the first N components (Matryoshka models)\n"
        "      --max-tokens N        tokens per text, specials included (default: the model's limit)\n"
        "      --[no-]truncate       cut longer texts (default), or make them failed records\n"
        "      --precision CLASS     auto (default), f32, bf16, int8\n"
        "      --threads N           cores to use       --memory-limit SIZE   8G, 300M, 80% (default)\n"
        "      --readers N           input files read at once (default: 4 where there are many)\n"
        "      --batch-tokens N      tokens per batch (default: by the plan; results do not depend on it)\n"
        "      --shard I/N|auto      do only shard I of N (from 0); auto: Slurm, Kubernetes, AWS Batch arrays; then `millrace merge`\n"
        "      --pin auto|none       each worker keeps to cores of its own (default), or not\n"
        "      --numa POLICY         none (default); interleave: spread the weights over all memory nodes\n"
        "      --cache DIR           what makes the next start faster (default ~/.cache/millrace, or none); --cache-size SIZE: 1G (default)\n"
        "      --metrics FILE        keep Prometheus metrics in FILE (node_exporter's textfile collector)\n"
        "      --metrics-listen ADDRESS  serve them at http://ADDRESS/metrics: a port (9464, this machine only) or HOST:PORT\n"
        "      --on-error POLICY     record (default), fail; --max-failed N|P%: stop when more have failed\n"
        "      --overwrite           drop an existing output of another job\n"
        "      --keep-parts          leave OUT.parts/ in place when done\n"
        "      --in-place-parts      leave the vectors in OUT.parts/, where OUT.h5 refers to them (no room on the disk for two)\n"
        "      --isa NAME            force lower kernels (see `millrace doctor`)\n"
        "      --plan                print the plan and run nothing; --json: plan or summary as JSON\n"
        "      --trace FILE          what every thread did when, for Perfetto or chrome://tracing\n"
        "      --set KEY=VALUE       any setting of a job file (`millrace run --settings` lists them)\n"
        "  -q, --quiet   -v, --verbose   --log MODULE=LEVEL,...\n"
        "\n"
        "Exit code: 0 done; 3 done, some records failed; 75 stopped early, run again to resume; others: see README.\n"
        "\n"
        "examples:\n"
        "  millrace embed corpus.jsonl.zst -m sentence-transformers/all-MiniLM-L6-v2 -o corpus.h5\n"
        "  zcat logs.txt.gz | millrace embed - -m ./my-model -o - | jq -c .embedding\n"
        "  millrace embed 'docs/*.jsonl' -m BAAI/bge-small-en-v1.5 --dtype f16 --memory-limit 4G -o docs.h5\n",
};

static int run(int argc, char **argv)
{
    mr_job job;
    mr_job_flags flags = { 0 };
    mr_error error;
    int first_operand, code = 0;
    mr_job_init(&job);
    job.kind = MR_JOB_EMBED;
    if (!mr_cli_read_job_flags(&mr_command_embed, argc, argv, &job, &flags, &first_operand, &code)) goto done;
    const mr_setting *paths = NULL;
    size_t count;
    const mr_setting *settings = mr_job_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (settings[i].type == MR_SETTING_STRINGS) paths = &settings[i];
    for (int i = first_operand; i < argc; i++) {
        if (mr_job_setting_assign(&job, paths, argv[i], "INPUT", &error) != MR_OK) {
            code = mr_cli_fail(&error);
            goto done;
        }
    }
    if (job.paths.count == 0) code = mr_cli_usage(&mr_command_embed, "no input given; name files, directories or - for stdin");
    else if (!job.model) code = mr_cli_usage(&mr_command_embed, "no model given; add -m MODEL (`millrace models` lists the known ones)");
    else if (!job.output_path) code = mr_cli_usage(&mr_command_embed, "no output given; add -o OUT.h5, OUT.jsonl, or - for stdout");
    else code = mr_cli_run_job(&job, &flags);
done:
    mr_job_fini(&job);
    return code;
}
