#include "common/base/background.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
    NICE = 19,
    REST_FACTOR = 19, /* times as long as it had to wait */
    STATISTICS_BYTES_MAX = 64,
};
#define SESSION_NICE  "10"
#define LOOK_EVERY_NS (2 * NS_PER_MS)
#define REST_MAX_NS   (1 * NS_PER_S) /* after which what has come in is looked at again */

/* How long the thread was ready without a processor. The kernel's three numbers: ns on a processor,
 * ns ready, time slices (https://docs.kernel.org/scheduler/sched-stats.html). */
static uint64_t waited_ns(const struct background *background)
{
    char text[STATISTICS_BYTES_MAX];
    uint64_t ran_ns, ready_ns;
    ssize_t size = pread(background->statistics, text, sizeof text - 1, 0);
    if (size <= 0)
        return background->waited_ns;
    text[size] = '\0';
    return sscanf(text, "%" SCNu64 " %" SCNu64, &ran_ns, &ready_ns) == 2 ? ready_ns
                                                                         : background->waited_ns;
}

void background_begin(struct background *background)
{
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* on Linux: of this thread */
    background->statistics = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    background->looked_ns = clock_boot_ns();
    background->waited_ns = 0;
    background->waited_ns = waited_ns(background);
}

void background_begin_session(void)
{
    if (getsid(0) != getpid())
        return; /* others would be held back as well */
    const int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* a kernel without */
    (void)!write(fd, SESSION_NICE, sizeof SESSION_NICE - 1);
    (void)close(fd);
}

void background_end(struct background *background)
{
    if (background->statistics >= 0)
        (void)close(background->statistics);
    background->statistics = -1;
}

uint64_t background_rest_ns(struct background *background, uint64_t now_ns)
{
    if (background->statistics < 0 || now_ns < background->looked_ns + LOOK_EVERY_NS)
        return 0;
    uint64_t waited_before_ns = background->waited_ns;
    background->waited_ns = waited_ns(background);
    uint64_t rest_ns = REST_FACTOR * (background->waited_ns - waited_before_ns);
    if (rest_ns > REST_MAX_NS)
        rest_ns = REST_MAX_NS;
    background->looked_ns = now_ns + rest_ns; /* there is some work between two rests */
    return rest_ns;
}
