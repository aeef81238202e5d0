#include "producer/progress.h"

#include <stdio.h>

enum { LINE_BYTES_MAX = PRODUCER_COUNTS_BYTES_MAX + 64 };

static uint64_t verdicts(const struct outbox_counts *counts)
{
    return counts->accepted + counts->refused + counts->forgotten;
}

void progress_tick(struct progress *progress, const struct producer *producer, uint64_t now_ns)
{
    if (!progress_due(progress, now_ns))
        return;
    struct outbox_counts counts = producer_counts(producer);
    unsigned long long pending = producer_pending(producer);
    char text[PRODUCER_COUNTS_BYTES_MAX], line[LINE_BYTES_MAX], fields[LINE_BYTES_MAX];
    producer_counts_format(&counts, text);
    snprintf(line, sizeof line, "%s, %llu undecided", text, pending);
    snprintf(fields, sizeof fields, "accepted=%llu refused=%llu undecided=%llu",
             (unsigned long long)counts.accepted, (unsigned long long)counts.refused, pending);
    progress_say(progress, line, fields, verdicts(&counts), now_ns);
}

void progress_finish(struct progress *progress, const struct producer *producer, const char *extra,
                     uint64_t now_ns)
{
    struct outbox_counts counts = producer_counts(producer);
    char text[PRODUCER_COUNTS_BYTES_MAX];
    producer_counts_format(&counts, text);
    progress_break(progress);
    printf("%s%s, %llu/s\n", text, extra,
           (unsigned long long)progress_rate(progress, verdicts(&counts), now_ns));
    fflush(stdout);
}
