#include "producer/alarm.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/clock.h"

enum status alarm_open(int *ret_fd, struct detail *ret_detail)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return detail_set(ret_detail, STATUS_IO, "no timer to be had: %s", strerror(errno));
    *ret_fd = fd;
    return STATUS_OK;
}

void alarm_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void alarm_set(int fd, uint64_t at_ns)
{
    uint64_t not_off_ns = at_ns > 0 ? at_ns : 1; /* 0 would disarm it */
    struct itimerspec timer = {.it_value = {.tv_sec = (time_t)(not_off_ns / NS_PER_S),
                                            .tv_nsec = (long)(not_off_ns % NS_PER_S)}};
    int failed = timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, NULL);
    assert(failed == 0);
    (void)failed;
}
