/* Chat templates: the part of Jinja2 that published models use, run over JSON values.
 *
 * The environment is the one templates are written for: trim_blocks, lstrip_blocks, break and continue, a `generation`
 * block, nothing escaped, lists and mappings immutable. What is outside the subset is refused when the template is
 * opened, naming its line: a prompt is never silently different. Printing a list or a mapping, which would give Python's
 * form of it, fails when it happens.
 * Immutable after open; any number of threads may render. Source: jinja.palletsprojects.com (template designer's
 * documentation); transformers utils/chat_template_utils.py (the environment). */
#ifndef MR_CHAT_CHAT_TEMPLATE_H
#define MR_CHAT_CHAT_TEMPLATE_H

#include <jansson.h>

#include "core/error.h"
#include "core/str.h"

typedef struct mr_chat_template mr_chat_template;

/* `where` names the template in error texts. Nothing is borrowed. MODEL_UNSUPPORTED for a construct outside the subset,
 * MODEL_CORRUPT for one that is no Jinja; both say "where:line: ...". */
mr_status mr_chat_template_open(mr_str source, const char *where, mr_chat_template **out, mr_error *error);
void mr_chat_template_close(mr_chat_template *chat_template); /* NULL is fine */

/* Appends the text. `variables`: an object, borrowed, not changed. BAD_RECORD where the template raises an exception or
 * the values do not fit it; steps and bytes are limited. */
mr_status mr_chat_template_render(const mr_chat_template *chat_template, json_t *variables, mr_buf *out, mr_error *error);

/* Whether the template takes a message's content only as a list of parts and would drop a plain string. */
bool mr_chat_template_wants_parts(const mr_chat_template *chat_template);

#endif
