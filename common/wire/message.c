#include "common/wire/message.h"

#include <string.h>

#include "common/event/codec.h"

bool log_id_equal(const struct log_id *a, const struct log_id *b)
{
    return memcmp(a->bytes, b->bytes, LOG_ID_BYTES) == 0;
}

void log_id_write(struct buffer *buffer, const struct log_id *log_id)
{
    codec_bin(buffer, (struct slice){log_id->bytes, LOG_ID_BYTES});
}

enum status log_id_read(struct mp_reader *reader, struct log_id *ret_log_id)
{
    struct mp_reader at = *reader;
    struct slice bytes;
    enum status status = mp_read_bin(&at, &bytes);
    if (status != STATUS_OK)
        return status;
    if (bytes.size != LOG_ID_BYTES)
        return STATUS_INVALID;
    memcpy(ret_log_id->bytes, bytes.data, LOG_ID_BYTES);
    reader->at = at.at;
    return STATUS_OK;
}

void message_open_write(struct buffer *buffer, uint32_t items)
{
    codec_array(buffer, items);
    codec_uint(buffer, WIRE_VERSION);
}

enum status message_open_read(struct mp_reader *reader, uint32_t items)
{
    struct mp_reader at = *reader;
    uint64_t version;
    enum status status = message_array_read(&at, items);
    if (status == STATUS_OK)
        status = mp_read_uint(&at, &version);
    if (status != STATUS_OK)
        return status;
    if (version != WIRE_VERSION)
        return STATUS_INVALID;
    reader->at = at.at;
    return STATUS_OK;
}

enum status message_end_read(const struct mp_reader *reader)
{
    return mp_at_end(reader) ? STATUS_OK : STATUS_MALFORMED;
}

void message_text_or_nil_write(struct buffer *buffer, struct slice text)
{
    if (text.size == 0 || !utf8_valid(text))
        codec_nil(buffer);
    else
        codec_text_slice(buffer, text);
}

enum status message_text_or_nil_read(struct mp_reader *reader, size_t bytes_max,
                                     struct slice *ret_text)
{
    if (mp_read_nil(reader)) {
        *ret_text = (struct slice){NULL, 0};
        return STATUS_OK;
    }
    struct mp_reader at = *reader;
    struct slice text;
    enum status status = mp_read_text(&at, &text);
    if (status != STATUS_OK)
        return status;
    if (text.size > bytes_max)
        return STATUS_INVALID;
    *ret_text = text;
    reader->at = at.at;
    return STATUS_OK;
}

/* How long the character is that begins with `lead`; 1 for a byte that begins none. */
static size_t character_bytes(uint8_t lead)
{
    if (lead < 0xc0)
        return 1;
    if (lead < 0xe0)
        return 2;
    return lead < 0xf0 ? 3 : 4;
}

struct slice text_fit(struct slice text, size_t bytes_max)
{
    size_t limit = text.size < bytes_max ? text.size : bytes_max;
    size_t end = 0;
    while (end < limit) {
        size_t bytes = character_bytes(text.data[end]);
        if (bytes > limit - end || !utf8_valid((struct slice){text.data + end, bytes}))
            break;
        end += bytes;
    }
    return (struct slice){text.data, end};
}
