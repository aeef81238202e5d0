#include "common/wire/submission.h"

#include <assert.h>
#include <inttypes.h>

#include "common/event/codec.h"

enum { HEADER_ITEMS = 5 };

static enum status check_shape(struct mp_reader *at, struct detail *ret_detail)
{
    uint32_t items;
    uint64_t version;
    if (mp_read_array(at, &items) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "the header is not an array");
    if (items == 0 || mp_read_uint(at, &version) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "the header does not begin with a version");
    if (version != WIRE_VERSION)
        return detail_set(ret_detail, STATUS_INVALID, "version %" PRIu64 " is not %d", version,
                          WIRE_VERSION);
    if (items != HEADER_ITEMS)
        return detail_set(ret_detail, STATUS_INVALID, "the header has %" PRIu32 " items, not %d",
                          items, HEADER_ITEMS);
    return STATUS_OK;
}

static enum status check_ranges(const struct submission_header *header, uint64_t count,
                                struct detail *ret_detail)
{
    enum status status = event_source_check(header->source, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (count == 0 || count > SUBMISSION_EVENTS_MAX)
        return detail_set(ret_detail, STATUS_INVALID, "count %" PRIu64 " is not 1 to %d", count,
                          SUBMISSION_EVENTS_MAX);
    if (header->first_sequence > UINT64_MAX - (count - 1))
        return detail_set(ret_detail, STATUS_INVALID,
                          "first_sequence %" PRIu64 " and count %" PRIu64 " pass 2^64 - 1",
                          header->first_sequence, count);
    return STATUS_OK;
}

static enum status read_fields(struct mp_reader *at, struct submission_header *header,
                               struct detail *ret_detail)
{
    uint64_t count;
    enum status status = check_shape(at, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (mp_read_text(at, &header->source) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "source is not a string");
    if (mp_read_uint(at, &header->epoch) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "epoch is not an unsigned integer");
    if (mp_read_uint(at, &header->first_sequence) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "first_sequence is not an unsigned integer");
    if (mp_read_uint(at, &count) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "count is not an unsigned integer");
    status = check_ranges(header, count, ret_detail);
    if (status != STATUS_OK)
        return status;
    header->count = (uint32_t)count;
    return STATUS_OK;
}

enum status submission_read_header(struct mp_reader *reader, struct submission_header *ret_header,
                                   struct detail *ret_detail)
{
    struct mp_reader at = *reader;
    struct submission_header header = {0};
    enum status status = read_fields(&at, &header, ret_detail);
    if (status == STATUS_OK) {
        *ret_header = header;
        reader->at = at.at;
        return STATUS_OK;
    }
    /* A field that could not be read may be wrong, or no MessagePack at all: that weighs more. */
    struct mp_reader whole = *reader;
    struct detail why;
    if (mp_skip_explain(&whole, reader->at, &why) != STATUS_OK)
        return detail_set(ret_detail, STATUS_MALFORMED, "the header is not MessagePack: %.300s",
                          why.text);
    return status;
}

uint8_t *submission_put_header(uint8_t *at, const struct submission_header *header)
{
    assert(header->source.size <= EVENT_SOURCE_BYTES_MAX);
    at = codec_put_array(at, HEADER_ITEMS);
    at = codec_put_uint(at, WIRE_VERSION);
    at = codec_put_text(at, header->source);
    at = codec_put_uint(at, header->epoch);
    at = codec_put_uint(at, header->first_sequence);
    return codec_put_uint(at, header->count);
}
