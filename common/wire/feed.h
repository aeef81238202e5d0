/* feed: the topics on the `events` socket: accepted, rejected, ack/SOURCE/, heartbeat, stats.
 *
 * Frame 0 is the topic, frame 1 a MessagePack header, frame 2 (accepted, rejected) `count` records
 * one after another. Subscriptions are prefixes, so readers compare the topic and the header's
 * source whole.
 */
#ifndef WEIR_COMMON_WIRE_FEED_H
#define WEIR_COMMON_WIRE_FEED_H

#include <stdint.h>

#include "common/wire/record.h"

#define FEED_TOPIC_ACCEPTED  "accepted"
#define FEED_TOPIC_REJECTED  "rejected"
#define FEED_TOPIC_HEARTBEAT "heartbeat"
#define FEED_TOPIC_STATS     "stats"

enum {
    FEED_MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
    FEED_TOPIC_BYTES_MAX = 5 + EVENT_SOURCE_BYTES_MAX,
    FEED_HEADER_BYTES_MAX = 64,
    ACK_REFUSALS_MAX = 8192, /* in one ack; more refusals make more acks */
};

/* Header of accepted and rejected: [1, log_id, first_id, count, published_at] */
struct feed_header {
    struct log_id log_id;
    uint64_t first_id;
    uint64_t count;
    uint64_t published_at_ns;
};
void feed_header_write(struct buffer *buffer, const struct feed_header *header);
MUST_USE enum status feed_header_read(struct slice frame, struct feed_header *ret_header);

/* [1, log_id, last_event_id, last_rejection_id, now] */
struct heartbeat {
    struct log_id log_id;
    uint64_t last_event_id;
    uint64_t last_rejection_id;
    uint64_t now_ns;
};
void heartbeat_write(struct buffer *buffer, const struct heartbeat *heartbeat);
MUST_USE enum status heartbeat_read(struct slice frame, struct heartbeat *ret_heartbeat);

enum ack_status { ACK_OK, ACK_GAP, ACK_FENCED, ACK_FORGOTTEN };
const char *ack_status_text(enum ack_status status);

/* [1, log_id, source, epoch, first_sequence, last_sequence, status, refusals]
 * covers exactly first_sequence … last_sequence; an empty range is first = last + 1. */
struct ack {
    struct log_id log_id;
    struct slice source;
    uint64_t epoch;
    uint64_t first_sequence;
    uint64_t last_sequence;
    enum ack_status status;
    uint32_t refusal_count;
    struct slice
        refusals; /* refusal_count × [sequence, reason, policy, retry_after], one after another */
};
struct refusal {
    uint64_t sequence;
    uint64_t retry_after_ns; /* RECORD_NEVER: nil */
    struct slice policy;     /* size 0: nil */
    enum reason reason;      /* meaningful where has_reason */
    bool has_reason;         /* false in some answers to resends */
};
/* "ack/SOURCE/" into ret_topic; the slice borrows it. */
struct slice ack_topic(struct slice source, char ret_topic[FEED_TOPIC_BYTES_MAX]);
void ack_write(struct buffer *buffer, const struct ack *ack);
void refusal_write(struct buffer *buffer, const struct refusal *refusal);
MUST_USE enum status ack_read(struct slice frame, struct ack *ret_ack);
MUST_USE enum status refusal_read(struct mp_reader *reader, struct refusal *ret_refusal);

#endif
