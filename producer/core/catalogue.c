#include "producer/core/catalogue.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/event/codec.h"
#include "common/wire/submission.h"

/* The bytes of a literal, without its NUL. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static void append(struct buffer *bytes, struct slice item)
{
    buffer_append(bytes, item.data, item.size);
}

static void append_times(struct buffer *bytes, uint8_t byte, size_t times)
{
    if (buffer_reserve(bytes, times) != STATUS_OK)
        return;
    memset(bytes->data + bytes->size, byte, times);
    bytes->size += times;
}

/* ---- headers ---- */

struct header_parts {
    uint32_t items; /* that the array announces, and that are written; 4 leaves `count` out */
    uint64_t version;
    struct slice source;
    uint64_t epoch, first_sequence, count;
};

static struct header_parts good_header(const struct injection_place *place, uint64_t count)
{
    return (struct header_parts){.items = 5,
                                 .version = WIRE_VERSION,
                                 .source = place->source,
                                 .epoch = place->epoch,
                                 .first_sequence = place->first_sequence,
                                 .count = count};
}

static void header_put(const struct header_parts *parts, struct buffer *bytes)
{
    codec_array(bytes, parts->items);
    codec_uint(bytes, parts->version);
    codec_text_slice(bytes, parts->source);
    codec_uint(bytes, parts->epoch);
    codec_uint(bytes, parts->first_sequence);
    if (parts->items > 4)
        codec_uint(bytes, parts->count);
}

void injection_header(const struct injection_place *place, uint32_t count, struct buffer *bytes)
{
    struct header_parts parts = good_header(place, count);
    header_put(&parts, bytes);
}

/* ---- events ---- */

struct event_parts {
    uint32_t items; /* that the array announces */
    int64_t occurred_at_ns;
    struct slice type, subject;
    uint64_t schema_version;
};

static struct event_parts good_event(const struct injection_place *place)
{
    return (struct event_parts){.items = 5,
                                .occurred_at_ns = (int64_t)place->time_ns,
                                .type = slice_of_text(INJECTION_TYPE),
                                .subject = place->marker,
                                .schema_version = 1};
}

/* Everything before `data`. */
static void envelope_put(const struct event_parts *parts, struct buffer *bytes)
{
    codec_array(bytes, parts->items);
    codec_int(bytes, parts->occurred_at_ns);
    codec_text_slice(bytes, parts->type);
    codec_text_slice(bytes, parts->subject);
    codec_uint(bytes, parts->schema_version);
}

static void event_put(const struct event_parts *parts, struct buffer *bytes)
{
    envelope_put(parts, bytes);
    codec_map(bytes, 0);
}

static void good_event_put(const struct injection_place *place, struct buffer *bytes)
{
    struct event_parts parts = good_event(place);
    event_put(&parts, bytes);
}

/* ---- builders: nothing that can be read as a header ---- */

/* The item, and behind it the source's name. */
static void build_item(const struct kind *kind, const struct injection_place *place,
                       struct buffer *bytes)
{
    append(bytes, kind->item);
    append(bytes, place->source);
}

static void build_nothing(const struct kind *kind, const struct injection_place *place,
                          struct buffer *bytes)
{
    (void)kind, (void)place, (void)bytes;
}

/* A header that ends behind the source. */
static void build_truncated_header(const struct kind *kind, const struct injection_place *place,
                                   struct buffer *bytes)
{
    (void)kind;
    codec_array(bytes, 5);
    codec_uint(bytes, WIRE_VERSION);
    codec_text_slice(bytes, place->source);
}

/* ---- builders: a wrong header, and a good event behind it ---- */

static void header_and_event(const struct header_parts *parts, const struct injection_place *place,
                             struct buffer *bytes)
{
    header_put(parts, bytes);
    good_event_put(place, bytes);
}

