#include "processor/store/batch.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/hash.h"
#include "processor/store/little_endian.h"

/* Offsets of the header's fields, little-endian (docs/log-format.md). */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_KIND = 10,
    AT_PREVIOUS_CRC = 12,
    AT_SALT = 16,
    AT_NUMBER = 24,
    AT_WRITE_FIRST = 32,
    AT_FIRST_EVENT_ID = 40,
    AT_FIRST_REJECTION_ID = 48,
    AT_FIRST_TIME = 56,
    AT_LAST_TIME = 64,
    AT_EVENT_COUNT = 72,
    AT_REJECTION_COUNT = 76,
    AT_PART_BYTES = 80,
    AT_PAYLOAD_CRC = 92,
    AT_SEGMENT_BYTES = 96,
    AT_STATE_DIGEST = 104, /* since version 2; zero before */
    AT_RESERVED = 112,
    AT_HEADER_CRC = 124,
};

/* Not UTF-8, and changed by every transfer that changes line ends. */
static const uint8_t magic[8] = {0x89, 'W', 'E', 'I', 'R', '\r', '\n', 0x1a};

static uint32_t get_le32(const uint8_t *at)
{
    return (uint32_t)get_le(at, 4);
}

bool bytes_are_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + BATCH_ALIGNMENT_BYTES - 1) / BATCH_ALIGNMENT_BYTES * BATCH_ALIGNMENT_BYTES;
}

static uint64_t payload_bytes(const struct batch_disk *batch)
{
    return (uint64_t)batch->part_bytes[0] + batch->part_bytes[1] + batch->part_bytes[2];
}

void batch_chain_init(struct batch_chain *chain, uint64_t salt)
{
    *chain = (struct batch_chain){.next_event_id = 1, .next_rejection_id = 1, .salt = salt};
}

enum status batch_chain_check(const struct batch_chain *chain, const struct batch_header *header,
                              struct detail *ret_detail)
{
    const enum batch_kind kind = chain->next_number == 0 ? BATCH_GENESIS : BATCH_ORDINARY;
    if (header->number != chain->next_number || header->kind != kind)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER,
                          "batch %" PRIu64 " of kind %d where batch %" PRIu64 " of kind %d is due",
                          header->number, (int)header->kind, chain->next_number, (int)kind);
    if (header->first_event_id != chain->next_event_id)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER,
                          "event id %" PRIu64 " where %" PRIu64 " is due", header->first_event_id,
                          chain->next_event_id);
    if (header->first_rejection_id != chain->next_rejection_id)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER,
                          "rejection id %" PRIu64 " where %" PRIu64 " is due",
                          header->first_rejection_id, chain->next_rejection_id);
    if (header->event_count > UINT64_MAX - chain->next_event_id ||
        header->rejection_count > UINT64_MAX - chain->next_rejection_id)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER, "the ids are used up");
    if (header->first_time_ns < chain->last_time_ns || header->last_time_ns < header->first_time_ns)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER,
                          "time goes back: %" PRIu64 " to %" PRIu64 " ns after %" PRIu64 " ns",
                          header->first_time_ns, header->last_time_ns, chain->last_time_ns);
    return STATUS_OK;
}

void batch_chain_advance(struct batch_chain *chain, const struct batch_disk *batch)
{
    const struct batch_header *header = &batch->header;
    chain->next_number = header->number + 1;
    chain->next_event_id = header->first_event_id + header->event_count;
    chain->next_rejection_id = header->first_rejection_id + header->rejection_count;
    chain->last_time_ns = header->last_time_ns;
    chain->write_first = batch->seal.write_first;
    chain->state_digest = header->state_digest;
    chain->last_crc = batch->seal.header_crc;
}

/* Sizes and counts, as the header will hold or holds them. */
static enum status check_extent(const struct batch_header *header,
                                const uint64_t part_sizes[BATCH_PARTS], struct detail *ret_detail)
{
    uint64_t total = BATCH_HEADER_BYTES;
    for (int i = 0; i < BATCH_PARTS; i++) {
        if (part_sizes[i] > BATCH_BYTES_MAX)
            return detail_set(ret_detail, STATUS_TOO_LARGE, "a part is larger than a batch may be");
        total += part_sizes[i];
    }
    if (padded(total) > BATCH_BYTES_MAX)
        return detail_set(ret_detail, STATUS_TOO_LARGE,
                          "a batch of %" PRIu64 " bytes, more than %d", padded(total),
                          (int)BATCH_BYTES_MAX);
    if (header->event_count > BATCH_EVENTS_MAX)
        return detail_set(ret_detail, STATUS_TOO_LARGE,
                          "a batch of %" PRIu32 " events, more than %d", header->event_count,
                          (int)BATCH_EVENTS_MAX);
    if (header->event_count > part_sizes[1] || (header->event_count == 0 && part_sizes[1] > 0) ||
        header->rejection_count > part_sizes[2] ||
        (header->rejection_count == 0 && part_sizes[2] > 0))
        return detail_set(ret_detail, STATUS_INVALID, "counts and sizes of records do not agree");
    return STATUS_OK;
}

