/* Build facts: what --version and doctor print, and what goes into the output files. */
#ifndef MR_CLI_VERSION_H
#define MR_CLI_VERSION_H

#include <stdio.h>

void mr_cli_print_version(FILE *out);

#endif
