#include "core/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/file.h"
#include "core/str.h"

struct mr_yaml {
    yaml_document_t document;
    char *name;
};

static const yaml_node_t *inner(const mr_yaml_node *node) { return (const yaml_node_t *)(const void *)node; }
static const mr_yaml_node *outer(const yaml_node_t *node) { return (const mr_yaml_node *)(const void *)node; }

static const mr_yaml_node *node_at(const mr_yaml *document, yaml_node_item_t index)
{
    yaml_document_t *tree = (yaml_document_t *)(uintptr_t)&document->document; /* libyaml's accessor lacks const */
    return outer(yaml_document_get_node(tree, index));
}

static mr_status syntax_error(const yaml_parser_t *parser, const char *name, mr_error *error)
{
    return mr_error_set(error, MR_CONFIG, "%s:%zu:%zu: not valid YAML: %s", name, parser->problem_mark.line + 1,
                        parser->problem_mark.column + 1, parser->problem ? parser->problem : "bad encoding");
}

static mr_status load_only_document(yaml_parser_t *parser, mr_yaml *document, mr_error *error)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &document->document)) return syntax_error(parser, document->name, error);
    if (!yaml_document_get_root_node(&document->document)) {
        yaml_document_delete(&document->document);
        return mr_error_set(error, MR_CONFIG, "%s: the file is empty", document->name);
    }
    mr_status status = MR_OK;
    if (!yaml_parser_load(parser, &second)) {
        status = syntax_error(parser, document->name, error);
    } else {
        if (yaml_document_get_root_node(&second)) status = mr_error_set(error, MR_CONFIG, "%s: more than one document", document->name);
        yaml_document_delete(&second);
    }
    if (status != MR_OK) yaml_document_delete(&document->document);
    return status;
}

mr_status mr_yaml_parse(const char *text, size_t length, const char *name, mr_yaml **out, mr_error *error)
{
    yaml_parser_t parser;
    mr_yaml *document = calloc(1, sizeof *document);
    if (document) document->name = mr_strdup(name);
    if (!document || !document->name || !yaml_parser_initialize(&parser)) {
        if (document) free(document->name);
        free(document);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", name);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    mr_status status = load_only_document(&parser, document, error);
    yaml_parser_delete(&parser);
    if (status != MR_OK) {
        free(document->name);
        free(document);
        return status;
    }
    *out = document;
    return MR_OK;
}

mr_status mr_yaml_load(const char *path, size_t max_bytes, mr_yaml **out, mr_error *error)
{
    char *text;
    size_t length;
    MR_TRY(mr_file_read(path, max_bytes, &text, &length, error));
    mr_status status = mr_yaml_parse(text, length, path, out, error);
    free(text);
    return status;
}

void mr_yaml_close(mr_yaml *document)
{
    if (!document) return;
    yaml_document_delete(&document->document);
    free(document->name);
    free(document);
}

const mr_yaml_node *mr_yaml_root(const mr_yaml *document)
{
    yaml_document_t *tree = (yaml_document_t *)(uintptr_t)&document->document;
    return outer(yaml_document_get_root_node(tree));
}

mr_yaml_kind mr_yaml_node_kind(const mr_yaml_node *node)
{
    switch (inner(node)->type) {
    case YAML_SEQUENCE_NODE: return MR_YAML_SEQUENCE;
    case YAML_MAPPING_NODE: return MR_YAML_MAPPING;
    default: return MR_YAML_SCALAR;
    }
}

size_t mr_yaml_node_size(const mr_yaml_node *node)
{
    const yaml_node_t *n = inner(node);
    if (n->type == YAML_SEQUENCE_NODE) return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    if (n->type == YAML_MAPPING_NODE) return (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    return 0;
}

const mr_yaml_node *mr_yaml_item(const mr_yaml *document, const mr_yaml_node *sequence, size_t index)
{
    return node_at(document, inner(sequence)->data.sequence.items.start[index]);
}

bool mr_yaml_is_null(const mr_yaml_node *node)
{
    const yaml_node_t *n = inner(node);
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    const char *text = (const char *)n->data.scalar.value;
    return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

const char *mr_yaml_text(const mr_yaml_node *node)
{
    return inner(node)->type == YAML_SCALAR_NODE && !mr_yaml_is_null(node) ? (const char *)inner(node)->data.scalar.value : NULL;
}

mr_status mr_yaml_pair(const mr_yaml *document, const mr_yaml_node *mapping, size_t index, const mr_yaml_node **key,
                       const mr_yaml_node **value, mr_error *error)
{
    const yaml_node_pair_t *pairs = inner(mapping)->data.mapping.pairs.start;
    const mr_yaml_node *found = node_at(document, pairs[index].key);
    const char *text = mr_yaml_text(found);
    if (!text || strlen(text) != inner(found)->data.scalar.length) return mr_yaml_error_at(document, found, error, "a key must be plain text");
    for (size_t i = 0; i < index; i++) {
        const char *earlier = mr_yaml_text(node_at(document, pairs[i].key));
        if (earlier && strcmp(earlier, text) == 0) return mr_yaml_error_at(document, found, error, "key \"%s\" appears twice", text);
    }
    *key = found;
    *value = node_at(document, pairs[index].value);
    return MR_OK;
}

mr_status mr_yaml_error_at(const mr_yaml *document, const mr_yaml_node *node, mr_error *error, const char *format, ...)
{
    char text[MR_ERROR_TEXT_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const yaml_mark_t *mark = &inner(node)->start_mark;
    return mr_error_set(error, MR_CONFIG, "%s:%zu:%zu: %s", document->name, mark->line + 1, mark->column + 1, written < 0 ? "" : text);
}
