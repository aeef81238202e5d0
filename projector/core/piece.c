#include "projector/core/piece.h"

#include <assert.h>

#include "common/base/hash.h"
#include "common/event/mp.h"

static struct slice from_to(const uint8_t *from, const uint8_t *to)
{
    return (struct slice){from, (size_t)(to - from)};
}

enum status piece_cut(struct piece *piece, uint64_t count, struct slice *ret_records)
{
    assert(count <= piece->count);
    struct mp_reader reader = mp_reader_of(piece->records);
    const uint8_t *end = reader.end;
    if (count == piece->count)
        reader.at = end;
    for (uint64_t i = 0; i < count && count < piece->count; i++)
        if (mp_skip(&reader) != STATUS_OK)
            return STATUS_DAMAGED;
    *ret_records = from_to(piece->records.data, reader.at);
    *piece = (struct piece){from_to(reader.at, end), piece->count - count};
    return STATUS_OK;
}

enum status piece_pass_over(struct piece *piece, uint64_t count, uint64_t *ret_hash)
{
    assert(count >= 1 && count <= piece->count);
    struct mp_reader reader = mp_reader_of(piece->records);
    const uint8_t *last = reader.at;
    for (uint64_t i = 0; i < count; i++) {
        last = reader.at;
        if (mp_skip(&reader) != STATUS_OK)
            return STATUS_DAMAGED;
    }
    *ret_hash = hash_content(0, last, (size_t)(reader.at - last));
    *piece = (struct piece){from_to(reader.at, reader.end), piece->count - count};
    return STATUS_OK;
}

/* [rejection_id, rejected_at, after_event_id, …] */
static enum status read_after(struct mp_reader *reader, uint64_t *ret_event_id)
{
    struct mp_reader record = *reader;
    uint64_t id, time_ns;
    uint32_t items;
    if (mp_read_array(&record, &items) != STATUS_OK || items < 3 ||
        mp_read_uint(&record, &id) != STATUS_OK || mp_read_uint(&record, &time_ns) != STATUS_OK ||
        mp_read_uint(&record, ret_event_id) != STATUS_OK)
        return STATUS_DAMAGED;
    return mp_skip(reader) == STATUS_OK ? STATUS_OK : STATUS_DAMAGED;
}

enum status piece_last_after(const struct piece *piece, uint64_t *ret_event_id)
{
    assert(piece->count >= 1);
    struct mp_reader reader = mp_reader_of(piece->records);
    for (uint64_t i = 1; i < piece->count; i++)
        if (mp_skip(&reader) != STATUS_OK)
            return STATUS_DAMAGED;
    return read_after(&reader, ret_event_id);
}

enum status piece_count_below(const struct piece *piece, uint64_t event_id, uint64_t *ret_count)
{
    struct mp_reader reader = mp_reader_of(piece->records);
    uint64_t count = 0, after;
    while (count < piece->count) {
        if (read_after(&reader, &after) != STATUS_OK)
            return STATUS_DAMAGED;
        if (after >= event_id)
            break;
        count++;
    }
    *ret_count = count;
    return STATUS_OK;
}
