#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/event/json.h"

/* Which integers are numbers; those beyond are strings of their digits. */
enum integers {
    INTEGERS_OF_DOUBLES, /* up to ±2^53: they survive readers that hold every number as a double */
    INTEGERS_OF_64_BITS, /* those that int64_t holds: a line that is read again has the same ones */
};

#define DOUBLES_INTEGER_MAX (INT64_C(1) << 53)

static void character_write(uint8_t c, struct buffer *text)
{
    char escape[8];
    if (c == '"' || c == '\\') {
        buffer_append(text, (char[]){'\\', (char)c}, 2);
    } else if (c < 0x20 || c == 0x7f) {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        buffer_append_text(text, escape);
    } else {
        buffer_append(text, &c, 1);
    }
}

static bool is_plain(uint8_t c, bool valid)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && (valid || c < 0x80);
}

/* With quotes. In a text that is not UTF-8 each byte above 0x7f becomes U+FFFD. */
static void string_write(struct slice value, struct buffer *text)
{
    bool valid = utf8_valid(value);
    size_t plain = 0; /* where the run of bytes begins that stand for themselves */
    buffer_append(text, "\"", 1);
    for (size_t i = 0; i < value.size; i++) {
        if (is_plain(value.data[i], valid))
            continue;
        buffer_append(text, value.data + plain, i - plain);
        if (value.data[i] >= 0x80)
            buffer_append_text(text, "\xef\xbf\xbd");
        else
            character_write(value.data[i], text);
        plain = i + 1;
    }
    if (value.size > plain)
        buffer_append(text, value.data + plain, value.size - plain);
    buffer_append(text, "\"", 1);
}

static void hex_write(struct slice bytes, struct buffer *text)
{
    static const char digits[] = "0123456789abcdef";
    buffer_append_text(text, "\"");
    for (size_t i = 0; i < bytes.size; i++)
        buffer_append(text, (char[]){digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15]}, 2);
    buffer_append_text(text, "\"");
}

/* The shortest form that reads back as the same double, with a point so that it stays one. */
static void float_write(double value, struct buffer *text)
{
    char number[40];
    if (!isfinite(value)) {
        buffer_append_text(text, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value)
            break;
    }
    buffer_append_text(text, number);
    if (strpbrk(number, ".e") == NULL)
        buffer_append_text(text, ".0");
}

enum { NUMBER_BYTES = 20 };

