/* Prompts against the reference's, character by character.
 *   test_chat               the templates in tests/data/chat
 *   test_chat --dir DIR     other folders of that form: chat_template.jinja, tokenizer_config.json, cases.json */
#include "../cm.h"

#include <dirent.h>

#include "chat/chat.h"
#include "chat/chat_template.h"
#include "core/file.h"
#include "gguf_writer.h"

static const char *directory = MR_TEST_DATA "/chat";

static json_t *load_cases(const char *folder)
{
    json_error_t problem;
    char *path = mr_path_join(folder, "cases.json");
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (!root) fail_msg("%s: %s", path, problem.text);
    free(path);
    return root;
}

static json_t *conversation_of(const json_t *c)
{
    json_t *conversation = json_object();
    static const char *const keys[] = { "messages", "tools", "add_generation_prompt" };
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(c, keys[i])) json_object_set(conversation, keys[i], json_object_get(c, keys[i]));
    json_object_update(conversation, json_object_get(c, "kwargs"));
    return conversation;
}

static size_t check_folder(const char *folder)
{
    mr_chat *chat;
    mr_error error;
    size_t i, differences = 0;
    json_t *root = load_cases(folder), *c;
    if (mr_chat_open(folder, NULL, &chat, &error) != MR_OK) fail_msg("%s", error.text);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        const json_t *expect = json_object_get(c, "expect"), *text = json_object_get(expect, "text");
        json_t *conversation = conversation_of(c);
        mr_buf out = { 0 };
        mr_status status = mr_chat_make_prompt(chat, conversation, &out, &error);
        bool same = status == MR_OK && text && out.length == json_string_length(text) && memcmp(out.data ? out.data : "", json_string_value(text), out.length) == 0;
        if (text ? !same : status != MR_BAD_RECORD) {
            differences++;
            print_error("%s: %s: %s\n--- expected\n%s\n--- got\n%s\n", folder, json_string_value(json_object_get(c, "name")), status == MR_OK ? "differs" : error.text,
                        text ? json_string_value(text) : json_string_value(json_object_get(expect, "error")), out.data ? out.data : "");
        }
        mr_buf_fini(&out);
        json_decref(conversation);
    }
    json_decref(root);
    mr_chat_close(chat);
    return differences;
}

static void test_cases(void **unused)
{
    size_t folders = 0, differences = 0;
    struct dirent *entry;
    DIR *open = opendir(directory);
    (void)unused;
    assert_non_null(open);
    while ((entry = readdir(open))) {
        char *folder = mr_path_join(directory, entry->d_name);
        if (entry->d_name[0] != '.' && mr_path_is_directory(folder)) {
            differences += check_folder(folder);
            folders++;
        }
        free(folder);
    }
    closedir(open);
    print_message("%zu templates\n", folders);
    assert_int_equal(differences, 0);
    assert_true(folders > 0);
}

