/* outbox_support: what the tests of the outbox share: an outbox, small events, acks. */
#ifndef WEIR_TESTS_UNIT_PRODUCER_OUTBOX_SUPPORT_H
#define WEIR_TESTS_UNIT_PRODUCER_OUTBOX_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "producer/core/outbox.h"

#define SOURCE "shop"
#define EPOCH  7
#define MS     1000000ULL

enum { EVENT_BYTES = 32 }; /* room for the small events of these tests */

static const struct log_id this_log = {{1, 2, 3}};

static inline struct outbox *new_outbox(uint64_t last_sequence, uint32_t events_max,
                                        size_t bytes_max)
{
    struct outbox *outbox = NULL;
    struct outbox_options options = {
        .source = slice_of_text(SOURCE),
        .log_id = this_log,
        .epoch = EPOCH,
        .last_sequence = last_sequence,
        .seed = 1,
        .events_max = events_max,
        .bytes_max = bytes_max,
    };
    assert_int_equal(outbox_new(&options, &outbox), STATUS_OK);
    return outbox;
}

/* An event whose occurred_at is `number`, so that a reader can tell which one it is. */
static inline uint8_t *put_event(uint8_t *at, uint64_t number)
{
    at = codec_put_array(at, 5);
    at = codec_put_uint(at, number);
    at = codec_put_text(at, slice_of_text("a.b"));
    at = codec_put_text(at, slice_of_text("s"));
    at = codec_put_uint(at, 1);
    *at = 0x80; /* {} */
    return at + 1;
}

static inline enum status try_add(struct outbox *outbox)
{
    uint8_t *at;
    enum status status = outbox_reserve(outbox, EVENT_BYTES, &at);
    if (status == STATUS_OK)
        outbox_added(outbox, put_event(at, outbox_next_sequence(outbox)), 1);
    return status;
}

static inline struct ack ack_of(uint64_t first, uint64_t last, enum ack_status status)
{
    return (struct ack){
        .log_id = this_log,
        .source = slice_of_text(SOURCE),
        .epoch = EPOCH,
        .first_sequence = first,
        .last_sequence = last,
        .status = status,
    };
}

static inline void write_refusal(struct buffer *buffer, uint64_t sequence, bool has_reason)
{
    refusal_write(buffer, &(struct refusal){
                              .sequence = sequence,
                              .retry_after_ns = RECORD_NEVER,
                              .reason = REASON_RATE_LIMITED,
                              .has_reason = has_reason,
                          });
}

#endif
