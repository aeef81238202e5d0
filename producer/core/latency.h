/* latency: how long each event of one source took, stage by stage. Pure.
 *
 *     due ─send→ handed in ─decide→ decided ─sync→ durable ─deliver→ seen
 *      ├──────────────────────── end to end ───────────────────────────┤
 *      └───────────── acknowledge: until its verdict came back ──→
 *
 * Everything counts from when the event was due, not from when it was sent: when the pipeline
 * stalls, the events that should have come meanwhile have waited too (no coordinated omission).
 * The five moments of one event never run backwards: decided and durable are moments of whole
 * batches, so one that lies before the event was handed in counts as that moment.
 *
 * Times are ns of the caller's clock, sequences those of the source. It remembers the newest
 * LATENCY_EVENTS_MAX events; of an older one nothing more is recorded. Not thread-safe.
 */
#ifndef WEIR_PRODUCER_CORE_LATENCY_H
#define WEIR_PRODUCER_CORE_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/histogram.h"

/* Name, from, to. */
#define LATENCY_STAGE_TABLE(X)                                                                     \
    X(SEND, "send", "due", "handed_in")                                                            \
    X(DECIDE, "decide", "handed_in", "decided")                                                    \
    X(SYNC, "sync", "decided", "durable")                                                          \
    X(DELIVER, "deliver", "durable", "seen")                                                       \
    X(END_TO_END, "end_to_end", "due", "seen")                                                     \
    X(ACKNOWLEDGE, "acknowledge", "due", "acknowledged")

enum latency_stage {
#define X(name, text, from, to) LATENCY_##name,
    LATENCY_STAGE_TABLE(X)
#undef X
};
enum {
    LATENCY_STAGE_COUNT = LATENCY_ACKNOWLEDGE + 1,
    LATENCY_EVENTS_MAX = 128 * 1024, /* twice what an outbox holds */
};
struct latency_stage_text {
    const char *name, *from, *to;
};
struct latency_stage_text latency_stage_text(enum latency_stage stage);

struct latency; /* opaque */

/* `last_sequence`: the newest one before the first event. */
MUST_USE enum status latency_new(uint64_t last_sequence, struct latency **ret_latency);
void latency_destroy(struct latency **latency);

/* The next event in sequence was handed in. */
void latency_handed_in(struct latency *latency, uint64_t due_ns, uint64_t handed_in_ns);

/* What happened to a batch. */
struct latency_batch {
    uint64_t decided_ns;
    uint64_t durable_ns;
    uint64_t seen_ns;
    bool has_log_times; /* false: decided and durable are on a clock that cannot be compared; only
                           the time between them is known */
};
/* An accepted event was seen; sequences seen before, or not handed in, do not count again. */
void latency_seen(struct latency *latency, uint64_t sequence, const struct latency_batch *batch);
/* All sequences up to this one have their verdict. */
void latency_acknowledged(struct latency *latency, uint64_t sequence, uint64_t now_ns);

uint64_t latency_seen_count(const struct latency *latency);
const struct histogram *latency_histogram(const struct latency *latency, enum latency_stage stage);

#endif
