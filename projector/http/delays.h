/* delays: how long things took, such as events on their way or checkpoints, counted twice: in the
 * coarse buckets that Prometheus adds up for ever, and in fine ones for the percentiles of the
 * second that is going on.
 *
 * Fine buckets: 16 to each doubling from 1 µs on, so a percentile is at most 1/16 above a recorded
 * delay. One record stands for any number of events. Pure. Not thread-safe.
 */
#ifndef WEIR_PROJECTOR_HTTP_DELAYS_H
#define WEIR_PROJECTOR_HTTP_DELAYS_H

#include <stdint.h>

#include "common/base/buffer.h"

enum {
    DELAY_BOUNDS = 16,        /* 100 µs, 200 µs, 500 µs, … 10 s */
    DELAY_FINE_MAX = 28 * 16, /* up to 2^28 µs, four minutes */
};

struct delays {
    uint64_t counts[DELAY_BOUNDS + 1]; /* since the start; the last: above all bounds */
    uint64_t sum_ns;                   /* since the start */
    uint64_t fine[DELAY_FINE_MAX];     /* since delays_next_second */
    uint64_t fine_count;
};

/* `count` events took so long; a negative delay (clocks of two hosts) is 0 for the caller. */
void delays_record(struct delays *delays, uint64_t delay_ns, uint64_t count);
/* In ns; 0 where nothing was recorded in this second. `percent` 0 to 100. */
uint64_t delays_percentile(const struct delays *delays, double percent);
void delays_next_second(struct delays *delays);
/* Appends the histogram `name` in the text format of Prometheus, in seconds. */
void delays_write(const struct delays *delays, const char *name, const char *help,
                  struct buffer *text);

#endif
