/* Any bytes: a chat template. It is refused or renders a conversation with tools into well-formed UTF-8, or fails. */
#include <stdint.h>
#include <stdlib.h>

#include "chat/chat_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conversation[] =
    "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true,\"messages\":[{\"role\":\"system\",\"content\":\"\\u00e9 \"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":\"<think>\\na</think>b\",\"tool_calls\":[{\"function\":"
    "{\"name\":\"f\",\"arguments\":{\"a\":1.5,\"b\":null}}}]}],\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{}}}}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_chat_template *made;
    mr_error error;
    mr_buf out = { 0 };
    if (mr_chat_template_open((mr_str){ (const char *)data, size }, "input", &made, &error) != MR_OK) return 0;
    json_t *variables = json_loads(conversation, 0, NULL);
    if (mr_chat_template_render(made, variables, &out, &error) == MR_OK && mr_utf8_check(out.data, out.length) != out.length) abort();
    mr_buf_fini(&out);
    json_decref(variables);
    mr_chat_template_close(made);
    return 0;
}