enum status batch_check(const struct batch_view *batch, struct detail *ret_detail)
{
    const uint64_t sizes[BATCH_PARTS] = {batch->sources.size, batch->accepted.size,
                                         batch->rejected.size};
    return check_extent(&batch->header, sizes, ret_detail);
}

uint64_t batch_bytes(const struct batch_view *batch)
{
    return padded(BATCH_HEADER_BYTES + batch->sources.size + batch->accepted.size +
                  batch->rejected.size);
}

uint64_t batch_disk_bytes(const struct batch_disk *batch)
{
    return padded(BATCH_HEADER_BYTES + payload_bytes(batch));
}

static uint32_t payload_crc(const struct batch_view *batch)
{
    uint32_t crc = crc32c(0, batch->sources.data, batch->sources.size);
    crc = crc32c(crc, batch->accepted.data, batch->accepted.size);
    return crc32c(crc, batch->rejected.data, batch->rejected.size);
}

static void put_header(uint8_t *bytes, const struct batch_disk *disk)
{
    const struct batch_header *header = &disk->header;
    const struct batch_seal *seal = &disk->seal;
    memset(bytes, 0, BATCH_HEADER_BYTES);
    memcpy(bytes + AT_MAGIC, magic, sizeof magic);
    put_le(bytes + AT_VERSION, BATCH_FORMAT_VERSION, 2);
    put_le(bytes + AT_KIND, header->kind, 2);
    put_le(bytes + AT_PREVIOUS_CRC, seal->previous_crc, 4);
    put_le(bytes + AT_SALT, seal->salt, 8);
    put_le(bytes + AT_NUMBER, header->number, 8);
    put_le(bytes + AT_WRITE_FIRST, seal->write_first, 8);
    put_le(bytes + AT_FIRST_EVENT_ID, header->first_event_id, 8);
    put_le(bytes + AT_FIRST_REJECTION_ID, header->first_rejection_id, 8);
    put_le(bytes + AT_FIRST_TIME, header->first_time_ns, 8);
    put_le(bytes + AT_LAST_TIME, header->last_time_ns, 8);
    put_le(bytes + AT_EVENT_COUNT, header->event_count, 4);
    put_le(bytes + AT_REJECTION_COUNT, header->rejection_count, 4);
    for (int i = 0; i < BATCH_PARTS; i++)
        put_le(bytes + AT_PART_BYTES + 4 * i, disk->part_bytes[i], 4);
    put_le(bytes + AT_PAYLOAD_CRC, seal->payload_crc, 4);
    put_le(bytes + AT_SEGMENT_BYTES, seal->segment_bytes, 8);
    put_le(bytes + AT_STATE_DIGEST, header->state_digest, 8);
}

void batch_encode(const struct batch_view *batch, const struct batch_seal *seal,
                  uint8_t ret_bytes[BATCH_HEADER_BYTES], struct batch_disk *ret_disk)
{
    *ret_disk = (struct batch_disk){
        .header = batch->header,
        .seal = *seal,
        .part_bytes = {(uint32_t)batch->sources.size, (uint32_t)batch->accepted.size,
                       (uint32_t)batch->rejected.size},
    };
    ret_disk->seal.payload_crc = payload_crc(batch);
    put_header(ret_bytes, ret_disk);
    ret_disk->seal.header_crc = crc32c(0, ret_bytes, AT_HEADER_CRC);
    put_le(ret_bytes + AT_HEADER_CRC, ret_disk->seal.header_crc, 4);
}

