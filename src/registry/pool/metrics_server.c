#include "registry/pool/metrics_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REQUEST_BYTES 4096 /* a scraper's GET has a few hundred */
#define PEER_SECONDS 2     /* for each read and write of a peer */

struct mr_metrics_server {
    mr_pools *pools;
    int listener;
    int stop_fd;
    unsigned port;
    pthread_t thread;
};

/* ---------------------------------------------------------------- one connection */

static bool send_all(int peer, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(peer, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        data += sent;
        length -= (size_t)sent;
    }
    return true;
}

static void respond(int peer, const char *status, const char *body, size_t length)
{
    mr_buf head = { 0 };
    if (mr_buf_printf(&head, "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %zu\r\n"
                             "Connection: close\r\n\r\n", status, length) &&
        send_all(peer, head.data, head.length))
        (void)send_all(peer, body, length);
    mr_buf_fini(&head);
}

/* Up to the empty line that ends the head. False when the peer sends none in time, or too much. */
static bool read_head(int peer, char text[REQUEST_BYTES])
{
    int64_t deadline = mr_clock_deadline(mr_clock_monotonic(), PEER_SECONDS * MR_CLOCK_SECOND); /* of all reads together */
    size_t length = 0;
    while (length + 1 < REQUEST_BYTES && mr_clock_now(mr_clock_monotonic()) < deadline) {
        ssize_t got = recv(peer, text + length, REQUEST_BYTES - 1 - length, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        length += (size_t)got;
        text[length] = '\0';
        if (strstr(text, "\r\n\r\n")) return true;
    }
    return false;
}

static void serve_peer(const mr_metrics_server *self, int peer)
{
    static const char not_found[] = "only GET /metrics is here\n", failed[] = "out of memory\n";
    const struct timeval patience = { .tv_sec = PEER_SECONDS };
    char head[REQUEST_BYTES];
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!read_head(peer, head)) return;
    if (strncmp(head, "GET /metrics ", strlen("GET /metrics ")) != 0) {
        respond(peer, "404 Not Found", not_found, sizeof not_found - 1);
        return;
    }
    mr_buf body = { 0 };
    if (mr_pools_format_metrics(self->pools, &body, NULL) == MR_OK) respond(peer, "200 OK", body.data, body.length);
    else respond(peer, "500 Internal Server Error", failed, sizeof failed - 1);
    mr_buf_fini(&body);
}

/* ---------------------------------------------------------------- the thread */

static void *server_main(void *argument)
{
    mr_metrics_server *self = argument;
    struct pollfd files[] = { { self->listener, POLLIN, 0 }, { self->stop_fd, POLLIN, 0 } };
    for (;;) {
        if (poll(files, 2, -1) < 0 && errno != EINTR) return NULL; /* ended by stop at the latest */
        if (files[1].revents & POLLIN) return NULL;
        if (!(files[0].revents & POLLIN)) continue;
        int peer = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0) continue;
        serve_peer(self, peer);
        close(peer);
    }
}

/* "9464", "host:9464", "[::1]:9464". */
static bool split_address(const char *address, char host[64], const char **port)
{
    const char *colon = strrchr(address, ':');
    *port = colon ? colon + 1 : address;
    const char *start = colon ? address : "127.0.0.1";
    size_t length = colon ? (size_t)(colon - address) : strlen(start);
    if (length >= 2 && start[0] == '[' && start[length - 1] == ']') {
        start++;
        length -= 2;
    }
    if (length == 0 || length >= 64 || **port == '\0' || strspn(*port, "0123456789") != strlen(*port) || strtoul(*port, NULL, 10) > 65535) return false;
    memcpy(host, start, length);
    host[length] = '\0';
    return true;
}

static mr_status listen_on(mr_metrics_server *self, const char *address, mr_error *error)
{
    char host[64];
    const char *port;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
    struct addrinfo *found = NULL;
    if (!split_address(address, host, &port) || getaddrinfo(host, port, &hints, &found) != 0)
        return mr_error_set(error, MR_CONFIG, "metrics address \"%s\": write a port (9464) or a numeric host and a port (0.0.0.0:9464)", address);
    int one = 1;
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    self->listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listening = self->listener >= 0 && setsockopt(self->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                     bind(self->listener, found->ai_addr, found->ai_addrlen) == 0 && listen(self->listener, 4) == 0 &&
                     getsockname(self->listener, (struct sockaddr *)&bound, &length) == 0;
    int saved = errno;
    freeaddrinfo(found);
    if (!listening) return mr_error_errno(error, saved, "metrics address %s", address);
    self->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    return MR_OK;
}

static void release(mr_metrics_server *self)
{
    if (self->listener >= 0) close(self->listener);
    if (self->stop_fd >= 0) close(self->stop_fd);
    free(self);
}

mr_status mr_metrics_server_start(mr_pools *pools, const char *address, mr_metrics_server **out, mr_error *error)
{
    mr_metrics_server *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the metrics server");
    *self = (mr_metrics_server){ .pools = pools, .listener = -1, .stop_fd = -1 };
    mr_status status = listen_on(self, address, error);
    if (status == MR_OK && (self->stop_fd = eventfd(0, EFD_CLOEXEC)) < 0) status = mr_error_errno(error, errno, "metrics server");
    if (status == MR_OK) {
        int failed = pthread_create(&self->thread, NULL, server_main, self);
        if (failed) status = mr_error_errno(error, failed, "cannot start the metrics server");
    }
    if (status != MR_OK) {
        release(self);
        return status;
    }
    *out = self;
    return MR_OK;
}

void mr_metrics_server_stop(mr_metrics_server *self)
{
    if (!self) return;
    uint64_t one = 1;
    while (write(self->stop_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    pthread_join(self->thread, NULL);
    release(self);
}

unsigned mr_metrics_server_port(const mr_metrics_server *self) { return self->port; }
