/* mp_head: the head of one MessagePack item, that is its first byte and the size field behind it.
 *
 * Private to common/event. The one place that knows the formats of
 * https://github.com/msgpack/msgpack/blob/master/spec.md#formats:
 *
 *     first byte │ size field 0, 1, 2 or 4 bytes, big-endian │ payload bytes, or items
 *     ╰──────────────── head_bytes ─────────────────────────╯
 *
 * What it gives has been compared with the bytes that are left, so nobody need do so again.
 */
#ifndef WEIR_COMMON_EVENT_MP_HEAD_H
#define WEIR_COMMON_EVENT_MP_HEAD_H

#include "common/event/mp.h"

struct mp_head {
    enum mp_type type;
    uint32_t head_bytes;
    uint32_t count;       /* ARRAY: items; MAP: pairs; else 0 */
    size_t payload_bytes; /* of a number, string, bin or ext, behind the head */
};

/* The formats 0xc0 to 0xdf. MALFORMED as mp_head_read. */
MUST_USE enum status mp_head_read_sized(const uint8_t *at, const uint8_t *end,
                                        struct mp_head *ret_head);

/* MALFORMED: nothing left, 0xc1, a payload or count past `end`. */
MUST_USE static inline enum status mp_head_read(const uint8_t *at, const uint8_t *end,
                                                struct mp_head *ret_head)
{
    if (at == end)
        return STATUS_MALFORMED;
    uint8_t first = *at;
    size_t left = (size_t)(end - at) - 1;
    if (first < 0x80 || first >= 0xe0) {
        *ret_head = (struct mp_head){first < 0x80 ? MP_UINT : MP_NEGATIVE, 1, 0, 0};
        return STATUS_OK;
    }
    if (first >= 0xc0)
        return mp_head_read_sized(at, end, ret_head);
    if (first >= 0xa0) {
        *ret_head = (struct mp_head){MP_TEXT, 1, 0, first & 0x1fu};
        return left >= ret_head->payload_bytes ? STATUS_OK : STATUS_MALFORMED;
    }
    bool is_map = first < 0x90;
    *ret_head = (struct mp_head){is_map ? MP_MAP : MP_ARRAY, 1, first & 0x0fu, 0};
    return left >= (is_map ? 2 : 1) * (size_t)ret_head->count ? STATUS_OK : STATUS_MALFORMED;
}

/* `bytes` (≤ 8) bytes, big-endian. */
static inline uint64_t mp_big_endian(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

#endif
