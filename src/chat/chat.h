/* A model's chat template with the texts of its special tokens: messages -> prompt.
 *
 * Found in chat_template.jinja, else in tokenizer_config.json ("chat_template", a text or a list of named ones), else
 * under tokenizer.chat_template in a GGUF file. Immutable after open, thread-safe. */
#ifndef MR_CHAT_CHAT_H
#define MR_CHAT_CHAT_H

#include <jansson.h>

#include "core/error.h"
#include "core/str.h"

typedef struct mr_chat mr_chat;

/* `path`: a model's directory or a .gguf file. `name`: which of several templates; NULL: the default one.
 * MODEL_FILES_MISSING when there is no template; otherwise as mr_chat_template_open. */
mr_status mr_chat_open(const char *path, const char *name, mr_chat **out, mr_error *error);
void mr_chat_close(mr_chat *chat); /* NULL is fine */

/* Appends the prompt. `conversation`: {"messages": [{"role": ..., "content": ...}, ...], "tools": [...], ...}, borrowed;
 * every member is a variable of the template, "add_generation_prompt" being true when absent.
 * BAD_RECORD when it is no such thing, or the template refuses it. */
mr_status mr_chat_make_prompt(const mr_chat *chat, const json_t *conversation, mr_buf *out, mr_error *error);

/* Whether special tokens are still to be added to `prompt`: not if it begins with the text of the first one already. */
bool mr_chat_needs_special_tokens(const mr_chat *chat, mr_str prompt);

#endif
