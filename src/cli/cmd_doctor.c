#include <hdf5.h>
#include <jansson.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/cache.h"
#include "core/counters.h"
#include "core/str.h"
#include "kernels/kernels.h"
#include "registry/model_store.h"
#include "registry/pool/memory_limits.h"

static int run(int argc, char **argv);

const mr_command mr_command_doctor = {
    .name = "doctor",
    .summary = "what this machine offers: CPU, kernels, memory limits, HDF5, model store",
    .run = run,
    .help =
        "usage: millrace doctor [--json]\n"
        "\n"
        "Shows what a job would find here: cores this process may use, the kernel variants this CPU can run and the one\n"
        "chosen (MILLRACE_ISA or --isa forces a lower one), memory as the machine, the containers and the limits allow it,\n"
        "HDF5 and its filters, where models are looked for, and what the cache holds. Exit code 0 when a job could run.\n",
};

typedef struct findings {
    int cores;
    mr_memory_limits memory;
    bool memory_known;
    unsigned hdf5[3];
    bool deflate;
    bool counters[MR_COUNTER_COUNT];
    mr_model_store *store;
    mr_error store_error;
    char *cache;
} findings;

static findings look(void)
{
    findings f = { .cores = 1 };
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) f.cores = CPU_COUNT(&set);
    f.memory_known = mr_memory_limits_read(NULL, &f.memory, NULL) == MR_OK;
    H5get_libversion(&f.hdf5[0], &f.hdf5[1], &f.hdf5[2]);
    mr_counters counters;
    uint64_t counted[MR_COUNTER_COUNT];
    mr_counters_open(&counters);
    mr_counters_read(&counters, counted);
    mr_counters_close(&counters);
    for (int i = 0; i < MR_COUNTER_COUNT; i++) f.counters[i] = counted[i] != MR_COUNTER_ABSENT;
    f.deflate = H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0;
    f.cache = mr_cache_default_folder();
    if (mr_model_store_open(&f.store, &f.store_error) != MR_OK) f.store = NULL;
    return f;
}

static void print_limit(const char *name, uint64_t bytes)
{
    char text[16];
    printf("  %-18s%s\n", name, bytes == UINT64_MAX ? "none" : mr_str_bytes(text, bytes));
}

/* What perf_event_open offers (--trace and bench show it), then what it does not. */
static void print_counters(const findings *f, bool offered, const char *none)
{
    const char *separator = offered ? "" : " (not offered: ", *end = "";
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        if (f->counters[i] != offered) continue;
        printf("%s%s", separator, mr_counter_text((mr_counter)i));
        separator = ", ";
        none = NULL;
        end = offered ? "" : ")";
    }
    printf("%s%s", none ? none : "", end);
}

static void print_text(const findings *f)
{
    char text[16];
    printf("cpu\n  cores usable      %d of %ld\n  kernels           %s (", f->cores, sysconf(_SC_NPROCESSORS_ONLN), mr_kernels_isa_name());
    for (const char *const *name = mr_kernels_names(); *name; name++)
        printf("%s%s%s", name == mr_kernels_names() ? "" : ", ", *name, mr_kernels_for_isa(*name) ? "" : ": not on this CPU");
    printf(")\n  counters          ");
    print_counters(f, true, "none");
    print_counters(f, false, NULL);
    printf("\nmemory\n");
    if (f->memory_known) {
        print_limit("RAM", f->memory.ram);
        print_limit("cgroup v2", f->memory.cgroup_v2);
        print_limit("cgroup v1", f->memory.cgroup_v1);
        print_limit("address space", f->memory.address_space);
        printf("  effective         %s (%s)\n", mr_str_bytes(text, f->memory.effective), f->memory.source);
    } else {
        printf("  unknown: /proc cannot be read\n");
    }
    printf("output\n  HDF5              %u.%u.%u\n  deflate           %s\n", f->hdf5[0], f->hdf5[1], f->hdf5[2], f->deflate ? "yes" : "MISSING: this HDF5 cannot compress ids");
    const char *models = f->store ? mr_model_store_models(f->store) : NULL;
    if (f->store) printf("models\n  store             %s\n  catalogue         %zu entries\n", models ? models : "none: neither MILLRACE_HOME, XDG_DATA_HOME nor HOME is set", mr_catalogue_count(mr_model_store_catalogue(f->store)));
    else printf("models\n  store             %s\n", f->store_error.text);
    if (f->cache) printf("  cache             %s, holds %s\n", f->cache, mr_str_bytes(text, mr_cache_folder_bytes(f->cache)));
    else printf("  cache             none: neither XDG_CACHE_HOME nor HOME is set\n");
}

static void print_json(const findings *f)
{
    json_t *variants = json_array(), *counters = json_array();
    for (int i = 0; i < MR_COUNTER_COUNT; i++)
        if (f->counters[i]) json_array_append_new(counters, json_string(mr_counter_text((mr_counter)i)));
    for (const char *const *name = mr_kernels_names(); *name; name++)
        if (mr_kernels_for_isa(*name)) json_array_append_new(variants, json_string(*name));
    json_t *root = json_pack("{s:i,s:s,s:o,s:o,s:I,s:s,s:b,s:s?,s:s?}", "cores", f->cores, "isa", mr_kernels_isa_name(), "isa_available", variants, "counters", counters,
                             "memory_effective", (json_int_t)f->memory.effective, "memory_source", f->memory_known ? f->memory.source : "unknown",
                             "hdf5_deflate", f->deflate, "model_store", f->store ? mr_model_store_models(f->store) : NULL,
                             "cache", f->cache);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
    bool json = false;
    int option, code = 0;
    while ((option = mr_cli_option(&mr_command_doctor, argc, argv, "", options, &code)) != -1) {
        if (option == '?' || option == 'H') return code;
        json = true;
    }
    mr_error error;
    if (mr_kernels_init(NULL, &error) != MR_OK) return mr_cli_fail(&error);
    findings f = look();
    if (json) print_json(&f);
    else print_text(&f);
    code = f.deflate && f.store ? 0 : mr_status_exit_code(MR_CONFIG);
    mr_model_store_close(f.store);
    free(f.cache);
    return code;
}
