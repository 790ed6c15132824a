/* An HTTP/1.1 server on 127.0.0.1 with faults to order, for the fetch tests. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct http_file {
    const char *path; /* "/org/m/resolve/rev/a.bin" */
    const char *data;
    size_t length;
    int busy;          /* so many answers are 503 first */
    int cut;           /* so many answers end early, after half of what they should send */
    bool ignore_range; /* always the whole file, 200 */
    bool stall;        /* sends one byte, then nothing */
    const char *moved; /* 302 to this path */
    int requests;      /* counted */
    size_t sent;       /* body bytes, counted */
} http_file;

typedef struct http_server http_server;

/* `files` [count] stays the caller's and must outlive the server; read the counters after http_server_stop. */
http_server *http_server_start(http_file *files, size_t count);
const char *http_server_url(const http_server *server); /* "http://127.0.0.1:<port>" */
void http_server_stop(http_server *server);

#endif
