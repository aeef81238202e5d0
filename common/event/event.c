#include "common/event/event.h"

#include <string.h>

#include "common/event/mp_head.h"

static const char reserved[] = "weir"; /* types and sources that begin so are Weir's own */

static bool is_reserved(struct slice name)
{
    size_t size = sizeof reserved - 1;
    return name.size >= size && memcmp(name.data, reserved, size) == 0;
}

#define T true
/* The bytes of a type: [a-z0-9_.-]. */
static const bool type_bytes[256] = {
    ['-'] = T, ['.'] = T, ['_'] = T, ['0'] = T, T, T, T, T, T, T, T, T, T, /* 0 to 9 */
    ['a'] = T, T,         T,         T,         T, T, T, T, T, T, T, T, T, /* a to m */
    T,         T,         T,         T,         T, T, T, T, T, T, T, T, T, /* n to z */
};
#undef T

/* The first byte that cannot be in a type; at the end: none. */
static size_t type_end(struct slice type)
{
    size_t at = 0;
    while (at < type.size && type_bytes[type.data[at]])
        at++;
    return at;
}

/* All bytes are in the table. Eight at a time, the last eight overlapping those before: most types
 * have 13 to 23 bytes, and where such a loop ends is easier to predict. */
static bool type_is_good(struct slice type)
{
    if (type.size < 8)
        return type_end(type) == type.size;
    bool good = true;
    for (size_t at = 0; at < type.size; at += 8) {
        const uint8_t *b = type.data + (at + 8 <= type.size ? at : type.size - 8);
        good &= type_bytes[b[0]] & type_bytes[b[1]] & type_bytes[b[2]] & type_bytes[b[3]] &
                type_bytes[b[4]] & type_bytes[b[5]] & type_bytes[b[6]] & type_bytes[b[7]];
    }
    return good;
}

static enum status type_check(struct slice type, const uint8_t *origin, struct detail *ret_detail)
{
    if (type.size < 1 || type.size > EVENT_TYPE_BYTES_MAX)
        return detail_set(ret_detail, STATUS_INVALID, "type: %zu bytes, not 1 to %d", type.size,
                          EVENT_TYPE_BYTES_MAX);
    if (!type_is_good(type)) {
        const uint8_t *bad = type.data + type_end(type);
        return detail_set(ret_detail, STATUS_INVALID,
                          "type: byte 0x%02x at %zu is outside [a-z0-9_.-]", *bad,
                          (size_t)(bad - origin));
    }
    if (is_reserved(type))
        return detail_set(ret_detail, STATUS_INVALID, "type: begins with '%s', which is reserved",
                          reserved);
    return STATUS_OK;
}

static enum status subject_check(struct slice subject, struct detail *ret_detail)
{
    if (subject.size < 1 || subject.size > EVENT_SUBJECT_BYTES_MAX)
        return detail_set(ret_detail, STATUS_INVALID, "subject: %zu bytes, not 1 to %d",
                          subject.size, EVENT_SUBJECT_BYTES_MAX);
    if (!utf8_valid(subject))
        return detail_set(ret_detail, STATUS_INVALID, "subject: not UTF-8");
    return STATUS_OK;
}

/* What each element before `data` must be, by the order in which they are read. */
static const char *const elements[] = {
    "event: not an array of 5 or 6 elements",
    "occurred_at: not an integer from 0 to 2^63 - 1",
    "type: not a string",
    "subject: not a string",
    "schema_version: not an integer from 1 to 65535",
};

static inline enum status count_read(struct mp_reader *reader, uint32_t *ret_count)
{
    const uint8_t *start = reader->at;
    enum status status = mp_read_array(reader, ret_count);
    if (status != STATUS_OK || *ret_count == 5 || *ret_count == 6)
        return status;
    reader->at = start;
    return STATUS_INVALID;
}

static inline enum status uint_read_within(struct mp_reader *reader, uint64_t min, uint64_t max,
                                           uint64_t *ret_value)
{
    const uint8_t *start = reader->at;
    enum status status = mp_read_uint(reader, ret_value);
    if (status != STATUS_OK || (*ret_value >= min && *ret_value <= max))
        return status;
    reader->at = start;
    return STATUS_INVALID;
}

/* Reads the elements before `data`; ret_count is the number of elements of the whole event. On
 * failure the cursor stands at the element that failed and the detail names it. */
static inline enum status envelope_read(struct mp_reader *reader, struct event *ret_event,
                                        uint32_t *ret_count, struct detail *ret_detail)
{
    const uint8_t *origin = reader->at;
    uint64_t schema_version = 0;
    unsigned element = 0;
    enum status status = count_read(reader, ret_count);
    if (status == STATUS_OK) {
        element++;
        status = uint_read_within(reader, 0, EVENT_TIME_NS_MAX, &ret_event->occurred_at_ns);
    }
    if (status == STATUS_OK) {
        element++;
        status = mp_read_text(reader, &ret_event->type);
    }
    if (status == STATUS_OK) {
        element++;
        status = mp_read_text(reader, &ret_event->subject);
    }
    if (status == STATUS_OK) {
        element++;
        status = uint_read_within(reader, 1, EVENT_SCHEMA_VERSION_MAX, &schema_version);
    }
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "%s, at byte %zu", elements[element],
                          (size_t)(reader->at - origin));
    ret_event->schema_version = (uint16_t)schema_version;
    return STATUS_OK;
}

/* From `start` to the cursor. */
static struct slice bytes_since(const uint8_t *start, const struct mp_reader *reader)
{
    return (struct slice){start, (size_t)(reader->at - start)};
}

