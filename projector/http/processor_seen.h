/* processor_seen: what the processor behind a projector said of itself last (the reply to
 * `status`), and what follows from two such replies: how fast it accepts and refuses, and how its
 * log time stands to the clock here. Pure: the clock is the caller's. Not thread-safe.
 */
#ifndef WEIR_PROJECTOR_HTTP_PROCESSOR_SEEN_H
#define WEIR_PROJECTOR_HTTP_PROCESSOR_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/event/reason.h"

#define PROCESSOR_UP_NS (3 * NS_PER_S) /* without an answer so long it counts as away */

enum { PROCESSOR_STATUS_BYTES_MAX = 256 * 1024 };

struct processor_seen {
    struct buffer status;  /* the map's MessagePack; empty: nothing yet */
    uint64_t at_ns;        /* CLOCK_BOOTTIME of the reply */
    uint64_t asked_at_ns;  /* CLOCK_BOOTTIME; set it when asking */
    int64_t log_offset_ns; /* log time − CLOCK_BOOTTIME here */
    uint64_t accepted, refused[REASON_COUNT];
    uint64_t counted_at_ns; /* when it counted those, in its CLOCK_BOOTTIME; 0: not yet */
    double accepted_per_s, refused_per_s[REASON_COUNT];
};

void processor_seen_init(struct processor_seen *seen);
void processor_seen_fini(struct processor_seen *seen);

/* Takes in a reply to `status`; one that cannot be read changes nothing. `now_ns`: CLOCK_BOOTTIME.
 */
void processor_seen_take(struct processor_seen *seen, struct slice reply, uint64_t now_ns);

bool processor_seen_is_up(const struct processor_seen *seen, uint64_t now_ns);
/* 0: not known yet. */
uint64_t processor_seen_last_rejection_id(const struct processor_seen *seen);

#endif
