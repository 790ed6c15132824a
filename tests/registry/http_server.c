#include "http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_server {
    http_file *files;
    size_t count;
    int listener;
    pthread_t thread;
    atomic_bool stop;
    char url[64];
};

static void require(int condition, const char *what)
{
    if (condition) return;
    perror(what);
    abort();
}

static void send_all(int client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(client, data, length, MSG_NOSIGNAL);
        if (sent <= 0) return;
        data += sent;
        length -= (size_t)sent;
    }
}

static void send_status(int client, const char *status, const char *headers)
{
    char text[512];
    int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", status, headers);
    send_all(client, text, (size_t)length);
}

static void send_file(const http_server *server, int client, http_file *file, const char *request)
{
    char header[256];
    const char *range = file->ignore_range ? NULL : strstr(request, "Range: bytes=");
    size_t from = range ? strtoul(range + strlen("Range: bytes="), NULL, 10) : 0;
    if (range && from >= file->length) {
        send_status(client, "416 Range Not Satisfiable", "");
        return;
    }
    size_t length = file->length - from;
    int written = range ? snprintf(header, sizeof header, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%zu/%zu\r\n", from, file->length - 1, file->length)
                        : snprintf(header, sizeof header, "HTTP/1.1 200 OK\r\n");
    send_all(client, header, (size_t)written);
    written = snprintf(header, sizeof header, "Content-Length: %zu\r\nConnection: close\r\n\r\n", length);
    send_all(client, header, (size_t)written);
    if (file->cut > 0) {
        file->cut--;
        length /= 2;
    }
    if (file->stall) length = 1;
    send_all(client, file->data + from, length);
    file->sent += length;
    while (file->stall && !atomic_load(&server->stop) && poll(&(struct pollfd){ .fd = client, .events = POLLRDHUP }, 1, 50) == 0) {}
}

static void answer(const http_server *server, int client)
{
    char request[8192], path[512], location[600];
    size_t have = 0;
    ssize_t got;
    request[0] = '\0';
    while (!strstr(request, "\r\n\r\n") && have + 1 < sizeof request && (got = recv(client, request + have, sizeof request - 1 - have, 0)) > 0) {
        have += (size_t)got;
        request[have] = '\0';
    }
    if (sscanf(request, "GET %511s ", path) != 1) return;
    for (size_t i = 0; i < server->count; i++) {
        http_file *file = &server->files[i];
        if (strcmp(file->path, path) != 0) continue;
        file->requests++;
        if (file->busy > 0) {
            file->busy--;
            send_status(client, "503 Service Unavailable", "");
        } else if (file->moved) {
            snprintf(location, sizeof location, "Location: %s\r\n", file->moved);
            send_status(client, "302 Found", location);
        } else {
            send_file(server, client, file, request);
        }
        return;
    }
    send_status(client, "404 Not Found", "");
}

static void *serve(void *context)
{
    http_server *server = context;
    while (!atomic_load(&server->stop)) {
        if (poll(&(struct pollfd){ .fd = server->listener, .events = POLLIN }, 1, 50) <= 0) continue;
        int client = accept(server->listener, NULL, NULL);
        if (client < 0) continue;
        answer(server, client);
        shutdown(client, SHUT_RDWR);
        close(client);
    }
    return NULL;
}

http_server *http_server_start(http_file *files, size_t count)
{
    http_server *server = calloc(1, sizeof *server);
    require(server != NULL, "calloc");
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    server->files = files;
    server->count = count;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(server->listener >= 0, "socket");
    require(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    require(listen(server->listener, 16) == 0, "listen");
    require(getsockname(server->listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    require(pthread_create(&server->thread, NULL, serve, server) == 0, "pthread_create");
    return server;
}

const char *http_server_url(const http_server *server) { return server->url; }

void http_server_stop(http_server *server)
{
    atomic_store(&server->stop, true);
    pthread_join(server->thread, NULL);
    close(server->listener);
    free(server);
}
