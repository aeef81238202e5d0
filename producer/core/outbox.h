/* outbox: what one source has handed in and the processor has not yet acknowledged. Pure.
 *
 * Events are written straight into the open submission; a sealed submission is sent, kept, and sent
 * again from wherever an ack says something was lost, until every sequence in it has a verdict.
 *
 *     acknowledged │ sealed, sent │ sealed, to be sent │ open
 *                  A+1            cursor               next sequence
 *
 * Not here: sockets, clocks, hello. Time and the seed of the jitter are arguments. Not thread-safe.
 * Invariants: the submissions held cover acknowledged + 1 … last sealed sequence without a hole;
 * at most events_max events and about bytes_max bytes are held.
 */
#ifndef WEIR_PRODUCER_CORE_OUTBOX_H
#define WEIR_PRODUCER_CORE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/feed.h"

enum {
    OUTBOX_EVENTS_MAX = 65536, /* as many verdicts as the processor remembers per source */
    OUTBOX_BYTES_MAX = 32 * 1024 * 1024,
};
/* Nothing heard for this long: send again from the first unacknowledged; doubles each time. Before
 * the first verdict it is short: a subscription that reaches the processor after the first event
 * misses its ack. */
#define OUTBOX_QUIET_NS_FIRST 100000000ULL
#define OUTBOX_QUIET_NS_MIN   250000000ULL
#define OUTBOX_QUIET_NS_MAX   5000000000ULL
#define OUTBOX_NEVER          UINT64_MAX

struct outbox; /* opaque */

struct outbox_options {
    struct slice source;    /* copied */
    struct log_id log_id;   /* as hello said */
    uint64_t epoch;         /* as hello said */
    uint64_t last_sequence; /* as hello said: the first event gets the one after it */
    uint64_t seed;          /* of the timer's jitter */
    uint32_t events_max;    /* 1 … OUTBOX_EVENTS_MAX */
    size_t bytes_max;       /* ≤ OUTBOX_BYTES_MAX */
};

/* Verdicts heard so far. */
struct outbox_counts {
    uint64_t accepted;
    uint64_t refused; /* sum of the next two */
    uint64_t refused_by[REASON_COUNT];
    uint64_t refused_unknown_reason; /* an answer to a resend need not repeat the reason */
    uint64_t forgotten;              /* decided, verdict no longer known to the processor */
    uint64_t resends;                /* submissions sent again */
};

MUST_USE enum status outbox_new(const struct outbox_options *options, struct outbox **ret_outbox);
void outbox_destroy(struct outbox **outbox);

/* Room for more events now, in events. */
uint32_t outbox_room(const struct outbox *outbox);
/* Makes room for `bytes` (≤ SUBMISSION_BYTES_MAX − header) behind the open submission, sealing it
 * first if it would grow too large. The caller writes whole events from *ret_at on, then calls
 * outbox_added. STATUS_FULL until acks come; STATUS_NO_MEMORY. */
MUST_USE enum status outbox_reserve(struct outbox *outbox, size_t bytes, uint8_t **ret_at);
/* `events` ≤ outbox_room whole events were written, the last one ends before `end`. */
void outbox_added(struct outbox *outbox, const uint8_t *end, uint32_t events);
/* Closes the open submission, if it has events, so that it is sent. */
void outbox_seal(struct outbox *outbox);
/* Bytes of events in the open submission. */
size_t outbox_open_bytes(const struct outbox *outbox);

/* The next submission to push, valid until the next call that changes the outbox; false: none. */
bool outbox_next_to_send(const struct outbox *outbox, struct slice *ret_submission);
/* That submission was handed to the socket. */
void outbox_sent(struct outbox *outbox, uint64_t now_ns);

enum outbox_result {
    OUTBOX_IGNORED,     /* not for us, stale, or nothing new */
    OUTBOX_ADVANCED,    /* verdicts were counted, memory was freed */
    OUTBOX_RESEND,      /* something was lost: outbox_next_to_send went back */
    OUTBOX_FENCED,      /* another holder of the source took over: stop */
    OUTBOX_FOREIGN_LOG, /* the processor now keeps another log: stop, never renumber */
};
/* Takes one ack of any source. */
enum outbox_result outbox_ack(struct outbox *outbox, const struct ack *ack, uint64_t now_ns);

/* Goes back to the first unacknowledged sequence if it has been quiet for too long; true if so. */
bool outbox_timer(struct outbox *outbox, uint64_t now_ns);
/* When outbox_timer will have something to do, ns of the caller's clock; OUTBOX_NEVER: nothing. */
uint64_t outbox_deadline_ns(const struct outbox *outbox);

struct slice outbox_source(const struct outbox *outbox);
/* The newest sequence with a verdict. */
uint64_t outbox_acknowledged(const struct outbox *outbox);
/* The sequence that the next event will get. */
uint64_t outbox_next_sequence(const struct outbox *outbox);
/* Events without a verdict, the open submission's included. */
uint64_t outbox_pending(const struct outbox *outbox);
/* Bytes held, the open submission's included. */
size_t outbox_bytes(const struct outbox *outbox);
const struct outbox_counts *outbox_counts(const struct outbox *outbox);

#endif
