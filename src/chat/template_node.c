#include "chat/template_node.h"

#include <stdlib.h>

mr_node *mr_template_add_node(mr_chat_template *made, mr_node_type type, size_t at)
{
    mr_node *node = malloc(sizeof *node);
    if (!node) return NULL;
    *node = (mr_node){ .type = type, .at = at, .allocated = made->allocated };
    made->allocated = node;
    return node;
}

void mr_template_free_nodes(mr_chat_template *made)
{
    while (made->allocated) {
        mr_node *node = made->allocated;
        made->allocated = node->allocated;
        json_decref(node->literal);
        free(node);
    }
}

unsigned mr_template_line(const mr_chat_template *made, size_t at)
{
    unsigned line = 1;
    for (size_t i = 0; i < at && i < made->length; i++) line += made->source[i] == '\n';
    return line;
}
