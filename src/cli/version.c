#include "cli/version.h"

#include <archive.h>
#include <hdf5.h>
#include <jansson.h>

#include "core/error.h"
#include "kernels/kernels.h"
#include "pipelines/build_facts.h"

void mr_cli_print_version(FILE *out)
{
    const mr_build_facts *facts = mr_build_facts_get();
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    fprintf(out, "millrace %s (%s)\n", facts->version, facts->commit);
    fprintf(out, "compiler   %s, %s\n", facts->compiler, facts->build_type);
    fprintf(out, "kernels    %s on this CPU; compiled in:", mr_kernels_isa_name());
    for (const char *const *name = mr_kernels_names(); *name; name++) fprintf(out, " %s", *name);
    fprintf(out, "\nlibraries  HDF5 %u.%u.%u, %s, jansson %s\n", major, minor, release, archive_version_string(), jansson_version_str());
}