static void build_header_arity(const struct kind *kind, const struct injection_place *place,
                               struct buffer *bytes)
{
    (void)kind;
    struct header_parts parts = good_header(place, 1);
    parts.items = 4;
    header_and_event(&parts, place, bytes);
}

static void build_header_types(const struct kind *kind, const struct injection_place *place,
                               struct buffer *bytes)
{
    (void)kind;
    codec_array(bytes, 5);
    codec_uint(bytes, WIRE_VERSION);
    codec_uint(bytes, 7); /* for a source */
    codec_uint(bytes, place->epoch);
    codec_uint(bytes, place->first_sequence);
    codec_uint(bytes, 1);
    good_event_put(place, bytes);
}

static void build_version(const struct kind *kind, const struct injection_place *place,
                          struct buffer *bytes)
{
    (void)kind;
    struct header_parts parts = good_header(place, 1);
    parts.version = WIRE_VERSION + 1;
    header_and_event(&parts, place, bytes);
}

static void build_reserved_source(const struct kind *kind, const struct injection_place *place,
                                  struct buffer *bytes)
{
    struct header_parts parts = good_header(place, 1);
    parts.source = kind->item;
    header_and_event(&parts, place, bytes);
}

static void build_count_zero(const struct kind *kind, const struct injection_place *place,
                             struct buffer *bytes)
{
    (void)kind;
    struct header_parts parts = good_header(place, 0);
    header_and_event(&parts, place, bytes);
}

static void build_count_above(const struct kind *kind, const struct injection_place *place,
                              struct buffer *bytes)
{
    (void)kind;
    struct header_parts parts = good_header(place, SUBMISSION_EVENTS_MAX + 1);
    header_and_event(&parts, place, bytes);
}

static void build_sequence_past_end(const struct kind *kind, const struct injection_place *place,
                                    struct buffer *bytes)
{
    (void)kind;
    struct header_parts parts = good_header(place, 2);
    parts.first_sequence = UINT64_MAX;
    header_and_event(&parts, place, bytes);
}

/* ---- builders: a good header, and what is wrong behind it ---- */

/* The item stands for the event. */
static void build_event_item(const struct kind *kind, const struct injection_place *place,
                             struct buffer *bytes)
{
    injection_header(place, 1, bytes);
    append(bytes, kind->item);
    append(bytes, place->marker);
}

static void build_truncated_event(const struct kind *kind, const struct injection_place *place,
                                  struct buffer *bytes)
{
    (void)kind;
    injection_header(place, 1, bytes);
    struct event_parts parts = good_event(place);
    envelope_put(&parts, bytes);
}

static void one_event(const struct event_parts *parts, const struct injection_place *place,
                      struct buffer *bytes)
{
    injection_header(place, 1, bytes);
    event_put(parts, bytes);
}

/* An event has five or six elements. */
static void build_event_arity(const struct kind *kind, const struct injection_place *place,
                              struct buffer *bytes)
{
    (void)kind;
    struct event_parts parts = good_event(place);
    parts.items = 7;
    one_event(&parts, place, bytes);
    codec_map(bytes, 0);
    codec_nil(bytes);
}

static void build_event_types(const struct kind *kind, const struct injection_place *place,
                              struct buffer *bytes)
{
    (void)kind;
    injection_header(place, 1, bytes);
    codec_array(bytes, 5);
    codec_text(bytes, "now"); /* for a time */
    codec_text(bytes, INJECTION_TYPE);
    codec_text_slice(bytes, place->marker);
    codec_uint(bytes, 1);
    codec_map(bytes, 0);
}

static void build_type(const struct kind *kind, const struct injection_place *place,
                       struct buffer *bytes)
{
    struct event_parts parts = good_event(place);
    parts.type = kind->item;
    one_event(&parts, place, bytes);
}

static void build_subject(const struct kind *kind, const struct injection_place *place,
                          struct buffer *bytes)
{
    struct event_parts parts = good_event(place);
    parts.subject = kind->item;
    one_event(&parts, place, bytes);
}

