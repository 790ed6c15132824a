/* Which table serves: built once, each variant on top of the last one before it that the CPU offers. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/kernels.h"
#include "kernels/variants.h"

enum {
#define VARIANT_ENUM(name, text) VARIANT_##name,
    MR_KERNELS_LIST(VARIANT_ENUM)
#undef VARIANT_ENUM
    VARIANT_COUNT
};

static const char *const names[VARIANT_COUNT + 1] = {
#define VARIANT_NAME(name, text) #name,
    MR_KERNELS_LIST(VARIANT_NAME)
#undef VARIANT_NAME
};

static const char *const needs[VARIANT_COUNT] = {
#define VARIANT_TEXT(name, text) text,
    MR_KERNELS_LIST(VARIANT_TEXT)
#undef VARIANT_TEXT
};

static pthread_once_t built = PTHREAD_ONCE_INIT;
static mr_kernels tables[VARIANT_COUNT];
static const mr_kernels *best, *chosen;

#if defined(__x86_64__)
/* CPUID leaf 7, subleaf 1, EAX bit 4: clang 14 has no name for it. */
static bool has_avx_vnni(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}
#endif

static bool cpu_offers(size_t variant)
{
#if defined(__x86_64__)
    switch (variant) {
    case VARIANT_ref: return true;
    case VARIANT_avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); /* and F16C, older than both */
    case VARIANT_avxvnni: return cpu_offers(VARIANT_avx2) && has_avx_vnni();
    case VARIANT_avx512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    case VARIANT_avx512vnni: return cpu_offers(VARIANT_avx512) && __builtin_cpu_supports("avx512vnni");
    case VARIANT_avx512bf16: return cpu_offers(VARIANT_avx512) && __builtin_cpu_supports("avx512bf16");
    default: return false;
    }
#else
    return variant == VARIANT_ref;
#endif
}

static void build(void)
{
    static void (*const fill[VARIANT_COUNT])(mr_kernels *) = {
#define VARIANT_FILL(name, text) mr_kernels_fill__##name,
        MR_KERNELS_LIST(VARIANT_FILL)
#undef VARIANT_FILL
    };
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        if (!cpu_offers(i)) continue;
        if (best != NULL) tables[i] = *best;
        fill[i](&tables[i]);
        tables[i].name = names[i];
        best = &tables[i];
    }
    chosen = best;
}

const mr_kernels *mr_kernels_for_isa(const char *name)
{
    pthread_once(&built, build);
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        if (strcmp(names[i], name) == 0) return tables[i].name != NULL ? &tables[i] : NULL;
    }
    return NULL;
}

mr_status mr_kernels_init(const char *isa, mr_error *error)
{
    pthread_once(&built, build);
    const char *origin = "--isa";
    if (isa == NULL) {
        isa = getenv("MILLRACE_ISA");
        origin = "MILLRACE_ISA";
    }
    if (isa == NULL || *isa == '\0') {
        chosen = best;
        return MR_OK;
    }
    const mr_kernels *table = mr_kernels_for_isa(isa);
    if (table != NULL) {
        chosen = table;
        return MR_OK;
    }
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        if (strcmp(names[i], isa) == 0) {
            return mr_error_set(error, MR_CONFIG, "%s: this CPU does not offer '%s' (it needs %s); the best here is '%s'", origin, isa,
                                needs[i], best->name);
        }
    }
    char known[128] = "";
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        strncat(known, i > 0 ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, names[i], sizeof known - strlen(known) - 1);
    }
    return mr_error_set(error, MR_CONFIG, "%s: unknown instruction set '%s'; known are %s", origin, isa, known);
}

const mr_kernels *mr_kernels_get(void)
{
    pthread_once(&built, build);
    return chosen;
}

const char *mr_kernels_isa_name(void)
{
    return mr_kernels_get()->name;
}

const char *const *mr_kernels_names(void)
{
    return names;
}
