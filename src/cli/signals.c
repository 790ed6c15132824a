#include "cli/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct mr_signals {
    mr_signal_received *received;
    void *context;
    int signal_fd;
    int stop_fd;
    sigset_t old_mask;
    pthread_t thread;
};

static void *signals_main(void *argument)
{
    mr_signals *self = argument;
    unsigned count = 0;
    struct pollfd files[] = { { self->signal_fd, POLLIN, 0 }, { self->stop_fd, POLLIN, 0 } };
    while (!(files[1].revents & POLLIN)) {
        if (poll(files, 2, -1) < 0 && errno != EINTR) break; /* ended by stop at the latest */
        struct signalfd_siginfo info;
        if ((files[0].revents & POLLIN) && read(self->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
            self->received(self->context, (int)info.ssi_signo, ++count);
    }
    return NULL;
}

static void release(mr_signals *self)
{
    if (self->signal_fd >= 0) close(self->signal_fd);
    if (self->stop_fd >= 0) close(self->stop_fd);
    pthread_sigmask(SIG_SETMASK, &self->old_mask, NULL);
    free(self);
}

mr_status mr_signals_start(mr_signal_received *received, void *context, mr_signals **out, mr_error *error)
{
    mr_signals *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the signal thread");
    *self = (mr_signals){ .received = received, .context = context };
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mask, &self->old_mask);
    self->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    self->stop_fd = eventfd(0, EFD_CLOEXEC);
    int failed = self->signal_fd < 0 || self->stop_fd < 0 ? errno : pthread_create(&self->thread, NULL, signals_main, self);
    if (failed) {
        release(self);
        return mr_error_errno(error, failed, "cannot start the signal thread");
    }
    *out = self;
    return MR_OK;
}

void mr_signals_stop(mr_signals *self)
{
    if (!self) return;
    uint64_t one = 1;
    while (write(self->stop_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    pthread_join(self->thread, NULL);
    release(self);
}