static void build_time(const struct kind *kind, const struct injection_place *place,
                       struct buffer *bytes)
{
    (void)kind;
    struct event_parts parts = good_event(place);
    parts.occurred_at_ns = -1;
    one_event(&parts, place, bytes);
}

static void build_schema_version(const struct kind *kind, const struct injection_place *place,
                                 struct buffer *bytes)
{
    (void)kind;
    struct event_parts parts = good_event(place);
    parts.schema_version = EVENT_SCHEMA_VERSION_MAX + 1;
    one_event(&parts, place, bytes);
}

static void data_event(struct slice data, const struct injection_place *place, struct buffer *bytes)
{
    injection_header(place, 1, bytes);
    struct event_parts parts = good_event(place);
    envelope_put(&parts, bytes);
    append(bytes, data);
}

/* The item is the event's data. */
static void build_data(const struct kind *kind, const struct injection_place *place,
                       struct buffer *bytes)
{
    data_event(kind->item, place, bytes);
}

/* As build_data, with first_sequence 0. */
static void build_unsequenced(const struct kind *kind, const struct injection_place *place,
                              struct buffer *bytes)
{
    struct injection_place elsewhere = *place;
    elsewhere.first_sequence = 0;
    data_event(kind->item, &elsewhere, bytes);
}

enum { NESTING_BEYOND = 70 }; /* maps and arrays; 64 are the most that are looked at */

static void build_nested(const struct kind *kind, const struct injection_place *place,
                         struct buffer *bytes)
{
    data_event(kind->item, place, bytes);
    append_times(bytes, 0x91, NESTING_BEYOND);
    codec_nil(bytes);
}

static void build_large_event(const struct kind *kind, const struct injection_place *place,
                              struct buffer *bytes)
{
    data_event(kind->item, place, bytes);
    append_times(bytes, 'x', EVENT_BYTES_MAX);
}

static void build_large_submission(const struct kind *kind, const struct injection_place *place,
                                   struct buffer *bytes)
{
    (void)kind;
    injection_header(place, 1, bytes);
    good_event_put(place, bytes);
    append_times(bytes, 0xc0, SUBMISSION_BYTES_MAX + 1 - bytes->size);
}

/* ---- builders: good events in a wrong frame, order or number ---- */

/* As many good events as the kind has. */
static void build_good(const struct kind *kind, const struct injection_place *place,
                       struct buffer *bytes)
{
    uint32_t events = kind->good > 0 ? kind->good : 1;
    injection_header(place, events, bytes);
    for (uint32_t i = 0; i < events; i++)
        good_event_put(place, bytes);
}

/* The header announces those that are refused, too. */
static void build_count_forged(const struct kind *kind, const struct injection_place *place,
                               struct buffer *bytes)
{
    injection_header(place, kind->good + kind->refused, bytes);
    for (uint32_t i = 0; i < kind->good; i++)
        good_event_put(place, bytes);
}

static void build_trailing(const struct kind *kind, const struct injection_place *place,
                           struct buffer *bytes)
{
    build_good(kind, place, bytes);
    append(bytes, kind->item);
}

/* One event more than the header says. */
static void build_event_too_many(const struct kind *kind, const struct injection_place *place,
                                 struct buffer *bytes)
{
    build_good(kind, place, bytes);
    good_event_put(place, bytes);
}

static void build_gap(const struct kind *kind, const struct injection_place *place,
                      struct buffer *bytes)
{
    struct injection_place ahead = *place;
    ahead.first_sequence += INJECTION_GAP;
    build_good(kind, &ahead, bytes);
}

static void build_stale(const struct kind *kind, const struct injection_place *place,
                        struct buffer *bytes)
{
    struct injection_place past = *place;
    past.epoch--;
    build_good(kind, &past, bytes);
}

