/* bench_log: what the log takes and gives back.
 *
 *     bench_log [FOLDER [MEGABYTES]]        default: /tmp, 1,024
 *
 * For groups of several sizes, each one batch: MB/s and the time of log_append (median, 99 %,
 * worst) within  the room that is already zero-filled, the other thread idle (the best case) ahead
 * at a steady 100 MB/s, which the thread that zero-fills keeps up with full    as fast as it goes:
 * each new segment is zero-filled meanwhile then MB/s of opening (all checks) and of replay. A raw
 * write of the same size with fdatasync, into a zero-filled file and into a growing one, stands
 * beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "processor/store/reader.h"
#include "processor/store/source_record.h"

enum {
    SAMPLES_MAX = 1 << 20,
    RECORD_BYTES = 160,
    STEADY_BYTES_PER_S = 100 * 1000 * 1000,
    WITHIN_BYTES = 48 * 1024 * 1024,
};

static uint64_t samples_ns[SAMPLES_MAX];
static uint8_t records[BATCH_BYTES_MAX];

static void stop(const char *what, const struct detail *detail)
{
    fprintf(stderr, "bench_log: %s: %s\n", what, detail == NULL ? strerror(errno) : detail->text);
    exit(1);
}

static int compare_samples(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *what, size_t group, uint64_t bytes, uint64_t elapsed_ns,
                       size_t count)
{
    qsort(samples_ns, count, sizeof *samples_ns, compare_samples);
    printf("%-16s %5zu KiB  %8.1f MB/s  p50 %7.0f us  p99 %7.0f us  max %7.0f us\n", what,
           group / 1024, (double)bytes * 1e3 / (double)elapsed_ns,
           (double)samples_ns[count / 2] / 1e3, (double)samples_ns[count * 99 / 100] / 1e3,
           (double)samples_ns[count - 1] / 1e3);
    (void)fflush(stdout);
}

/* One accepted record of RECORD_BYTES after another. */
static void make_records(void)
{
    uint8_t *at = records;
    while (at + RECORD_BYTES <= records + sizeof records) {
        *at++ = 0xc5; /* bin 16: any whole item will do for mp_skip */
        *at++ = 0;
        *at++ = RECORD_BYTES - 3;
        memset(at, 'x', RECORD_BYTES - 3);
        at += RECORD_BYTES - 3;
    }
}

static enum status count_batch(void *context, const struct batch_view *batch,
                               struct detail *ret_detail)
{
    uint64_t *bytes = context;
    (void)ret_detail;
    *bytes += batch->accepted.size;
    return STATUS_OK;
}

static struct log *open_store(const char *store, uint64_t *ret_bytes)
{
    static const uint8_t genesis[] = {0xc0};
    const struct log_options options = {.directory = store, .genesis = {genesis, 1}};
    struct detail detail;
    struct detail warning;
    struct log *log = NULL;
    if (log_open(&options, count_batch, ret_bytes, &log, &warning, &detail) != STATUS_OK)
        stop("open", &detail);
    return log;
}

static struct batch_view next_batch(const struct log *log, size_t bytes)
{
    const struct durable durable = log_durable(log);
    const uint32_t count = (uint32_t)(bytes / RECORD_BYTES);
    return (struct batch_view){.header = {.kind = BATCH_ORDINARY,
                                          .number = durable.last_batch + 1,
                                          .first_event_id = durable.last_event_id + 1,
                                          .first_rejection_id = 1,
                                          .event_count = count,
                                          .first_time_ns = 1,
                                          .last_time_ns = 1},
                               .accepted = {records, (size_t)count * RECORD_BYTES}};
}

static void wait_for_spare(const struct log *log)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    while (log_room(log).batches < SEGMENT_BYTES / BATCH_BYTES_MAX)
        (void)nanosleep(&pause, NULL);
}

/* Appends until `bytes` are written, at bytes_per_s (0: as fast as it goes). */
static void append(const char *what, struct log *log, size_t group, uint64_t bytes,
                   uint64_t bytes_per_s)
{
    const uint64_t start_ns = clock_boot_ns();
    uint64_t written = 0;
    size_t count = 0;
    while (written < bytes && count < SAMPLES_MAX) {
        struct detail detail;
        const struct batch_view batch = next_batch(log, group);
        const uint64_t due_ns =
            start_ns + (bytes_per_s == 0 ? 0 : written * NS_PER_S / bytes_per_s);
        uint64_t now_ns = clock_boot_ns();
        if (now_ns < due_ns) {
            const struct timespec pause = {.tv_nsec = (long)(due_ns - now_ns)};
            (void)nanosleep(&pause, NULL);
            now_ns = clock_boot_ns();
        }
        if (log_append(log, &batch, 1, &detail) != STATUS_OK)
            stop("append", &detail);
        samples_ns[count++] = clock_boot_ns() - now_ns;
        written += batch.accepted.size;
    }
    print_line(what, group, written, clock_boot_ns() - start_ns, count);
}

