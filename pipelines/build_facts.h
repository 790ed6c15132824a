/* Which build this is; filled in by CMake. */
#ifndef MR_PIPELINES_BUILD_FACTS_H
#define MR_PIPELINES_BUILD_FACTS_H

typedef struct mr_build_facts {
    const char *version;    /* "0.1.0" */
    const char *commit;     /* short hash, "+" behind it when the tree was changed; "unknown" outside git */
    const char *compiler;
    const char *build_type; /* "Release" */
} mr_build_facts;

const mr_build_facts *mr_build_facts_get(void);

#endif
