/* What becomes of ill-formed text: its record fails, or it is repaired. */
#ifndef MR_IO_TEXT_REPAIR_H
#define MR_IO_TEXT_REPAIR_H

#include "core/error.h"
#include "core/str.h"

/* BAD_RECORD "invalid UTF-8 at byte N" for ill-formed *text; with `replace` every maximal ill-formed part becomes U+FFFD
 * in `storage` (initialised, kept by the caller), where *text then lies. OUT_OF_MEMORY otherwise. */
mr_status mr_text_repair(mr_str *text, bool replace, mr_buf *storage, mr_error *error);

/* The same for a line of JSON, where a \u escape can be half of a surrogate pair: one U+FFFD too. */
mr_status mr_text_repair_json(mr_str *line, bool replace, mr_buf *storage, mr_error *error);

#endif
