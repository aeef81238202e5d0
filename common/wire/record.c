#include "common/wire/record.h"

#include <assert.h>

#include "common/event/codec.h"
#include "common/event/json.h"

enum { ACCEPTED_ITEMS = 5, REJECTION_ITEMS = 14 };

static const struct slice nothing = {NULL, 0};

uint8_t *accepted_record_put(uint8_t *at, uint64_t event_id, uint64_t accepted_at_ns,
                             struct slice source, uint64_t sequence, struct slice event)
{
    at = codec_put_array(at, ACCEPTED_ITEMS);
    at = codec_put_uint(at, event_id);
    at = codec_put_uint64(at, accepted_at_ns);
    at = codec_put_text(at, source);
    at = codec_put_uint(at, sequence);
    return codec_put_bytes(at, event);
}

static enum status read_id(struct mp_reader *at, uint64_t *ret_id)
{
    enum status status = mp_read_uint(at, ret_id);
    if (status != STATUS_OK)
        return status;
    return *ret_id >= 1 ? STATUS_OK : STATUS_INVALID;
}

enum status accepted_record_read(struct mp_reader *reader, struct accepted_record *ret_record)
{
    struct mp_reader at = *reader;
    enum status status = message_array_read(&at, ACCEPTED_ITEMS);
    if (status == STATUS_OK)
        status = read_id(&at, &ret_record->event_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &ret_record->accepted_at_ns);
    if (status == STATUS_OK)
        status = message_source_read(&at, &ret_record->source);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &ret_record->sequence);
    if (status == STATUS_OK)
        status = event_read_stored(&at, &ret_record->event);
    if (status == STATUS_OK)
        reader->at = at.at;
    return status;
}

static void write_raw_or_nil(struct buffer *buffer, struct slice item)
{
    if (item.size == 0)
        codec_nil(buffer);
    else
        buffer_append(buffer, item.data, item.size);
}

static void write_evidence(struct buffer *buffer, const struct rejection *rejection)
{
    struct slice evidence = rejection->evidence;
    if (rejection->evidence_is_event || evidence.size == 0) {
        write_raw_or_nil(buffer, evidence);
        return;
    }
    if (evidence.size > RECORD_EVIDENCE_BYTES_MAX)
        evidence.size = RECORD_EVIDENCE_BYTES_MAX;
    codec_bin(buffer, evidence);
}

void rejection_write(struct buffer *buffer, const struct rejection *rejection)
{
    assert(rejection->count >= 1);
    codec_array(buffer, REJECTION_ITEMS);
    codec_uint(buffer, rejection->rejection_id);
    codec_uint(buffer, rejection->rejected_at_ns);
    codec_uint(buffer, rejection->after_event_id);
    codec_text(buffer, reason_text(rejection->reason));
    message_text_or_nil_write(buffer, text_fit(rejection->detail, RECORD_DETAIL_BYTES_MAX));
    message_text_or_nil_write(buffer, rejection->source);
    if (rejection->has_sequence)
        codec_uint(buffer, rejection->sequence);
    else
        codec_nil(buffer);
    codec_uint(buffer, rejection->count);
    message_text_or_nil_write(buffer, rejection->type);
    message_text_or_nil_write(buffer, rejection->subject);
    message_text_or_nil_write(buffer, rejection->policy);
    write_raw_or_nil(buffer, rejection->key);
    record_retry_after_write(buffer, rejection->retry_after_ns);
    write_evidence(buffer, rejection);
}

enum status record_reason_read(struct mp_reader *reader, enum reason *ret_reason)
{
    struct mp_reader at = *reader;
    struct slice text;
    enum status status = mp_read_text(&at, &text);
    if (status != STATUS_OK)
        return status;
    if (!reason_parse(text, ret_reason))
        return STATUS_INVALID;
    reader->at = at.at;
    return STATUS_OK;
}

/* sequence and count; a record stands for at least one refusal. */
static enum status read_span(struct mp_reader *at, struct rejection *rejection)
{
    rejection->sequence = 0;
    rejection->has_sequence = !mp_read_nil(at);
    enum status status = STATUS_OK;
    if (rejection->has_sequence)
        status = mp_read_uint(at, &rejection->sequence);
    if (status == STATUS_OK)
        status = read_id(at, &rejection->count);
    return status;
}

