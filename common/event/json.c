#include "common/event/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/event/codec.h"
#include "common/event/json_fast.h"

/* One member of the line that is being read. */
struct member {
    const char *name;
    const json_t *value; /* borrowed from the line's object */
};

static enum status bad(struct detail *ret_detail, const char *member, const char *problem)
{
    return detail_set(ret_detail, STATUS_BAD_INPUT, "%s: %s", member, problem);
}

static struct slice slice_of_string(const json_t *string)
{
    return (struct slice){(const uint8_t *)json_string_value(string), json_string_length(string)};
}

/* The members with a meaning of their own; all others become attributes. */
static bool is_own_member(const char *name)
{
    static const char *const names[] = {"specversion", "source",    "type",          "subject",
                                        "time",        "data",      "schemaversion", "sequence",
                                        "eventid",     "acceptedat"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static enum status value_write(json_t *value, unsigned depth, struct buffer *event,
                               struct detail *ret_detail);

static enum status array_write(json_t *array, unsigned depth, struct buffer *event,
                               struct detail *ret_detail)
{
    codec_array(event, (uint32_t)json_array_size(array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        enum status status = value_write(json_array_get(array, i), depth, event, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status object_write(json_t *object, unsigned depth, struct buffer *event,
                                struct detail *ret_detail)
{
    const char *key;
    json_t *value;
    codec_map(event, (uint32_t)json_object_size(object));
    json_object_foreach(object, key, value)
    {
        codec_text(event, key);
        enum status status = value_write(value, depth, event, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* `depth`: containers around the value. Recursion ends at MP_DATA_DEPTH_MAX. */
static enum status value_write(json_t *value, unsigned depth, struct buffer *event,
                               struct detail *ret_detail)
{
    bool container = json_is_object(value) || json_is_array(value);
    if (container && depth == MP_DATA_DEPTH_MAX)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "data: nested deeper than %d",
                          MP_DATA_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_write(value, depth + 1, event, ret_detail);
    case JSON_ARRAY:
        return array_write(value, depth + 1, event, ret_detail);
    case JSON_STRING:
        codec_text_slice(event, slice_of_string(value));
        break;
    case JSON_INTEGER:
        codec_int(event, json_integer_value(value));
        break;
    case JSON_REAL:
        codec_float(event, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        codec_bool(event, json_is_true(value));
        break;
    case JSON_NULL:
        codec_nil(event);
        break;
    }
    return STATUS_OK;
}

static enum status attribute_write(struct member member, struct buffer *event,
                                   struct detail *ret_detail)
{
    char number[32];
    codec_text(event, member.name);
    switch (json_typeof(member.value)) {
    case JSON_STRING:
        codec_text_slice(event, slice_of_string(member.value));
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(member.value));
        codec_text(event, number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(member.value));
        codec_text(event, number);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        codec_text(event, json_is_true(member.value) ? "true" : "false");
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NULL:
        return bad(ret_detail, member.name, "must be a string, a number or a boolean");
    }
    return STATUS_OK;
}

static bool is_attribute(const char *name, const json_t *value)
{
    return !json_is_null(value) && !is_own_member(name);
}

static uint32_t attributes_count(json_t *line)
{
    const char *name;
    json_t *value;
    uint32_t count = 0;
    json_object_foreach(line, name, value)
    {
        if (is_attribute(name, value))
            count++;
    }
    return count;
}

static enum status attributes_write(json_t *line, struct buffer *event, struct detail *ret_detail)
{
    const char *name;
    json_t *value;
    uint32_t count = attributes_count(line);
    if (count == 0)
        return STATUS_OK;
    codec_map(event, count);
    json_object_foreach(line, name, value)
    {
        enum status status = STATUS_OK;
        if (is_attribute(name, value))
            status = attribute_write((struct member){name, value}, event, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* A member that is missing or null leaves `ret_text` as it is. */
static enum status text_member(const json_t *line, const char *name, struct slice *ret_text,
                               struct detail *ret_detail)
{
    const json_t *value = json_object_get(line, name);
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    if (!json_is_string(value))
        return bad(ret_detail, name, "must be a string");
    *ret_text = slice_of_string(value);
    return STATUS_OK;
}

static enum status specversion_check(const json_t *line, struct detail *ret_detail)
{
    struct slice version = slice_of_text("1.0");
    enum status status = text_member(line, "specversion", &version, ret_detail);
    if (status != STATUS_OK)
        return status;
    return slice_equal_text(version, "1.0") ? STATUS_OK
                                            : bad(ret_detail, "specversion", "must be \"1.0\"");
}

static enum status time_write(const json_t *line, uint64_t now_ns, struct buffer *event,
                              struct detail *ret_detail)
{
    struct slice text = {NULL, 0};
    enum status status = text_member(line, "time", &text, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint64_t time_ns = now_ns;
    bool given = text.data != NULL;
    if (!given && now_ns == JSON_TIME_REQUIRED)
        return bad(ret_detail, "time", "is missing");
    if (given && (strlen((const char *)text.data) != text.size ||
                  !clock_parse((const char *)text.data, &time_ns)))
        return bad(ret_detail, "time", "must be an RFC 3339 time with a zone, from 1970 to 2262");
    codec_uint(event, time_ns);
    return STATUS_OK;
}

static enum status type_write(const json_t *line, struct buffer *event, struct detail *ret_detail)
{
    struct slice type = {NULL, 0};
    enum status status = text_member(line, "type", &type, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (type.data == NULL)
        return bad(ret_detail, "type", "is missing");
    codec_text_slice(event, type);
    return STATUS_OK;
}

static enum status subject_write(const json_t *line, struct buffer *event,
                                 struct detail *ret_detail)
{
    struct slice subject = slice_of_text("-");
    enum status status = text_member(line, "subject", &subject, ret_detail);
    if (status == STATUS_OK)
        codec_text_slice(event, subject);
    return status;
}

static enum status schema_version_write(const json_t *line, struct buffer *event,
                                        struct detail *ret_detail)
{
    const json_t *value = json_object_get(line, "schemaversion");
    bool given = value != NULL && !json_is_null(value);
    if (given && !json_is_integer(value))
        return bad(ret_detail, "schemaversion", "must be an integer");
    codec_int(event, given ? json_integer_value(value) : 1);
    return STATUS_OK;
}

static enum status data_write(json_t *line, struct buffer *event, struct detail *ret_detail)
{
    json_t *value = json_object_get(line, "data");
    if (json_object_get(line, "data_base64") != NULL)
        return bad(ret_detail, "data_base64", "is not supported: use data with an object");
    if (value == NULL || json_is_null(value)) {
        codec_map(event, 0);
        return STATUS_OK;
    }
    if (!json_is_object(value))
        return bad(ret_detail, "data", "must be an object");
    return value_write(value, 0, event, ret_detail);
}

static enum status event_write(json_t *line, uint64_t now_ns, struct buffer *event,
                               struct detail *ret_detail)
{
    codec_array(event, attributes_count(line) > 0 ? 6 : 5);
    enum status status = specversion_check(line, ret_detail);
    if (status == STATUS_OK)
        status = time_write(line, now_ns, event, ret_detail);
    if (status == STATUS_OK)
        status = type_write(line, event, ret_detail);
    if (status == STATUS_OK)
        status = subject_write(line, event, ret_detail);
    if (status == STATUS_OK)
        status = schema_version_write(line, event, ret_detail);
    if (status == STATUS_OK)
        status = data_write(line, event, ret_detail);
    if (status == STATUS_OK)
        status = attributes_write(line, event, ret_detail);
    return status == STATUS_OK ? event->status : status;
}

/* What the line gave must be an event for the processor too. */
static enum status written_check(struct slice written, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(written);
    struct event event;
    enum status status = event_read(&reader, &event, NULL, ret_detail);
    return status == STATUS_OK ? STATUS_OK : STATUS_BAD_INPUT;
}

static enum status source_member(const json_t *line, struct slice *ret_source,
                                 struct detail *ret_detail)
{
    enum status status = text_member(line, "source", ret_source, ret_detail);
    if (status != STATUS_OK || ret_source->data == NULL)
        return status;
    status = event_source_check(*ret_source, ret_detail);
    return status == STATUS_OK ? STATUS_OK : STATUS_BAD_INPUT;
}

static enum status line_parse(struct slice line, json_t **ret_object, struct detail *ret_detail)
{
    if (line.size > JSON_LINE_BYTES_MAX)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "line: %zu bytes, more than %d", line.size,
                          JSON_LINE_BYTES_MAX);
    if (line.size >= 3 &&
        memcmp(line.data, "\xef\xbb\xbf", 3) == 0) /* RFC 8259, 8.1: may be ignored */
        line = (struct slice){line.data + 3, line.size - 3};
    if (line.size == 0)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "line: empty");
    json_error_t error;
    json_t *object = json_loadb((const char *)line.data, line.size,
                                JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (object == NULL)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "column %d: %s", error.column, error.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return detail_set(ret_detail, STATUS_BAD_INPUT, "line: not a JSON object");
    }
    *ret_object = object;
    return STATUS_OK;
}

enum status json_tree_read(struct slice line, uint64_t now_ns, struct buffer *event,
                           char *ret_source, struct detail *ret_detail)
{
    json_t *object = NULL;
    enum status status = line_parse(line, &object, ret_detail);
    if (status != STATUS_OK)
        return status;

    size_t size_before = event->size;
    struct slice source = {NULL, 0};
    status = source_member(object, &source, ret_detail);
    if (status != STATUS_OK)
        goto out;
    status = event_write(object, now_ns, event, ret_detail);
    if (status != STATUS_OK)
        goto out;
    struct slice written = {event->data + size_before, event->size - size_before};
    status = written_check(written, ret_detail);
    if (status != STATUS_OK)
        goto out;
    if (source.size > 0)
        memcpy(ret_source, source.data, source.size);
    ret_source[source.size] = '\0';

out:
    if (status != STATUS_OK)
        event->size = size_before;
    json_decref(object);
    return status;
}

enum status json_read_event(struct slice line, uint64_t now_ns, struct buffer *event,
                            char *ret_source, struct detail *ret_detail)
{
    if (json_fast_read(line, now_ns, event, ret_source))
        return STATUS_OK;
    return json_tree_read(line, now_ns, event, ret_source, ret_detail);
}

/* --- records --- */

/* A number that is written as digits, or as a JSON integer. */
static enum status number_member(const json_t *line, const char *name, uint64_t *ret_value,
                                 struct detail *ret_detail)
{
    const json_t *value = json_object_get(line, name);
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret_value = (uint64_t)json_integer_value(value);
        return STATUS_OK;
    }
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 20 || text[digits] != '\0')
        return bad(ret_detail, name, "must be a number of digits");
    *ret_value = strtoull(text, NULL, 10);
    return STATUS_OK;
}

static enum status short_member(const json_t *line, const char *name,
                                char ret_text[JSON_RECORD_TEXT_BYTES_MAX],
                                struct detail *ret_detail)
{
    struct slice text = {NULL, 0};
    enum status status = text_member(line, name, &text, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (text.size >= JSON_RECORD_TEXT_BYTES_MAX)
        return bad(ret_detail, name, "is too long");
    if (text.size > 0)
        memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return STATUS_OK;
}

static enum status stamp_member(const json_t *line, const char *name, uint64_t *ret_time_ns,
                                struct detail *ret_detail)
{
    char text[JSON_RECORD_TEXT_BYTES_MAX];
    enum status status = short_member(line, name, text, ret_detail);
    if (status != STATUS_OK || text[0] == '\0')
        return status;
    return clock_parse(text, ret_time_ns) ? STATUS_OK
                                          : bad(ret_detail, name, "must be an RFC 3339 time");
}

static enum status key_member(const json_t *line, struct json_record *record,
                              struct detail *ret_detail)
{
    const json_t *value = json_object_get(line, "key");
    record->has_key = value != NULL && !json_is_null(value);
    record->key_is_text = !json_is_integer(value);
    if (record->has_key && record->key_is_text)
        return short_member(line, "key", record->key, ret_detail);
    record->key_number = json_is_integer(value) ? json_integer_value(value) : 0;
    return STATUS_OK;
}

static enum status rejection_members(const json_t *line, struct json_record *record,
                                     struct detail *ret_detail)
{
    record->is_rejection = true;
    record->count = 1;
    enum status status = number_member(line, "rejectionid", &record->id, ret_detail);
    if (status == STATUS_OK)
        status = number_member(line, "count", &record->count, ret_detail);
    if (status == STATUS_OK)
        status = stamp_member(line, "rejectedat", &record->time_ns, ret_detail);
    if (status == STATUS_OK)
        status = short_member(line, "reason", record->reason, ret_detail);
    if (status == STATUS_OK)
        status = short_member(line, "policy", record->policy, ret_detail);
    if (status == STATUS_OK)
        status = key_member(line, record, ret_detail);
    return status;
}

static enum status accepted_members(json_t *line, uint64_t now_ns, struct buffer *event,
                                    struct json_record *record, struct detail *ret_detail)
{
    struct slice source = {NULL, 0};
    enum status status = number_member(line, "eventid", &record->id, ret_detail);
    if (status == STATUS_OK)
        status = number_member(line, "sequence", &record->sequence, ret_detail);
    if (status == STATUS_OK)
        status = stamp_member(line, "acceptedat", &record->time_ns, ret_detail);
    if (status == STATUS_OK)
        status = text_member(line, "source", &source, ret_detail);
    if (status == STATUS_OK && source.size > EVENT_SOURCE_BYTES_MAX)
        status = bad(ret_detail, "source", "is too long");
    if (status != STATUS_OK)
        return status;
    if (source.size > 0)
        memcpy(record->source, source.data, source.size);
    record->source[source.size] = '\0';
    return event_write(line, now_ns, event, ret_detail);
}

/* As written_check; our own types pass. */
static enum status stored_check(struct slice written, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(written);
    struct event event;
    if (event_read_stored(&reader, &event) == STATUS_OK && event.type.size >= 4 &&
        memcmp(event.type.data, "weir", 4) == 0)
        return STATUS_OK;
    return written_check(written, ret_detail);
}

enum status json_read_record(struct slice line, uint64_t now_ns, struct buffer *event,
                             struct json_record *ret_record, struct detail *ret_detail)
{
    json_t *object = NULL;
    size_t size_before = event->size;
    struct json_record record = {.count = 1};
    enum status status = line_parse(line, &object, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (json_object_get(object, "rejectionid") != NULL) {
        status = rejection_members(object, &record, ret_detail);
    } else {
        status = accepted_members(object, now_ns, event, &record, ret_detail);
        struct slice written = {event->data + size_before, event->size - size_before};
        if (status == STATUS_OK)
            status = stored_check(written, ret_detail);
    }
    if (status == STATUS_OK)
        *ret_record = record;
    else
        event->size = size_before;
    json_decref(object);
    return status;
}
