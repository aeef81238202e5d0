/* submission: the one frame that a producer pushes to ingest.
 *
 *     [1, source, epoch, first_sequence, count]  event  event  …      `count` events
 *
 * Reading and writing of the header; the events are read one by one with event_read.
 */
#ifndef WEIR_COMMON_WIRE_SUBMISSION_H
#define WEIR_COMMON_WIRE_SUBMISSION_H

#include <stdint.h>

#include "common/wire/message.h"

enum {
    SUBMISSION_BYTES_MAX = 1024 * 1024,
    SUBMISSION_EVENTS_MAX = 16384,
    INGEST_MESSAGE_BYTES_MAX = 4 * 1024 * 1024, /* ZMQ_MAXMSGSIZE: so that too_large can be said */
    SUBMISSION_HEADER_BYTES_MAX = 1 + 1 + 2 + EVENT_SOURCE_BYTES_MAX + 9 + 9 + 5,
};

struct submission_header {
    struct slice source;
    uint64_t epoch;
    uint64_t first_sequence; /* 0: unsequenced */
    uint32_t count;          /* 1 … SUBMISSION_EVENTS_MAX */
};

/* Reads the header and moves past it. MALFORMED: not MessagePack (an empty frame too). INVALID:
 * another version, arity, type or range (count, source, first_sequence + count − 1 above 2^64 − 1);
 * ret_detail says which. */
MUST_USE enum status submission_read_header(struct mp_reader *reader,
                                            struct submission_header *ret_header,
                                            struct detail *ret_detail);

/* Writes at `at`, where SUBMISSION_HEADER_BYTES_MAX are free; returns the next free byte. */
uint8_t *submission_put_header(uint8_t *at, const struct submission_header *header);

#endif
