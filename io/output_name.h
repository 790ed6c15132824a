/* What an output's name says of its format. Private to io/, but for mr_output_name_check (sink.h). */
#ifndef MR_IO_OUTPUT_NAME_H
#define MR_IO_OUTPUT_NAME_H

#include "io/sink.h"

bool mr_output_name_is_hdf5(const char *path);       /* .h5 or .hdf5, or no suffix at all */
bool mr_output_name_is_json_lines(const char *path); /* .jsonl or .ndjson */

#endif
