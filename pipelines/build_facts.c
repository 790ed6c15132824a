#include "pipelines/build_facts.h"

#include "millrace.h"

const char *mr_version(void)
{
    return MR_BUILD_VERSION;
}

const mr_build_facts *mr_build_facts_get(void)
{
    static const mr_build_facts facts = { MR_BUILD_VERSION, MR_BUILD_COMMIT, MR_BUILD_COMPILER, MR_BUILD_TYPE };
    return &facts;
}