static void build_future(const struct kind *kind, const struct injection_place *place,
                         struct buffer *bytes)
{
    struct injection_place future = *place;
    future.epoch++;
    build_good(kind, &future, bytes);
}

/* ---- the table ---- */

/* A frame or header that is refused whole: no sequence is used, and no source is known. */
#define WHOLE(kind_name, text, why, builder)                                                       \
    .name = (kind_name), .what = (text), .reason = REASON_##why, .nameless = true,                 \
    .build = (builder)
/* An event that is refused alone and uses its sequence. */
#define EVENT(kind_name, text, why, builder)                                                       \
    .name = (kind_name), .what = (text), .reason = REASON_##why, .refused = 1, .build = (builder)
/* What is counted only. */
#define COUNTED(kind_name, text, why, how, builder)                                                \
    .name = (kind_name), .what = (text), .reason = REASON_##why, .answer = ANSWER_##how,           \
    .build = (builder)

static const struct kind kinds[] = {
    {WHOLE("not-messagepack", "the byte 0xc1, which MessagePack never uses, and text", MALFORMED,
           build_item),
     .item = BYTES("\xc1")},
    {WHOLE("empty-frame", "a frame of no bytes", MALFORMED, build_nothing)},
    {WHOLE("extra-frames", "a good submission, twice in one message of two frames", MALFORMED,
           build_good),
     .two_frames = true},
    {WHOLE("truncated-header", "a header that ends behind the source", MALFORMED,
           build_truncated_header)},
    {WHOLE("huge-array", "a header of 4,294,967,295 announced elements", MALFORMED, build_item),
     .item = BYTES("\xdd\xff\xff\xff\xff")},
    {WHOLE("too-large-submission", "a good submission, filled up to 1 MiB and one byte", TOO_LARGE,
           build_large_submission)},
    {WHOLE("header-arity", "a header of four elements", INVALID, build_header_arity)},
    {WHOLE("header-types", "an integer for a source", INVALID, build_header_types)},
    {WHOLE("unknown-version", "version 2", INVALID, build_version)},
    {WHOLE("reserved-source", "a source that begins with 'weir'", INVALID, build_reserved_source),
     .item = BYTES("weir-injected")},
    {WHOLE("count-zero", "a header that announces no events, and one event", INVALID,
           build_count_zero)},
    {WHOLE("count-above-limit", "a header that announces 16,385 events", INVALID,
           build_count_above)},
    {WHOLE("sequence-overflow", "two events from sequence 2^64 - 1 on", INVALID,
           build_sequence_past_end)},

    {EVENT("event-not-messagepack", "the byte 0xc1 for an event", MALFORMED, build_event_item),
     .item = BYTES("\xc1")},
    {EVENT("truncated-event", "an event that ends before its data", MALFORMED,
           build_truncated_event)},
    {EVENT("huge-length", "a text of 4,294,967,295 announced bytes in data", MALFORMED, build_data),
     .item = BYTES("\x81\xa1x\xdb\xff\xff\xff\xff"
                   "abc")},
    {EVENT("nested-70", "arrays 70 deep in data", MALFORMED, build_nested),
     .item = BYTES("\x81\xa1x")},
    {EVENT("too-large-event", "an event of 64 KiB and some bytes", TOO_LARGE, build_large_event),
     .item = BYTES("\x81\xa1x\xdb\x00\x01\x00\x00")},
    {EVENT("event-arity", "an event of seven elements", INVALID, build_event_arity)},
    {EVENT("event-types", "a text for the time", INVALID, build_event_types)},
    {EVENT("time-negative", "occurred_at -1", INVALID, build_time)},
    {EVENT("schema-version-above-limit", "schema_version 65,536", INVALID, build_schema_version)},
    {EVENT("type-characters", "a type with capitals and a blank", INVALID, build_type),
     .item = BYTES("Inject Probe")},
    {EVENT("reserved-type", "a type that begins with 'weir'", INVALID, build_type),
     .item = BYTES("weir.injected")},
    {EVENT("subject-empty", "a subject of no bytes", INVALID, build_subject), .item = BYTES("")},
    {EVENT("bad-utf8-subject", "a subject with the byte 0xff", INVALID, build_subject),
     .item = BYTES("inject\xff")},
    {EVENT("bad-utf8", "an overlong slash in a text in data", INVALID, build_data),
     .item = BYTES("\x81\xa1x\xa4"
                   "a\xc0\xaf"
                   "b")},
    {EVENT("data-not-a-map", "a list for data", INVALID, build_data), .item = BYTES("\x91\x01")},
    {EVENT("duplicate-keys", "the key 'amount' twice in data", INVALID, build_data),
     .item = BYTES("\x82\xa6"
                   "amount\x01\xa6"
                   "amount\x02")},
    {EVENT("key-not-text", "an integer for a key in data", INVALID, build_data),
     .item = BYTES("\x81\x01\x01")},
    {EVENT("too-deep", "maps 9 deep, where 8 are allowed", INVALID, build_data),
     .item = BYTES("\x81\xa1k\x81\xa1k\x81\xa1k\x81\xa1k\x81\xa1k\x81\xa1k\x81\xa1k\x81\xa1k\x80")},
    {EVENT("nan", "NaN in data", INVALID, build_data),
     .item = BYTES("\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00")},
    {EVENT("infinity", "infinity in data", INVALID, build_data),
     .item = BYTES("\x81\xa1x\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00")},
    {EVENT("bin", "a byte string in data", INVALID, build_data), .item = BYTES("\x81\xa1x\xc4\x02"
                                                                               "ab")},
    {EVENT("ext", "an extension type in data", INVALID, build_data),
     .item = BYTES("\x81\xa1x\xd4\x05\x00")},
    {.name = "unsequenced-nan",
     .what = "NaN in data, in a submission without sequences",
     .reason = REASON_INVALID,
     .unsequenced = true,
     .item = BYTES("\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
     .build = build_unsequenced},
    {.name = "count-forged",
     .what = "a header that announces three events, and one event",
     .reason = REASON_MALFORMED,
     .good = 1,
     .refused = 2,
     .build = build_count_forged},
    {.name = "count-too-small",
     .what = "a header that announces one event, and two events",
     .reason = REASON_MALFORMED,
     .good = 1,
     .build = build_event_too_many},
    {.name = "trailing-bytes",
     .what = "four bytes behind the last event",
     .reason = REASON_MALFORMED,
     .good = 1,
     .item = BYTES("\xde\xad\xbe\xef"),
     .build = build_trailing},

    {COUNTED("gap", "an event 100 sequences ahead", OUT_OF_ORDER, GAP, build_gap)},
    {COUNTED("stale-epoch", "an event under the epoch before", FENCED, FENCED, build_stale)},
    {COUNTED("future-epoch", "an event under an epoch never given out", FENCED, FENCED,
             build_future)},
    {COUNTED("duplicates", "two good events, and the same again", DUPLICATE, RESEND, build_good),
     .good = 2},
    {COUNTED("burst", "more events at once than a policy lets pass", RATE_LIMITED, LIMIT, NULL)},
};

uint32_t catalogue_count(void)
{
    return sizeof kinds / sizeof *kinds;
}

const struct kind *catalogue_kind(uint32_t index)
{
    assert(index < catalogue_count());
    return &kinds[index];
}

const struct kind *catalogue_find(const char *name)
{
    for (uint32_t i = 0; i < catalogue_count(); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

void catalogue_build(const struct kind *kind, const struct injection_place *place,
                     struct buffer *bytes)
{
    assert(kind->build != NULL && place->epoch >= 2);
    assert(place->marker.size <= INJECTION_MARKER_BYTES_MAX);
    kind->build(kind, place, bytes);
}

uint64_t catalogue_sequences(const struct kind *kind)
{
    return kind->good + kind->refused;
}
