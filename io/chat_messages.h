/* A chat as OpenAI's files hold it and most others too: [{"role": "user", "content": "..."}, ...]. Private to io/. */
#ifndef MR_IO_CHAT_MESSAGES_H
#define MR_IO_CHAT_MESSAGES_H

#include <jansson.h>

#include "core/error.h"
#include "core/str.h"

/* Does the value look like a chat (an array that begins with an object)? */
bool mr_messages_are_chat(const json_t *value);

/* The chat as one text, "role: content" for each message, a newline between them. Content in parts, [{"type": "text",
 * "text": ...}], is joined by newlines; without content (an assistant that only calls tools) there is the role alone.
 * BAD_RECORD with a reason that calls the chat `name`: a role other than system, developer, user, assistant and tool; no
 * message; a part that is no text. */
mr_status mr_messages_to_text(const json_t *messages, const char *name, mr_buf *text, mr_error *error);

#endif