static void bench_append(const char *store, size_t group, uint64_t bytes)
{
    uint64_t ignored = 0;
    struct log *log = open_store(store, &ignored);
    wait_for_spare(log);
    append("log, within", log, group, WITHIN_BYTES, 0);
    wait_for_spare(log);
    append("log, ahead", log, group, bytes / 4, STEADY_BYTES_PER_S);
    wait_for_spare(log);
    append("log, full", log, group, bytes, 0);
    log_close(&log);
}

/* The same without the log: write and fdatasync. */
static void bench_raw(const char *folder, size_t group, bool zeroed)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/raw", folder);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    static const uint8_t zeros[1024 * 1024];
    for (int i = 0; zeroed && i < WITHIN_BYTES / (int)sizeof zeros; i++)
        if (write(fd, zeros, sizeof zeros) < 0)
            stop("raw", NULL);
    (void)fdatasync(fd);
    const uint64_t start_ns = clock_boot_ns();
    uint64_t written = 0;
    size_t count = 0;
    for (; written + group <= WITHIN_BYTES; written += group) {
        const uint64_t now_ns = clock_boot_ns();
        if (pwrite(fd, records, group, (off_t)written) < 0 || fdatasync(fd) != 0)
            stop("raw", NULL);
        samples_ns[count++] = clock_boot_ns() - now_ns;
    }
    print_line(zeroed ? "raw, zeroed" : "raw, growing", group, written, clock_boot_ns() - start_ns,
               count);
    (void)close(fd);
    (void)unlink(path);
}

static void bench_read(const char *store)
{
    uint64_t bytes = 0;
    uint64_t start_ns = clock_boot_ns();
    struct log *log = open_store(store, &bytes);
    uint64_t elapsed_ns = clock_boot_ns() - start_ns;
    printf("open             %8.1f MB/s over %.0f MB\n", (double)bytes * 1e3 / (double)elapsed_ns,
           (double)bytes / 1e6);
    const struct durable durable = log_durable(log);
    struct reader *reader = NULL;
    struct buffer body;
    struct detail detail;
    if (reader_new(store, &reader, &detail) != STATUS_OK)
        stop("reader", &detail);
    buffer_init(&body, 2 * REPLAY_BODY_BYTES_MAX);
    bytes = 0;
    start_ns = clock_boot_ns();
    for (uint64_t next = 1; next <= durable.last_event_id;) {
        struct replay_reply reply;
        buffer_clear(&body);
        if (reader_replay(reader, &durable, STREAM_ACCEPTED, next, UINT32_MAX, &body, &reply,
                          &detail) != STATUS_OK)
            stop("replay", &detail);
        next += reply.count;
        bytes += body.size;
    }
    elapsed_ns = clock_boot_ns() - start_ns;
    printf("replay           %8.1f MB/s, %.1f M records/s\n",
           (double)bytes * 1e3 / (double)elapsed_ns,
           (double)durable.last_event_id * 1e3 / (double)elapsed_ns);
    buffer_fini(&body);
    reader_destroy(&reader);
    log_close(&log);
}

int main(int argc, char **argv)
{
    static const size_t groups[] = {4 * 1024, 64 * 1024, 512 * 1024, 1024 * 1024};
    const char *folder = argc > 1 ? argv[1] : "/tmp";
    const uint64_t bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) * 1000000;
    struct utsname machine;
    (void)uname(&machine);
    printf("%s %s, %ld processors, %s\n", machine.sysname, machine.release,
           sysconf(_SC_NPROCESSORS_ONLN), folder);
    make_records();
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        char store[4096];
        char command[4200];
        (void)snprintf(store, sizeof store, "%s/bench-log-XXXXXX", folder);
        if (mkdtemp(store) == NULL)
            stop(folder, NULL);
        bench_raw(store, groups[i], true);
        bench_raw(store, groups[i], false);
        bench_append(store, groups[i], i == 0 ? bytes / 8 : bytes);
        bench_read(store);
        (void)snprintf(command, sizeof command, "rm -r '%s'", store);
        if (system(command) != 0)
            stop(command, NULL);
    }
    return 0;
}
