/* fake_clock: a wall clock that a test sets, for a program that it starts with LD_PRELOAD. The file
 * named by WEIR_FAKE_CLOCK holds eight bytes, the offset in ns (int64, native order), and may be
 * written at any time. Only CLOCK_REALTIME is moved. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static const volatile int64_t *offset_ns;

/* Without the file the clock would be the true one and the test would show nothing. */
__attribute__((constructor)) static void fake_clock_open(void)
{
    const char *path = getenv("WEIR_FAKE_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        abort();
    close(fd);
    offset_ns = map;
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (syscall(SYS_clock_gettime, clock, ret_time) != 0)
        return -1;
    if (clock != CLOCK_REALTIME || offset_ns == NULL)
        return 0;
    int64_t now_ns = ret_time->tv_sec * SECOND_NS + ret_time->tv_nsec + *offset_ns;
    ret_time->tv_sec = now_ns / SECOND_NS;
    ret_time->tv_nsec = now_ns % SECOND_NS;
    return 0;
}
