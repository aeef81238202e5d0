#include "producer/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/logger.h"

#define TERMINAL_INTERVAL_NS (1 * NS_PER_S)
#define LOG_INTERVAL_NS      (5 * NS_PER_S)

void progress_start(struct progress *progress, uint64_t now_ns)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    *progress = (struct progress){
        .started_ns = now_ns,
        .last_ns = now_ns,
        .next_ns = now_ns + (terminal ? TERMINAL_INTERVAL_NS : LOG_INTERVAL_NS),
        .terminal = terminal,
    };
}

static uint64_t per_second(uint64_t count, uint64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (uint64_t)((double)count * (double)NS_PER_S / (double)elapsed_ns) : 0;
}

static uint64_t verdicts(const struct outbox_counts *counts)
{
    return counts->accepted + counts->refused + counts->forgotten;
}

void progress_tick(struct progress *progress, const struct producer *producer, uint64_t now_ns)
{
    if (now_ns < progress->next_ns)
        return;
    struct outbox_counts counts = producer_counts(producer);
    char text[PRODUCER_COUNTS_BYTES_MAX];
    producer_counts_format(&counts, text);
    unsigned long long rate =
        per_second(verdicts(&counts) - progress->last_count, now_ns - progress->last_ns);
    unsigned long long pending = producer_pending(producer);
    if (progress->terminal) {
        fprintf(stderr, "\r\033[K%s, %llu undecided, %llu/s", text, pending, rate);
        progress->line_open = true;
    } else {
        log_info("progress", "accepted=%llu refused=%llu undecided=%llu per_second=%llu",
                 (unsigned long long)counts.accepted, (unsigned long long)counts.refused, pending,
                 rate);
    }
    progress->last_ns = now_ns;
    progress->last_count = verdicts(&counts);
    progress->next_ns = now_ns + (progress->terminal ? TERMINAL_INTERVAL_NS : LOG_INTERVAL_NS);
}

void progress_break(struct progress *progress)
{
    if (progress->line_open)
        fputc('\n', stderr);
    progress->line_open = false;
}

void progress_finish(struct progress *progress, const struct producer *producer, const char *extra,
                     uint64_t now_ns)
{
    struct outbox_counts counts = producer_counts(producer);
    char text[PRODUCER_COUNTS_BYTES_MAX];
    producer_counts_format(&counts, text);
    progress_break(progress);
    printf("%s%s, %llu/s\n", text, extra,
           (unsigned long long)per_second(verdicts(&counts), now_ns - progress->started_ns));
    fflush(stdout);
}
