#include "io/json_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>


bool mr_json_append_string(mr_buf *out, mr_str text)
{
    bool good = mr_buf_append(out, "\"", 1);
    size_t plain = 0; /* start of what needs no escape */
    for (size_t i = 0; good && i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        good = mr_buf_append(out, text.data + plain, i - plain);
        if (!good) break;
        if (c == '"' || c == '\\') good = mr_buf_printf(out, "\\%c", c);
        else if (c == '\n') good = mr_buf_append(out, "\\n", 2);
        else good = mr_buf_printf(out, "\\u%04x", c);
        plain = i + 1;
    }
    return good && mr_buf_append(out, text.data + plain, text.length - plain) && mr_buf_append(out, "\"", 1);
}

bool mr_json_append_float(mr_buf *out, float value)
{
    if (!isfinite(value)) return mr_buf_append(out, "null", 4);
    char text[32];
    int length = 0;
    for (int digits = 6; digits <= 9; digits++) {
        length = snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    return mr_buf_append(out, text, (size_t)length);
}

static bool append_vector(mr_buf *out, const float *vector, size_t dimension)
{
    if (!vector) return mr_buf_append_str(out, "null");
    for (size_t i = 0; i < dimension; i++)
        if (!mr_buf_append(out, i ? "," : "[", 1) || !mr_json_append_float(out, vector[i])) return false;
    return mr_buf_append(out, "]", 1);
}

bool mr_json_append_row(mr_buf *out, const mr_embedding_row *row, const float *vector, size_t dimension)
{
    bool good = mr_buf_append_str(out, "{\"id\":") && mr_json_append_string(out, row->id) &&
                mr_buf_printf(out, ",\"status\":\"%s\"", mr_row_status_name(row->status)) && mr_buf_append_str(out, ",\"embedding\":") &&
                append_vector(out, vector, dimension) && mr_buf_printf(out, ",\"tokens\":%u", row->tokens);
    if (good && row->error.length) good = mr_buf_append_str(out, ",\"error\":") && mr_json_append_string(out, row->error);
    if (good && row->width) good = mr_buf_printf(out, ",\"width\":%u,\"height\":%u", row->width, row->height);
    if (good && row->text.length) good = mr_buf_append_str(out, row->width ? ",\"caption\":" : ",\"text\":") && mr_json_append_string(out, row->text);
    return good && mr_buf_append(out, "}\n", 2);
}