/* At least `least` digits, zeros in front; they stand in `number`. */
static struct slice digits_of(uint64_t value, int least, char number[NUMBER_BYTES])
{
    int at = NUMBER_BYTES;
    while (value > 0 || NUMBER_BYTES - at < least) {
        number[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    return (struct slice){(const uint8_t *)number + at, (size_t)(NUMBER_BYTES - at)};
}

static void uint_write(uint64_t value, enum integers integers, struct buffer *text)
{
    char number[NUMBER_BYTES];
    uint64_t max = integers == INTEGERS_OF_64_BITS ? INT64_MAX : DOUBLES_INTEGER_MAX;
    struct slice digits = digits_of(value, 1, number);
    if (value <= max)
        buffer_append(text, digits.data, digits.size);
    else
        string_write(digits, text);
}

static void negative_write(int64_t value, enum integers integers, struct buffer *text)
{
    char number[32];
    bool plain = integers == INTEGERS_OF_64_BITS || value >= -DOUBLES_INTEGER_MAX;
    snprintf(number, sizeof number, plain ? "%" PRId64 : "\"%" PRId64 "\"", value);
    buffer_append_text(text, number);
}

static enum status item_write(struct mp_reader *reader, enum integers integers,
                              struct buffer *text);

static enum status array_write(struct mp_reader *reader, enum integers integers,
                               struct buffer *text)
{
    uint32_t count;
    enum status status = mp_read_array(reader, &count);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(text, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_text(text, ",");
        status = item_write(reader, integers, text);
        if (status != STATUS_OK)
            return status;
    }
    buffer_append_text(text, "]");
    return text->status;
}

/* Keys of JSON are strings: an integer becomes its digits, anything else the hex of its bytes. */
static enum status key_write(struct mp_reader *reader, struct buffer *text)
{
    struct mp_reader cursor = *reader;
    char number[32];
    uint64_t whole;
    int64_t negative;
    struct slice raw;
    enum status status = mp_read_raw(reader, &raw);
    if (status != STATUS_OK)
        return status;
    if (mp_read_text(&cursor, &raw) == STATUS_OK) {
        string_write(raw, text);
    } else if (mp_read_uint(&cursor, &whole) == STATUS_OK) {
        snprintf(number, sizeof number, "%" PRIu64, whole);
        string_write(slice_of_text(number), text);
    } else if (mp_read_int(&cursor, &negative) == STATUS_OK) {
        snprintf(number, sizeof number, "%" PRId64, negative);
        string_write(slice_of_text(number), text);
    } else {
        hex_write(raw, text);
    }
    return text->status;
}

static enum status map_write(struct mp_reader *reader, enum integers integers, struct buffer *text)
{
    uint32_t pairs;
    enum status status = mp_read_map(reader, &pairs);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(text, "{");
    for (uint32_t i = 0; i < pairs; i++) {
        if (i > 0)
            buffer_append_text(text, ",");
        status = key_write(reader, text);
        if (status != STATUS_OK)
            return status;
        buffer_append_text(text, ":");
        status = item_write(reader, integers, text);
        if (status != STATUS_OK)
            return status;
    }
    buffer_append_text(text, "}");
    return text->status;
}

static enum status number_write(struct mp_reader *reader, enum mp_type type, enum integers integers,
                                struct buffer *text)
{
    uint64_t whole = 0;
    int64_t negative = 0;
    double real = 0;
    enum status status = type == MP_UINT       ? mp_read_uint(reader, &whole)
                         : type == MP_NEGATIVE ? mp_read_int(reader, &negative)
                                               : mp_read_float(reader, &real);
    if (status != STATUS_OK)
        return status;
    if (type == MP_UINT)
        uint_write(whole, integers, text);
    else if (type == MP_NEGATIVE)
        negative_write(negative, integers, text);
    else
        float_write(real, text);
    return text->status;
}

static enum status bytes_write(struct mp_reader *reader, enum mp_type type, struct buffer *text)
{
    struct slice bytes = {NULL, 0};
    enum status status = type == MP_TEXT  ? mp_read_text(reader, &bytes)
                         : type == MP_BIN ? mp_read_bin(reader, &bytes)
                                          : mp_read_raw(reader, &bytes);
    if (status != STATUS_OK)
        return status;
    if (type == MP_TEXT)
        string_write(bytes, text);
    else
        hex_write(bytes, text);
    return text->status;
}

static enum status word_write(struct mp_reader *reader, struct buffer *text)
{
    bool value = false;
    if (mp_read_nil(reader)) {
        buffer_append_text(text, "null");
        return text->status;
    }
    enum status status = mp_read_bool(reader, &value);
    if (status == STATUS_OK)
        buffer_append_text(text, value ? "true" : "false");
    return status == STATUS_OK ? text->status : status;
}

/* Recursion is bounded: whole_item_write has skipped the item, so it is at most MP_DEPTH_MAX deep.
 */
static enum status item_write(struct mp_reader *reader, enum integers integers, struct buffer *text)
{
    enum mp_type type;
    enum status status = mp_peek(reader, &type);
    if (status != STATUS_OK)
        return status;
    switch (type) {
    case MP_ARRAY:
        return array_write(reader, integers, text);
    case MP_MAP:
        return map_write(reader, integers, text);
    case MP_UINT:
    case MP_NEGATIVE:
    case MP_FLOAT:
        return number_write(reader, type, integers, text);
    case MP_TEXT:
    case MP_BIN:
    case MP_EXT:
        return bytes_write(reader, type, text);
    case MP_NIL:
    case MP_BOOL:
        return word_write(reader, text);
    }
    return STATUS_MALFORMED;
}

static enum status whole_item_write(struct slice item, enum integers integers, struct buffer *text)
{
    struct mp_reader reader = mp_reader_of(item);
    struct mp_reader probe = reader;
    enum status status = mp_skip(&probe);
    return status == STATUS_OK ? item_write(&reader, integers, text) : status;
}

enum status json_write_item(struct slice item, struct buffer *text)
{
    return whole_item_write(item, INTEGERS_OF_DOUBLES, text);
}

enum status json_write_data(struct slice item, struct buffer *text)
{
    return whole_item_write(item, INTEGERS_OF_64_BITS, text);
}

static void member_write(const char *name, struct slice value, struct buffer *text)
{
    buffer_append_text(text, ",\"");
    buffer_append_text(text, name);
    buffer_append_text(text, "\":");
    string_write(value, text);
}

static void time_write(const char *name, uint64_t time_ns, struct buffer *text)
{
    char time[CLOCK_TEXT_BYTES];
    clock_format(time_ns, time);
    member_write(name, slice_of_text(time), text);
}

/* `digits`: the least number of digits, zeros in front. */
static void digits_write(const char *name, uint64_t value, int digits, struct buffer *text)
{
    char number[NUMBER_BYTES];
    member_write(name, digits_of(value, digits, number), text);
}

static void id_write(uint64_t event_id, const struct event *event, struct buffer *text)
{
    struct mp_reader value;
    struct slice id;
    if (event_field(event->attributes, slice_of_text("id"), &value) == STATUS_OK &&
        mp_read_text(&value, &id) == STATUS_OK)
        member_write("id", id, text);
    else
        digits_write("id", event_id, 1, text);
}

static bool is_written_elsewhere(struct slice name)
{
    static const char *const names[] = {"specversion", "id",   "source",        "type",
                                        "subject",     "time", "schemaversion", "sequence",
                                        "eventid",     "data", "acceptedat"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_text(name, names[i]))
            return true;
    }
    return false;
}

static enum status attributes_write(struct slice attributes, struct buffer *text)
{
    if (attributes.size == 0)
        return STATUS_OK;
    struct mp_reader reader = mp_reader_of(attributes);
    uint32_t pairs;
    enum status status = mp_read_map(&reader, &pairs);
    for (uint32_t i = 0; status == STATUS_OK && i < pairs; i++) {
        struct slice name = {NULL, 0}, value = {NULL, 0};
        status = mp_read_text(&reader, &name);
        if (status == STATUS_OK)
            status = mp_read_text(&reader, &value);
        if (status != STATUS_OK || is_written_elsewhere(name))
            continue;
        buffer_append_text(text, ",");
        string_write(name, text);
        buffer_append_text(text, ":");
        string_write(value, text);
    }
    return status;
}

enum status json_write_accepted(uint64_t event_id, uint64_t accepted_at_ns, struct slice source,
                                uint64_t sequence, const struct event *event, struct buffer *text)
{
    buffer_append_text(text, "{\"specversion\":\"1.0\"");
    id_write(event_id, event, text);
    member_write("source", source, text);
    member_write("type", event->type, text);
    member_write("subject", event->subject, text);
    time_write("time", event->occurred_at_ns, text);
    buffer_append_text(text, ",\"schemaversion\":");
    uint_write(event->schema_version, INTEGERS_OF_64_BITS, text);
    digits_write("sequence", sequence, 20, text);
    digits_write("eventid", event_id, 1, text);
    time_write("acceptedat", accepted_at_ns, text);
    enum status status = attributes_write(event->attributes, text);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(text, ",\"data\":");
    status = json_write_data(event->data, text);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(text, "}");
    return text->status;
}

static void member_if_known(const char *name, struct slice value, struct buffer *text)
{
    if (value.size > 0)
        member_write(name, value, text);
}

/* What the refused event says, where it decoded; else what is known of it. */
static enum status refused_event_write(const struct json_rejection *rejection, struct buffer *text)
{
    const struct event *event = rejection->event;
    static const char nothing[] = "weir.rejected";
    struct slice type = rejection->type.size > 0 ? rejection->type : slice_of_text(nothing);
    struct slice subject = rejection->subject.size > 0 ? rejection->subject : slice_of_text("-");
    member_write("type", type, text);
    member_write("subject", subject, text);
    time_write("time", event != NULL ? event->occurred_at_ns : rejection->rejected_at_ns, text);
    if (event == NULL)
        return STATUS_OK;
    buffer_append_text(text, ",\"schemaversion\":");
    uint_write(event->schema_version, INTEGERS_OF_64_BITS, text);
    enum status status = attributes_write(event->attributes, text);
    if (status != STATUS_OK)
        return status;
    buffer_append_text(text, ",\"data\":");
    return json_write_data(event->data, text);
}

enum status json_write_rejected(const struct json_rejection *rejection, struct buffer *text)
{
    struct slice source = rejection->source.size > 0 ? rejection->source : slice_of_text("weir");
    buffer_append_text(text, "{\"specversion\":\"1.0\"");
    digits_write("id", rejection->rejection_id, 1, text);
    member_write("source", source, text);
    enum status status = refused_event_write(rejection, text);
    if (status != STATUS_OK)
        return status;
    digits_write("rejectionid", rejection->rejection_id, 1, text);
    time_write("rejectedat", rejection->rejected_at_ns, text);
    digits_write("aftereventid", rejection->after_event_id, 1, text);
    member_write("reason", slice_of_text(reason_text(rejection->reason)), text);
    member_if_known("detail", rejection->detail, text);
    if (rejection->has_sequence)
        digits_write("sequence", rejection->sequence, 20, text);
    digits_write("count", rejection->count, 1, text);
    member_if_known("policy", rejection->policy, text);
    if (rejection->key.size > 0) {
        buffer_append_text(text, ",\"key\":");
        status = json_write_data(rejection->key, text);
    }
    if (rejection->has_retry_after)
        digits_write("retryafter", rejection->retry_after_ns, 1, text);
    if (rejection->evidence.size > 0) {
        buffer_append_text(text, ",\"evidence\":");
        hex_write(rejection->evidence, text);
    }
    buffer_append_text(text, "}");
    return status == STATUS_OK ? text->status : status;
}
