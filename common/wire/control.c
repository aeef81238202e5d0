#include "common/wire/control.h"

#include <assert.h>

#include "common/event/codec.h"

static const char *const code_texts[] = {
#define X(name, text) [CONTROL_CODE_##name] = (text),
    CONTROL_CODE_TABLE(X)
#undef X
};
enum { CODE_COUNT = sizeof code_texts / sizeof code_texts[0] };

const char *control_code_text(enum control_code code)
{
    assert((unsigned)code < CODE_COUNT);
    return code_texts[code];
}

static const char *const stream_texts[] = {
    [STREAM_ACCEPTED] = "accepted",
    [STREAM_REJECTED] = "rejected",
};
enum { STREAM_COUNT = sizeof stream_texts / sizeof stream_texts[0] };

const char *stream_text(enum stream stream)
{
    assert((unsigned)stream < STREAM_COUNT);
    return stream_texts[stream];
}

void control_ok_write(struct buffer *buffer, uint32_t items)
{
    message_open_write(buffer, items + 2);
    codec_text(buffer, "ok");
}

void control_error_write(struct buffer *buffer, enum control_code code, const char *text)
{
    message_open_write(buffer, 4);
    codec_text(buffer, "error");
    codec_text(buffer, control_code_text(code));
    codec_text_slice(buffer, text_fit(slice_of_text(text), CONTROL_TEXT_BYTES_MAX));
}

/* What a code means for the one who asked; a code of a later version is just a refusal. */
static enum status status_of_code(struct slice code)
{
    if (slice_equal_text(code, control_code_text(CONTROL_CODE_NOT_FOUND)))
        return STATUS_NOT_FOUND;
    if (slice_equal_text(code, control_code_text(CONTROL_CODE_GONE)))
        return STATUS_GONE;
    if (slice_equal_text(code, control_code_text(CONTROL_CODE_UNAVAILABLE)))
        return STATUS_UNAVAILABLE;
    if (slice_equal_text(code, control_code_text(CONTROL_CODE_UNAUTHORIZED)))
        return STATUS_FENCED;
    return STATUS_INVALID;
}

static enum status no_reply(struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_MALFORMED, "the answer is not a reply of the protocol");
}

/* The code and text of an error reply, as a status. */
static enum status read_error(struct mp_reader *at, uint32_t items, struct detail *ret_detail)
{
    struct slice code, text;
    if (items != 2 || mp_read_text(at, &code) != STATUS_OK || mp_read_text(at, &text) != STATUS_OK)
        return no_reply(ret_detail);
    code = text_fit(code, CONTROL_NAME_BYTES_MAX);
    text = text_fit(text, CONTROL_TEXT_BYTES_MAX);
    return detail_set(ret_detail, status_of_code(code), "%.*s: %.*s", (int)code.size,
                      (const char *)code.data, (int)text.size, (const char *)text.data);
}

enum status control_reply_read(struct slice frame, struct mp_reader *ret_reader,
                               uint32_t *ret_items, struct detail *ret_detail)
{
    struct mp_reader at = mp_reader_of(frame);
    struct mp_reader whole = at;
    uint32_t items;
    uint64_t version;
    struct slice outcome;
    if (mp_skip(&whole) != STATUS_OK || !mp_at_end(&whole))
        return no_reply(ret_detail);
    if (mp_read_array(&at, &items) != STATUS_OK || items < 2)
        return no_reply(ret_detail);
    if (mp_read_uint(&at, &version) != STATUS_OK || version != WIRE_VERSION)
        return no_reply(ret_detail);
    if (mp_read_text(&at, &outcome) != STATUS_OK)
        return no_reply(ret_detail);
    if (slice_equal_text(outcome, "error"))
        return read_error(&at, items - 2, ret_detail);
    if (!slice_equal_text(outcome, "ok"))
        return no_reply(ret_detail);
    *ret_reader = at;
    *ret_items = items - 2;
    return STATUS_OK;
}

/* A good reply of exactly `items` items that begins with the log's identity. */
static enum status open_log_reply(struct slice frame, uint32_t items, struct mp_reader *ret_at,
                                  struct log_id *ret_log_id, struct detail *ret_detail)
{
    struct mp_reader at = {NULL, NULL};
    uint32_t count = 0;
    enum status status = control_reply_read(frame, &at, &count, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (count != items || log_id_read(&at, ret_log_id) != STATUS_OK)
        return no_reply(ret_detail);
    *ret_at = at;
    return STATUS_OK;
}

enum { HELLO_REPLY_ITEMS = 3, REPLAY_REPLY_ITEMS = 4 };

enum status control_reply_map_read(struct slice frame, struct slice *ret_map,
                                   struct detail *ret_detail)
{
    struct mp_reader at = {NULL, NULL};
    uint32_t count, pairs;
    enum status status = control_reply_read(frame, &at, &count, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct mp_reader map = at;
    struct slice raw;
    if (count != 1 || mp_read_map(&map, &pairs) != STATUS_OK || mp_read_raw(&at, &raw) != STATUS_OK)
        return no_reply(ret_detail);
    *ret_map = raw;
    return STATUS_OK;
}

enum status control_reply_uint_read(struct slice frame, uint64_t *ret_value,
                                    struct detail *ret_detail)
{
    struct mp_reader at = {NULL, NULL};
    uint32_t count;
    enum status status = control_reply_read(frame, &at, &count, ret_detail);
    if (status != STATUS_OK)
        return status;
    return count == 1 && mp_read_uint(&at, ret_value) == STATUS_OK ? STATUS_OK
                                                                   : no_reply(ret_detail);
}

void hello_reply_write(struct buffer *buffer, const struct hello_reply *reply)
{
    control_ok_write(buffer, HELLO_REPLY_ITEMS);
    log_id_write(buffer, &reply->log_id);
    codec_uint(buffer, reply->epoch);
    codec_uint(buffer, reply->last_sequence);
}

enum status hello_reply_read(struct slice frame, struct hello_reply *ret_reply,
                             struct detail *ret_detail)
{
    struct mp_reader at = {NULL, NULL};
    struct hello_reply reply;
    enum status status = open_log_reply(frame, HELLO_REPLY_ITEMS, &at, &reply.log_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (mp_read_uint(&at, &reply.epoch) != STATUS_OK ||
        mp_read_uint(&at, &reply.last_sequence) != STATUS_OK)
        return no_reply(ret_detail);
    *ret_reply = reply;
    return STATUS_OK;
}

void replay_reply_write(struct buffer *buffer, const struct replay_reply *reply)
{
    control_ok_write(buffer, REPLAY_REPLY_ITEMS);
    log_id_write(buffer, &reply->log_id);
    codec_uint(buffer, reply->first_id);
    codec_uint(buffer, reply->count);
    codec_uint(buffer, reply->last_id);
}

enum status replay_reply_read(struct slice frame, struct replay_reply *ret_reply,
                              struct detail *ret_detail)
{
    struct mp_reader at = {NULL, NULL};
    struct replay_reply reply;
    enum status status = open_log_reply(frame, REPLAY_REPLY_ITEMS, &at, &reply.log_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (mp_read_uint(&at, &reply.first_id) != STATUS_OK ||
        mp_read_uint(&at, &reply.count) != STATUS_OK ||
        mp_read_uint(&at, &reply.last_id) != STATUS_OK)
        return no_reply(ret_detail);
    *ret_reply = reply;
    return STATUS_OK;
}
