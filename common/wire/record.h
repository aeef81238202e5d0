/* record: what the log keeps and the `events` socket publishes: one accepted event or one
 * rejection.
 *
 *     accepted  [event_id, accepted_at, source, sequence, event]
 *     rejected  [rejection_id, rejected_at, after_event_id, reason, detail, source, sequence,
 * count, type, subject, policy, key, retry_after, evidence]           nil where unknown
 *
 * The bytes in the log, in a replay and on the wire are the same bytes.
 */
#ifndef WEIR_COMMON_WIRE_RECORD_H
#define WEIR_COMMON_WIRE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/event/event.h"
#include "common/event/reason.h"
#include "common/wire/message.h"

enum {
    RECORD_ACCEPTED_OVERHEAD_BYTES_MAX = 1 + 9 + 9 + 2 + EVENT_SOURCE_BYTES_MAX + 9,
    RECORD_EVIDENCE_BYTES_MAX = 256, /* of what does not decode; what decodes is kept whole */
    RECORD_DETAIL_BYTES_MAX = 256,
    RECORD_POLICY_BYTES_MAX = 64,
    RECORD_REJECTION_OVERHEAD_BYTES_MAX = 2048, /* everything but evidence */
};

struct accepted_record {
    uint64_t event_id;
    uint64_t accepted_at_ns;
    struct slice source;
    uint64_t sequence; /* 0: unsequenced */
    struct event event;
};

/* Writes at `at`, where RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event.size bytes are free. */
uint8_t *accepted_record_put(uint8_t *at, uint64_t event_id, uint64_t accepted_at_ns,
                             struct slice source, uint64_t sequence, struct slice event);
/* Reads one record and moves past it; the bytes are under a checksum or from the processor, yet a
 * bad record is a status (MALFORMED, INVALID) and only `ret_record` is undefined then. */
MUST_USE enum status accepted_record_read(struct mp_reader *reader,
                                          struct accepted_record *ret_record);

#define RECORD_NEVER UINT64_MAX /* retry_after of what can never fit */

struct rejection {
    uint64_t rejection_id;
    uint64_t rejected_at_ns;
    uint64_t after_event_id;
    uint64_t sequence;       /* first of `count`; meaningful where has_sequence */
    uint64_t count;          /* ≥ 1 */
    uint64_t retry_after_ns; /* RECORD_NEVER: nil */
    struct slice detail;     /* text; size 0: nil */
    struct slice source;     /* size 0: nil */
    struct slice type;       /* size 0: nil */
    struct slice subject;    /* size 0: nil */
    struct slice policy;     /* size 0: nil */
    struct slice key;        /* one MessagePack item; size 0: nil */
    struct slice evidence;   /* see evidence_is_event; size 0: nil */
    enum reason reason;
    bool has_sequence;      /* false: nil; with count > 1 then a summary */
    bool evidence_is_event; /* it passed event_read: written as it stands; else as a bin, cut to
                               RECORD_EVIDENCE_BYTES_MAX */
};

/* Appends; at most RECORD_REJECTION_OVERHEAD_BYTES_MAX + evidence. Cuts `detail` to its limit at a
 * character's edge; a text that is not UTF-8 becomes nil, so that strict readers can go on. */
void rejection_write(struct buffer *buffer, const struct rejection *rejection);
/* Reads one record and moves past it; slices borrow the bytes. */
MUST_USE enum status rejection_read(struct mp_reader *reader, struct rejection *ret_rejection);

/* Appends the record as one CloudEvents line, no newline (json_write_rejected). */
MUST_USE enum status rejection_write_json(const struct rejection *record, struct buffer *text);

/* Two items that acks have too: a reason's name, and retry_after with nil for RECORD_NEVER. */
MUST_USE enum status record_reason_read(struct mp_reader *reader, enum reason *ret_reason);
void record_retry_after_write(struct buffer *buffer, uint64_t retry_after_ns);
MUST_USE enum status record_retry_after_read(struct mp_reader *reader,
                                             uint64_t *ret_retry_after_ns);

#endif
