#include "common/wire/feed.h"

#include <assert.h>
#include <string.h>

#include "common/event/codec.h"

enum {
    FEED_HEADER_ITEMS = 5,
    HEARTBEAT_ITEMS = 5,
    ACK_ITEMS = 8,
    REFUSAL_ITEMS = 4,
};

void feed_header_write(struct buffer *buffer, const struct feed_header *header)
{
    message_open_write(buffer, FEED_HEADER_ITEMS);
    log_id_write(buffer, &header->log_id);
    codec_uint(buffer, header->first_id);
    codec_uint(buffer, header->count);
    codec_uint(buffer, header->published_at_ns);
}

enum status feed_header_read(struct slice frame, struct feed_header *ret_header)
{
    struct mp_reader at = mp_reader_of(frame);
    struct feed_header header;
    enum status status = message_open_read(&at, FEED_HEADER_ITEMS);
    if (status == STATUS_OK)
        status = log_id_read(&at, &header.log_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &header.first_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &header.count);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &header.published_at_ns);
    if (status == STATUS_OK)
        status = message_end_read(&at);
    if (status == STATUS_OK)
        *ret_header = header;
    return status;
}

void heartbeat_write(struct buffer *buffer, const struct heartbeat *heartbeat)
{
    message_open_write(buffer, HEARTBEAT_ITEMS);
    log_id_write(buffer, &heartbeat->log_id);
    codec_uint(buffer, heartbeat->last_event_id);
    codec_uint(buffer, heartbeat->last_rejection_id);
    codec_uint(buffer, heartbeat->now_ns);
}

enum status heartbeat_read(struct slice frame, struct heartbeat *ret_heartbeat)
{
    struct mp_reader at = mp_reader_of(frame);
    struct heartbeat heartbeat;
    enum status status = message_open_read(&at, HEARTBEAT_ITEMS);
    if (status == STATUS_OK)
        status = log_id_read(&at, &heartbeat.log_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &heartbeat.last_event_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &heartbeat.last_rejection_id);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &heartbeat.now_ns);
    if (status == STATUS_OK)
        status = message_end_read(&at);
    if (status == STATUS_OK)
        *ret_heartbeat = heartbeat;
    return status;
}

static const char *const ack_status_texts[] = {
    [ACK_OK] = "ok",
    [ACK_GAP] = "gap",
    [ACK_FENCED] = "fenced",
    [ACK_FORGOTTEN] = "forgotten",
};
enum { ACK_STATUS_COUNT = sizeof ack_status_texts / sizeof ack_status_texts[0] };

const char *ack_status_text(enum ack_status status)
{
    assert((unsigned)status < ACK_STATUS_COUNT);
    return ack_status_texts[status];
}

struct slice ack_topic(struct slice source, char ret_topic[FEED_TOPIC_BYTES_MAX])
{
    static const char prefix[] = {'a', 'c', 'k', '/'};
    assert(source.size <= EVENT_SOURCE_BYTES_MAX);
    memcpy(ret_topic, prefix, sizeof prefix);
    if (source.size > 0)
        memcpy(ret_topic + sizeof prefix, source.data, source.size);
    size_t size = sizeof prefix + source.size;
    ret_topic[size] = '/';
    return (struct slice){(const uint8_t *)ret_topic, size + 1};
}

void ack_write(struct buffer *buffer, const struct ack *ack)
{
    assert(ack->refusal_count <= ACK_REFUSALS_MAX);
    message_open_write(buffer, ACK_ITEMS);
    log_id_write(buffer, &ack->log_id);
    codec_text_slice(buffer, ack->source);
    codec_uint(buffer, ack->epoch);
    codec_uint(buffer, ack->first_sequence);
    codec_uint(buffer, ack->last_sequence);
    codec_text(buffer, ack_status_text(ack->status));
    codec_array(buffer, ack->refusal_count);
    buffer_append(buffer, ack->refusals.data, ack->refusals.size);
}