/* What is outside the subset is refused with its line before anything is rendered. */
static void test_refused(void **unused)
{
    static const struct {
        const char *source, *text;
    } templates[] = { { "a\n{% include 'x' %}", "t:2: the statement \"include\"" }, { "\n\n{{ x | wordwrap }}", "t:3: the filter \"wordwrap\"" },
        { "{{ x is odd }}", "the test \"odd\"" }, { "{{ x.zfill(1) }}", "the method \"zfill\"" }, { "{{ lipsum() }}", "the function \"lipsum\"" },
        { "{% if x %}", "ends before \"elif\"" }, { "{{ x", "has no end" }, { "{{ 'x }}", "a string has no end" }, { "{# x", "a comment has no end" },
        { "{% break %}", "does not belong here" }, { "{% set a, b %}{% endset %}", "ends too early" }, { "{% set a.b, c = x %}", "does not belong here" }, { "{% set a %}", "ends before \"endset\"" }, { "{% filter frobnicate %}{% endfilter %}", "the filter \"frobnicate\"" },
        { "{% for x in y %}{% set a %}{% break %}{% endset %}{% endfor %}", "does not belong here" }, { "{{ a < b < c }}", "a chain" }, { "{{ 2 ** 3 }}", "the operator" },
        { "{% raw %}{% endraw %}", "the statement \"raw\"" }, { "{% for a in b recursive %}{% endfor %}", "recursive" }, { "{{ x }} {% endif %}", "the statement \"endif\"" },
        { "{{ }}", "too early" }, { "{{ 'a' %}", "too early" }, { "{{ 1, 2 }}", "does not belong here" }, { "{{ x() () }}", "a call of something" }, { "{{ 1 $ 2 }}", "this character" } };
    (void)unused;
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        mr_chat_template *made = NULL;
        mr_error error;
        mr_status status = mr_chat_template_open(mr_str_of(templates[i].source), "t", &made, &error);
        if (status == MR_OK) fail_msg("accepted: %s", templates[i].source);
        if (!strstr(error.text, templates[i].text)) fail_msg("%s: \"%s\" does not say \"%s\"", templates[i].source, error.text, templates[i].text);
    }
}

/* Everything a template can do ends: loops in loops, texts that double, macros that call themselves, deep nesting. */
static void test_limits(void **unused)
{
    static const char *const templates[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{% set n = namespace(s='0123456789') %}{% for a in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s=['0']) %}{% for a in range(100) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% for a in range(1000000000) %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% set x = a %}{% endfor %}{% endfor %}",
    };
    (void)unused;
    json_t *variables = json_object();
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        mr_chat_template *made;
        mr_buf out = { 0 };
        mr_error error;
        if (mr_chat_template_open(mr_str_of(templates[i]), "t", &made, &error) != MR_OK) fail_msg("%s", error.text);
        assert_int_equal(mr_chat_template_render(made, variables, &out, &error), MR_BAD_RECORD);
        mr_buf_fini(&out);
        mr_chat_template_close(made);
    }
    mr_buf deep = { 0 };
    for (int i = 0; i < 50000; i++) assert_true(mr_buf_append_str(&deep, i ? "+1" : "{{ 1"));
    assert_true(mr_buf_append_str(&deep, " }}"));
    mr_chat_template *made;
    mr_buf out = { 0 };
    assert_int_equal(mr_chat_template_open((mr_str){ deep.data, deep.length }, "t", &made, NULL), MR_OK);
    assert_int_equal(mr_chat_template_render(made, variables, &out, NULL), MR_BAD_RECORD);
    mr_chat_template_close(made);
    deep.length = 0;
    for (int i = 0; i < 50000; i++) assert_true(mr_buf_append_str(&deep, i ? "(" : "{{ "));
    assert_int_equal(mr_chat_template_open((mr_str){ deep.data, deep.length }, "t", &made, NULL), MR_MODEL_UNSUPPORTED);
    mr_buf_fini(&deep);
    json_decref(variables);
}

/* Only a template that looks for parts in a message's content, and has no other way for a text, wants them. */
static void test_wants_parts(void **unused)
{
    static const struct {
        const char *source;
        bool wants;
    } templates[] = { { "{{ m['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}", true },
        { "{% for part in m.content | list | selectattr('type', 'equalto', 'text') %}{{ part.text }}{% endfor %}", true },
        { "{% set content = m.content %}{{ content | selectattr('type', 'equalto', 'text') | list | length }}", true },
        { "{{ tools | selectattr(\"type\", \"equalto\", \"code_interpreter\") | list | length }}{{ m.content }}", false },
        { "{{ m.kind | selectattr('type', 'defined') | list | length }}", false },
        { "{{ m.content | selectattr('name', 'defined') | list | length }}", false },
        { "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content | selectattr('type', 'equalto', 'text') | list | length }}{% endif %}", false } };
    (void)unused;
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        mr_chat_template *made;
        mr_error error;
        if (mr_chat_template_open(mr_str_of(templates[i].source), "t", &made, &error) != MR_OK) fail_msg("%s", error.text);
        if (mr_chat_template_wants_parts(made) != templates[i].wants) fail_msg("%s", templates[i].source);
        mr_chat_template_close(made);
    }
}