/* One pass over a good event. A bad one fails somewhere with a detail, and event_read finds out
 * which of its three ways to be bad has precedence. */
static enum status event_check(struct mp_reader *reader, struct event *ret_event,
                               struct detail *ret_detail)
{
    const uint8_t *origin = reader->at;
    uint32_t count;
    enum status status = envelope_read(reader, ret_event, &count, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = type_check(ret_event->type, origin, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = subject_check(ret_event->subject, ret_detail);
    if (status != STATUS_OK)
        return status;

    const uint8_t *start = reader->at;
    status = mp_check_data(reader, origin, ret_detail);
    if (status != STATUS_OK)
        return status;
    ret_event->data = bytes_since(start, reader);

    start = reader->at;
    if (count == 6)
        status = mp_check_attributes(reader, origin, ret_detail);
    ret_event->attributes = bytes_since(start, reader);
    ret_event->raw = bytes_since(origin, reader);
    return status;
}

static enum status too_large(struct slice raw, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_TOO_LARGE, "event: %zu bytes, more than %d", raw.size,
                      EVENT_BYTES_MAX);
}

enum status event_read(struct mp_reader *reader, struct event *ret_event, struct slice *ret_raw,
                       struct detail *ret_detail)
{
    const uint8_t *start = reader->at;
    enum status status = event_check(reader, ret_event, ret_detail);
    if (status == STATUS_OK && ret_event->raw.size <= EVENT_BYTES_MAX)
        return STATUS_OK;

    reader->at = start;
    status = mp_skip_explain(reader, start, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct slice raw = bytes_since(start, reader);
    if (ret_raw != NULL)
        *ret_raw = raw;
    return raw.size > EVENT_BYTES_MAX ? too_large(raw, ret_detail) : STATUS_INVALID;
}

/* mp_read_raw that gets a copy of the cursor, so that the caller's stays in registers. */
static inline enum status item_read(struct mp_reader *reader, struct slice *ret_item)
{
    struct mp_reader copy = *reader;
    enum status status = mp_read_raw(&copy, ret_item);
    reader->at = copy.at;
    return status;
}

enum status event_read_stored(struct mp_reader *reader, struct event *ret_event)
{
    struct mp_reader at = *reader;
    uint32_t count = 0;
    enum status status = envelope_read(&at, ret_event, &count, NULL);
    if (status == STATUS_OK)
        status = item_read(&at, &ret_event->data);
    ret_event->attributes = (struct slice){at.at, 0};
    if (status == STATUS_OK && count == 6)
        status = item_read(&at, &ret_event->attributes);
    ret_event->raw = bytes_since(reader->at, &at);
    if (status == STATUS_OK)
        reader->at = at.at;
    return status;
}

enum status event_source_check(struct slice source, struct detail *ret_detail)
{
    if (source.size < 1 || source.size > EVENT_SOURCE_BYTES_MAX)
        return detail_set(ret_detail, STATUS_INVALID, "source: %zu bytes, not 1 to %d", source.size,
                          EVENT_SOURCE_BYTES_MAX);
    for (size_t i = 0; i < source.size; i++) {
        if (source.data[i] < '!' || source.data[i] > '~')
            return detail_set(ret_detail, STATUS_INVALID,
                              "source: byte 0x%02x at %zu is outside [!-~]", source.data[i], i);
    }
    if (is_reserved(source))
        return detail_set(ret_detail, STATUS_INVALID, "source: begins with '%s', which is reserved",
                          reserved);
    return STATUS_OK;
}

/* mp_skip, at once past the usual items. */
static inline enum status value_skip(struct mp_reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    size_t bytes = left > 0 ? mp_plain_bytes[*reader->at] : 0;
    if (bytes > 0 && bytes <= left) {
        reader->at += bytes;
        return STATUS_OK;
    }
    struct mp_reader copy = *reader;
    enum status status = mp_skip(&copy);
    reader->at = copy.at;
    return status;
}

enum status event_member(struct slice map, struct slice name, struct mp_reader *ret_value)
{
    struct mp_reader reader = mp_reader_of(map);
    enum mp_type type;
    uint32_t pairs = 0;
    if (mp_peek(&reader, &type) != STATUS_OK || type != MP_MAP)
        return STATUS_NOT_FOUND;
    enum status status = mp_read_map(&reader, &pairs);
    for (uint32_t i = 0; status == STATUS_OK && i < pairs; i++) {
        struct slice key;
        status = mp_read_text(&reader, &key);
        if (status == STATUS_OK && slice_equal(key, name)) {
            *ret_value = reader;
            return STATUS_OK;
        }
        if (status == STATUS_OK)
            status = value_skip(&reader);
    }
    return status == STATUS_OK ? STATUS_NOT_FOUND : status;
}

enum status event_field(struct slice map, struct slice dotted_path, struct mp_reader *ret_value)
{
    if (dotted_path.size == 0)
        return STATUS_NOT_FOUND;
    struct mp_reader value = mp_reader_of(map);
    const uint8_t *step = dotted_path.data;
    const uint8_t *path_end = step + dotted_path.size;
    for (;;) {
        const uint8_t *dot = memchr(step, '.', (size_t)(path_end - step));
        const uint8_t *step_end = dot != NULL ? dot : path_end;
        struct slice here = {value.at, (size_t)(value.end - value.at)};
        struct slice name = {step, (size_t)(step_end - step)};
        enum status status = event_member(here, name, &value);
        if (status != STATUS_OK)
            return status;
        if (dot == NULL)
            break;
        step = dot + 1;
    }
    *ret_value = value;
    return STATUS_OK;
}