void refusal_write(struct buffer *buffer, const struct refusal *refusal)
{
    codec_array(buffer, REFUSAL_ITEMS);
    codec_uint(buffer, refusal->sequence);
    if (refusal->has_reason)
        codec_text(buffer, reason_text(refusal->reason));
    else
        codec_nil(buffer);
    message_text_or_nil_write(buffer, refusal->policy);
    record_retry_after_write(buffer, refusal->retry_after_ns);
}

static enum status read_ack_status(struct mp_reader *at, enum ack_status *ret_status)
{
    struct slice text;
    enum status status = mp_read_text(at, &text);
    if (status != STATUS_OK)
        return status;
    for (unsigned i = 0; i < ACK_STATUS_COUNT; i++) {
        if (slice_equal_text(text, ack_status_texts[i])) {
            *ret_status = (enum ack_status)i;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

/* first ≤ last + 1, where an empty range is first = last + 1. */
static enum status read_range(struct mp_reader *at, struct ack *ack)
{
    enum status status = mp_read_uint(at, &ack->first_sequence);
    if (status == STATUS_OK)
        status = mp_read_uint(at, &ack->last_sequence);
    if (status != STATUS_OK)
        return status;
    bool ordered =
        ack->first_sequence <= ack->last_sequence || ack->first_sequence - 1 == ack->last_sequence;
    return ordered ? STATUS_OK : STATUS_INVALID;
}

/* Keeps the list's bytes; each item is looked at when it is read. */
static enum status read_refusals(struct mp_reader *at, struct ack *ack)
{
    enum status status = mp_read_array(at, &ack->refusal_count);
    if (status != STATUS_OK)
        return status;
    if (ack->refusal_count > ACK_REFUSALS_MAX)
        return STATUS_INVALID;
    const uint8_t *first = at->at;
    for (uint32_t i = 0; i < ack->refusal_count && status == STATUS_OK; i++)
        status = mp_skip(at);
    ack->refusals = (struct slice){first, (size_t)(at->at - first)};
    return status;
}

enum status ack_read(struct slice frame, struct ack *ret_ack)
{
    struct mp_reader at = mp_reader_of(frame);
    struct ack ack;
    enum status status = message_open_read(&at, ACK_ITEMS);
    if (status == STATUS_OK)
        status = log_id_read(&at, &ack.log_id);
    if (status == STATUS_OK)
        status = message_source_read(&at, &ack.source);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &ack.epoch);
    if (status == STATUS_OK)
        status = read_range(&at, &ack);
    if (status == STATUS_OK)
        status = read_ack_status(&at, &ack.status);
    if (status == STATUS_OK)
        status = read_refusals(&at, &ack);
    if (status == STATUS_OK)
        status = message_end_read(&at);
    if (status == STATUS_OK)
        *ret_ack = ack;
    return status;
}

static enum status read_reason_or_nil(struct mp_reader *at, struct refusal *refusal)
{
    refusal->reason = REASON_INVALID;
    refusal->has_reason = !mp_read_nil(at);
    if (!refusal->has_reason)
        return STATUS_OK;
    return record_reason_read(at, &refusal->reason);
}

enum status refusal_read(struct mp_reader *reader, struct refusal *ret_refusal)
{
    struct mp_reader at = *reader;
    struct refusal refusal;
    enum status status = message_array_read(&at, REFUSAL_ITEMS);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &refusal.sequence);
    if (status == STATUS_OK)
        status = read_reason_or_nil(&at, &refusal);
    if (status == STATUS_OK)
        status = message_text_or_nil_read(&at, RECORD_POLICY_BYTES_MAX, &refusal.policy);
    if (status == STATUS_OK)
        status = record_retry_after_read(&at, &refusal.retry_after_ns);
    if (status != STATUS_OK)
        return status;
    *ret_refusal = refusal;
    reader->at = at.at;
    return STATUS_OK;
}
