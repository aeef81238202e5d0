/* samples: what a projector saw of itself and the processor, once a second, for the last ten
 * minutes: what the dashboard draws. Pure: the clock is the caller's. Not thread-safe.
 */
#ifndef WEIR_PROJECTOR_HTTP_SAMPLES_H
#define WEIR_PROJECTOR_HTTP_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/event/reason.h"

enum { SAMPLES_MAX = 600 };

struct sample {
    uint64_t number;   /* 1, 2, 3, … */
    uint64_t time_ns;  /* wall clock */
    uint64_t event_id; /* where this projector's views stand */
    uint64_t lag;      /* events that the processor has and the views do not */
    double accepted_per_s;
    double refused_per_s[REASON_COUNT];
    uint64_t p50_ns, p99_ns; /* accepted → seen, of this second's events; 0: there were none */
    bool processor_up;       /* false: rates are not known */
};

struct samples {
    struct sample items[SAMPLES_MAX]; /* number % SAMPLES_MAX is the place */
    uint64_t last_number;             /* 0: none yet */
};

/* Adds the sample under the next number; the oldest goes when there are SAMPLES_MAX. */
void samples_add(struct samples *samples, struct sample sample);
/* The newest; all zero if there is none. */
struct sample samples_last(const struct samples *samples);
/* Appends {"samples": [ … ]}: those with a number above `after`, oldest first. */
void samples_write(const struct samples *samples, uint64_t after, struct buffer *text);

#endif
