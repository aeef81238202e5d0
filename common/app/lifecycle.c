#include "common/app/lifecycle.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Poll loops watch one descriptor, an epoll of two: the signals, and an event that is raised once
 * and never read, so that the descriptor stays readable after the signal was taken. */
static struct {
    int signals;
    int raised;
    int either; /* −1 before the start */
} descriptors = {-1, -1, -1};

static atomic_bool stopping;

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

static int watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

enum status lifecycle_start(struct detail *ret_detail)
{
    assert(descriptors.either < 0);
    sigset_t set = stop_signals();
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot set up the signals");
    descriptors.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    descriptors.raised = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    descriptors.either = epoll_create1(EPOLL_CLOEXEC);
    if (descriptors.signals < 0 || descriptors.raised < 0 || descriptors.either < 0 ||
        watch(descriptors.either, descriptors.signals) != 0 ||
        watch(descriptors.either, descriptors.raised) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot watch for signals: %s", strerror(errno));
    return STATUS_OK;
}

int lifecycle_fd(void)
{
    return descriptors.either;
}

/* From now on a signal does what it does to any program: it ends the process at once. */
static void stop_blocking_in_this_thread(void)
{
    static _Thread_local bool done;
    if (done)
        return;
    done = true;
    sigset_t set = stop_signals();
    signal(SIGINT, SIG_DFL); /* it may have come ignored from a shell's background */
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool lifecycle_stopping(void)
{
    struct signalfd_siginfo info;
    if (!atomic_load(&stopping)) {
        if (read(descriptors.signals, &info, sizeof info) != (ssize_t)sizeof info)
            return false;
        lifecycle_stop();
    }
    stop_blocking_in_this_thread();
    return true;
}

void lifecycle_stop(void)
{
    atomic_store(&stopping, true);
    uint64_t one = 1;
    /* It can fail only when it is raised already. */
    if (write(descriptors.raised, &one, sizeof one) < 0)
        return;
}

int lifecycle_fail(const char *program, enum status status, const struct detail *detail)
{
    bool said = detail != NULL && detail->text[0] != '\0';
    fprintf(stderr, "%s: %s\n", program, said ? detail->text : status_text(status));
    return (int)status_exit_code(status);
}
