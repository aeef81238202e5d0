/* retention_rule: which segments of the log may go. Pure; reading and removing: retention.h.
 *
 * What lies below segment i may go if
 *
 *   - a snapshot that may be begun from stands at its beginning
 *   - the limits ask for it: from i on there are still `bytes`, or all below is older than `for_ns`
 *   - nobody needs it: no window, now or when the log is folded again, reaches below i
 *
 * Times are those of the log. What was dropped is not later than the first batch that is kept, so
 * a window (t − length, t] lacks nothing where that first time ≤ t − length.
 */
#ifndef WEIR_PROCESSOR_RETENTION_RULE_H
#define WEIR_PROCESSOR_RETENTION_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct retention_options {
    uint64_t bytes;  /* 0: no limit */
    uint64_t for_ns; /* 0: no limit */
};

static inline bool retention_is_on(const struct retention_options *options)
{
    return options->bytes > 0 || options->for_ns > 0;
}

struct retention_segment {
    uint64_t bytes;
    uint64_t first_time_ns; /* of its first batch; set where has_snapshot is */
    bool has_snapshot;      /* at its beginning, and a newer one exists */
};

/* The time from which on a window that ends at `now_ns` looks at events. */
static inline uint64_t retention_window_from(uint64_t now_ns, uint64_t window_ns)
{
    return now_ns >= window_ns ? now_ns - window_ns + 1 : 0;
}

/* The index of the first segment to keep; 0: all stay. `segments` are ascending in number and time;
 * what is not earlier than needed_from_ns is needed. */
size_t retention_choose(const struct retention_options *options,
                        const struct retention_segment *segments, size_t count, uint64_t now_ns,
                        uint64_t needed_from_ns);

#endif