static void get_header(const uint8_t *bytes, struct batch_disk *ret_disk)
{
    *ret_disk = (struct batch_disk){
        .header =
            {
                .kind = (enum batch_kind)get_le(bytes + AT_KIND, 2),
                .number = get_le(bytes + AT_NUMBER, 8),
                .first_event_id = get_le(bytes + AT_FIRST_EVENT_ID, 8),
                .first_rejection_id = get_le(bytes + AT_FIRST_REJECTION_ID, 8),
                .event_count = get_le32(bytes + AT_EVENT_COUNT),
                .rejection_count = get_le32(bytes + AT_REJECTION_COUNT),
                .first_time_ns = get_le(bytes + AT_FIRST_TIME, 8),
                .last_time_ns = get_le(bytes + AT_LAST_TIME, 8),
                .state_digest = get_le(bytes + AT_STATE_DIGEST, 8),
            },
        .seal =
            {
                .salt = get_le(bytes + AT_SALT, 8),
                .write_first = get_le(bytes + AT_WRITE_FIRST, 8),
                .segment_bytes = get_le(bytes + AT_SEGMENT_BYTES, 8),
                .previous_crc = get_le32(bytes + AT_PREVIOUS_CRC),
                .payload_crc = get_le32(bytes + AT_PAYLOAD_CRC),
                .header_crc = get_le32(bytes + AT_HEADER_CRC),
            },
    };
    for (int i = 0; i < BATCH_PARTS; i++)
        ret_disk->part_bytes[i] = get_le32(bytes + AT_PART_BYTES + 4 * i);
}

enum status batch_decode(const uint8_t bytes[BATCH_HEADER_BYTES], struct batch_disk *ret_disk,
                         struct detail *ret_detail)
{
    if (memcmp(bytes + AT_MAGIC, magic, sizeof magic) != 0)
        return bytes_are_zero(bytes, BATCH_HEADER_BYTES)
                   ? STATUS_END
                   : detail_set(ret_detail, STATUS_DAMAGED, "no batch begins here");
    if (crc32c(0, bytes, AT_HEADER_CRC) != get_le32(bytes + AT_HEADER_CRC))
        return detail_set(ret_detail, STATUS_DAMAGED, "the batch's header fails its checksum");
    const uint64_t version = get_le(bytes + AT_VERSION, 2);
    if (version < BATCH_FORMAT_OLDEST || version > BATCH_FORMAT_VERSION)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "log format %" PRIu64 ", this program reads %d to %d", version,
                          (int)BATCH_FORMAT_OLDEST, (int)BATCH_FORMAT_VERSION);
    struct batch_disk disk;
    get_header(bytes, &disk);
    const uint64_t sizes[BATCH_PARTS] = {disk.part_bytes[0], disk.part_bytes[1],
                                         disk.part_bytes[2]};
    if (check_extent(&disk.header, sizes, ret_detail) != STATUS_OK)
        return STATUS_DAMAGED;
    if (!bytes_are_zero(bytes + AT_RESERVED, AT_HEADER_CRC - AT_RESERVED) ||
        (version < 2 && disk.header.state_digest != 0))
        return detail_set(ret_detail, STATUS_DAMAGED, "the header's reserved bytes are not zero");
    *ret_disk = disk;
    return STATUS_OK;
}

enum status batch_follows(const struct batch_disk *batch, const struct batch_chain *chain,
                          struct detail *ret_detail)
{
    if (batch_chain_check(chain, &batch->header, ret_detail) != STATUS_OK)
        return STATUS_DAMAGED;
    if (batch->seal.salt != chain->salt)
        return detail_set(ret_detail, STATUS_DAMAGED, "a batch of another log");
    if (batch->seal.previous_crc != chain->last_crc)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "the batch does not continue the one before it");
    if (batch->seal.write_first != batch->header.number &&
        (batch->seal.write_first != chain->write_first || batch->header.number == 0))
        return detail_set(ret_detail, STATUS_DAMAGED, "the batch belongs to no write");
    return STATUS_OK;
}

enum status batch_open(const struct batch_disk *batch, struct slice bytes,
                       struct batch_view *ret_view, struct detail *ret_detail)
{
    const uint8_t *at = bytes.data + BATCH_HEADER_BYTES;
    const size_t size = (size_t)payload_bytes(batch);
    if (crc32c(0, at, size) != batch->seal.payload_crc)
        return detail_set(ret_detail, STATUS_DAMAGED, "the batch's payload fails its checksum");
    if (!bytes_are_zero(at + size, bytes.size - BATCH_HEADER_BYTES - size))
        return detail_set(ret_detail, STATUS_DAMAGED, "the batch's padding is not zero");
    const uint32_t *parts = batch->part_bytes;
    *ret_view = (struct batch_view){
        .header = batch->header,
        .salt = batch->seal.salt,
        .sources = {at, parts[0]},
        .accepted = {at + parts[0], parts[1]},
        .rejected = {at + parts[0] + parts[1], parts[2]},
    };
    return STATUS_OK;
}
