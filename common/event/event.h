/* event: one event, as it stands in a submission, in the log and on the wire.
 *
 *     [occurred_at, type, subject, schema_version, data]   or with a sixth element: attributes
 *
 * `struct event` is a view into those bytes; they are stored and published exactly as submitted, so
 * nothing here rewrites them. event_read is the check of untrusted events; the processor, the
 * producer (before it sends) and the tests use the same one.
 */
#ifndef WEIR_COMMON_EVENT_EVENT_H
#define WEIR_COMMON_EVENT_EVENT_H

#include <stdint.h>

#include "common/base/buffer.h"
#include "common/event/mp.h"

enum {
    EVENT_BYTES_MAX = 64 * 1024,
    EVENT_TYPE_BYTES_MAX = 64,
    EVENT_SUBJECT_BYTES_MAX = 128,
    EVENT_SOURCE_BYTES_MAX = 128,
    EVENT_SCHEMA_VERSION_MAX = 65535,
};
#define EVENT_TIME_NS_MAX INT64_MAX

struct event {
    uint64_t occurred_at_ns; /* the producer's time: data, never trusted */
    struct slice type;       /* [a-z0-9_.-], category before the first dot */
    struct slice subject;    /* UTF-8 */
    struct slice data;       /* the map's MessagePack */
    struct slice attributes; /* the map's MessagePack; size 0 if the event has none */
    struct slice raw;        /* the whole event */
    uint16_t schema_version;
};

/* Reads and checks one event and moves past it.
 *   STATUS_OK         the cursor stands behind the event
 *   STATUS_MALFORMED  not MessagePack: where the event ends cannot be known; the cursor stays
 *   STATUS_TOO_LARGE  well-formed, above EVENT_BYTES_MAX: the cursor stands behind it
 *   STATUS_INVALID    well-formed, but not an event: the cursor stands behind it
 * For the last two `ret_raw` (may be NULL) is the item's bytes. `ret_detail` (may be NULL) says
 * what is wrong and where, with offsets from the event's first byte. A type that begins with "weir"
 * is INVALID here; event_read_stored accepts it. `ret_event` is filled in place (a copy at the end
 * cost a quarter of the time), so after a failure its content is undefined. */
MUST_USE enum status event_read(struct mp_reader *reader, struct event *ret_event,
                                struct slice *ret_raw, struct detail *ret_detail);

/* Reads the envelope of an event that was checked before it was stored; does not look into `data`.
 * After a failure the cursor stands where it was and `ret_event` is undefined. */
MUST_USE enum status event_read_stored(struct mp_reader *reader, struct event *ret_event);

/* 1 to EVENT_SOURCE_BYTES_MAX bytes of [!-~], not beginning with "weir". Fills ret_detail on
 * failure. */
MUST_USE enum status event_source_check(struct slice source, struct detail *ret_detail);

/* The value of `name`, dots and all, in a map's MessagePack; else as event_field. */
MUST_USE enum status event_member(struct slice map, struct slice name, struct mp_reader *ret_value);
/* The value at a dotted path in a map's MessagePack ("amount", "card.country"); NOT_FOUND if a step
 * is missing or not a map. The reader then stands at the value. */
MUST_USE enum status event_field(struct slice map, struct slice dotted_path,
                                 struct mp_reader *ret_value);

#endif
