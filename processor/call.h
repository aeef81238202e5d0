/* call: a request that the control thread cannot answer alone, on its way through the others.
 *
 *     hello       control → core → commit → control
 *     policy set  control → core ⇄ filler, until little is left to fill → core → commit → control
 *
 * On the heap, owned by whoever holds it; queues and batches hand it on. It comes back to control
 * when what it did is durable, or at once with the reason why nothing was done.
 */
#ifndef WEIR_PROCESSOR_CALL_H
#define WEIR_PROCESSOR_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/policy/policy.h"
#include "common/wire/envelope.h"
#include "processor/core/window_fill.h"

/* What a hello asks and is told. */
struct hello {
    char source[EVENT_SOURCE_BYTES_MAX];
    uint32_t source_size; /* bytes */
    uint64_t epoch;
    uint64_t last_sequence;
};

/* Other policies, and how far their windows are filled from the log. */
struct change {
    struct policy_set *policies; /* owned */
    struct window_fill *fill;    /* owned; NULL until the core made it. Afterwards it holds what was
                                    in force before */
    uint64_t began_ns;           /* log time; the change is made then or later */
    uint64_t next_id;            /* the event that the filler reads next; 0: it has not begun */
    uint64_t durable_id;         /* the filler waits until this event is durable */
    uint32_t laps;               /* of the filler so far */
    bool paused;                 /* the core accepts nothing until this lap is done */
    uint64_t paused_at_ns;       /* CLOCK_BOOTTIME */
    uint64_t paused_ns;          /* how long it did not */
    uint64_t event_id;           /* of the change */
};

enum call_kind { CALL_HELLO, CALL_POLICY_SET };

struct call {
    enum call_kind kind;
    struct envelope envelope; /* whom to answer */
    enum status status;       /* the answer */
    struct detail detail;     /* where status is not OK */
    union {
        struct hello hello;
        struct change change;
    };
};

/* NULL when out of memory. */
struct call *call_new(enum call_kind kind, const struct envelope *envelope);
void call_destroy(struct call **call);

#endif