static void test_conversations(void **unused)
{
    static const char *const bad[] = { "{}", "{\"messages\": 1}", "{\"messages\": [1]}", "{\"messages\": [{\"content\": \"x\"}]}", "{\"messages\": [{\"role\": 5}]}" };
    mr_chat *chat;
    mr_error error;
    (void)unused;
    char *folder = mr_path_join(directory, "plain");
    assert_int_equal(mr_chat_open(folder, "other", &chat, &error), MR_MODEL_FILES_MISSING);
    assert_non_null(strstr(error.text, "other"));
    assert_int_equal(mr_chat_open(MR_TEST_DATA, NULL, &chat, &error), MR_MODEL_FILES_MISSING);
    if (mr_chat_open(folder, NULL, &chat, &error) != MR_OK) fail_msg("%s", error.text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *conversation = json_loads(bad[i], 0, NULL);
        mr_buf out = { 0 };
        assert_int_equal(mr_chat_make_prompt(chat, conversation, &out, &error), MR_BAD_RECORD);
        json_decref(conversation);
        mr_buf_fini(&out);
    }
    assert_false(mr_chat_needs_special_tokens(chat, MR_STR("<s>hello")));
    assert_true(mr_chat_needs_special_tokens(chat, MR_STR("hello")));
    mr_chat_close(chat);
    free(folder);
}

/* A template and special tokens inside a GGUF file. */
static void test_gguf(void **unused)
{
    const char *path = MR_TEST_TMP "/chat.gguf";
    gguf_writer w = { 0 };
    mr_chat *chat;
    mr_error error;
    mr_buf out = { 0 };
    (void)unused;
    gguf_key_array(&w, "tokenizer.ggml.tokens", MR_GGUF_VALUE_STRING, 2);
    gguf_put_string(&w.values, MR_STR("<unk>"));
    gguf_put_string(&w.values, MR_STR("<s>"));
    gguf_key_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_key_string(&w, "tokenizer.chat_template", MR_STR("{{ bos_token }}{{ messages[0].content }}"));
    gguf_key_string(&w, "tokenizer.chat_template.short", MR_STR("{{ messages | length }}"));
    mr_buf bytes = gguf_finish(&w, 3);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.length, file), bytes.length);
    fclose(file);
    mr_buf_fini(&bytes);
    json_t *conversation = json_loads("{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}", 0, NULL);
    if (mr_chat_open(path, NULL, &chat, &error) != MR_OK) fail_msg("%s", error.text);
    assert_int_equal(mr_chat_make_prompt(chat, conversation, &out, &error), MR_OK);
    assert_string_equal(out.data, "<s>Hi");
    mr_chat_close(chat);
    out.length = 0;
    if (mr_chat_open(path, "short", &chat, &error) != MR_OK) fail_msg("%s", error.text);
    assert_int_equal(mr_chat_make_prompt(chat, conversation, &out, &error), MR_OK);
    assert_string_equal(out.data, "1");
    mr_chat_close(chat);
    assert_int_equal(mr_chat_open(path, "long", &chat, &error), MR_MODEL_FILES_MISSING);
    json_decref(conversation);
    mr_buf_fini(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest own[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_refused), cmocka_unit_test(test_limits), cmocka_unit_test(test_wants_parts), cmocka_unit_test(test_conversations),
                                      cmocka_unit_test(test_gguf) };
    const struct CMUnitTest other[] = { cmocka_unit_test(test_cases) };
    if (argc != 3 || strcmp(argv[1], "--dir") != 0) return RUN_TESTS(own);
    directory = argv[2];
    return RUN_TESTS(other);
}