/* nil, or a string or an integer. */
static enum status read_key(struct mp_reader *at, struct slice *ret_key)
{
    enum mp_type type;
    if (mp_read_nil(at)) {
        *ret_key = nothing;
        return STATUS_OK;
    }
    enum status status = mp_peek(at, &type);
    if (status != STATUS_OK)
        return status;
    if (type != MP_TEXT && type != MP_UINT && type != MP_NEGATIVE)
        return STATUS_INVALID;
    return mp_read_raw(at, ret_key);
}

void record_retry_after_write(struct buffer *buffer, uint64_t retry_after_ns)
{
    if (retry_after_ns == RECORD_NEVER)
        codec_nil(buffer);
    else
        codec_uint(buffer, retry_after_ns);
}

enum status record_retry_after_read(struct mp_reader *reader, uint64_t *ret_retry_after_ns)
{
    if (mp_read_nil(reader)) {
        *ret_retry_after_ns = RECORD_NEVER;
        return STATUS_OK;
    }
    return mp_read_uint(reader, ret_retry_after_ns);
}

/* nil, the event (an array), or the first bytes of what does not decode (a bin). */
static enum status read_evidence(struct mp_reader *at, struct rejection *rejection)
{
    enum mp_type type;
    rejection->evidence = nothing;
    rejection->evidence_is_event = false;
    if (mp_read_nil(at))
        return STATUS_OK;
    enum status status = mp_peek(at, &type);
    if (status != STATUS_OK)
        return status;
    if (type == MP_BIN)
        return mp_read_bin(at, &rejection->evidence);
    if (type != MP_ARRAY)
        return STATUS_INVALID;
    rejection->evidence_is_event = true;
    return mp_read_raw(at, &rejection->evidence);
}

/* rejection_id to source. */
static enum status read_first_half(struct mp_reader *at, struct rejection *rejection)
{
    enum status status = message_array_read(at, REJECTION_ITEMS);
    if (status == STATUS_OK)
        status = read_id(at, &rejection->rejection_id);
    if (status == STATUS_OK)
        status = mp_read_uint(at, &rejection->rejected_at_ns);
    if (status == STATUS_OK)
        status = mp_read_uint(at, &rejection->after_event_id);
    if (status == STATUS_OK)
        status = record_reason_read(at, &rejection->reason);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(at, RECORD_DETAIL_BYTES_MAX, &rejection->detail);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(at, EVENT_SOURCE_BYTES_MAX, &rejection->source);
    return status;
}

/* sequence to evidence. */
static enum status read_second_half(struct mp_reader *at, struct rejection *rejection)
{
    enum status status = read_span(at, rejection);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(at, EVENT_TYPE_BYTES_MAX, &rejection->type);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(at, EVENT_SUBJECT_BYTES_MAX, &rejection->subject);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(at, RECORD_POLICY_BYTES_MAX, &rejection->policy);
    if (status == STATUS_OK)
        status = read_key(at, &rejection->key);
    if (status == STATUS_OK)
        status = record_retry_after_read(at, &rejection->retry_after_ns);
    if (status == STATUS_OK)
        status = read_evidence(at, rejection);
    return status;
}

enum status rejection_read(struct mp_reader *reader, struct rejection *ret_rejection)
{
    struct mp_reader at = *reader;
    struct rejection rejection;
    enum status status = read_first_half(&at, &rejection);
    if (status == STATUS_OK)
        status = read_second_half(&at, &rejection);
    if (status != STATUS_OK)
        return status;
    *ret_rejection = rejection;
    reader->at = at.at;
    return STATUS_OK;
}

/* --- JSON --- */

enum status rejection_write_json(const struct rejection *record, struct buffer *text)
{
    struct event event;
    struct mp_reader reader = mp_reader_of(record->evidence);
    bool decoded = record->evidence_is_event && event_read_stored(&reader, &event) == STATUS_OK;
    const struct json_rejection line = {
        .rejection_id = record->rejection_id,
        .rejected_at_ns = record->rejected_at_ns,
        .after_event_id = record->after_event_id,
        .sequence = record->sequence,
        .count = record->count,
        .retry_after_ns = record->retry_after_ns,
        .detail = record->detail,
        .source = record->source,
        .type = record->type,
        .subject = record->subject,
        .policy = record->policy,
        .key = record->key,
        .evidence = decoded ? (struct slice){NULL, 0} : record->evidence,
        .event = decoded ? &event : NULL,
        .reason = record->reason,
        .has_sequence = record->has_sequence,
        .has_retry_after = record->retry_after_ns != RECORD_NEVER,
    };
    return json_write_rejected(&line, text);
}
