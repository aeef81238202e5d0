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

/* Eight bytes, so that it travels in one register. */
struct mp_head {
    bool whole;         /* false: nothing left, 0xc1, a payload or count past the end */
    uint8_t type;       /* enum mp_type */
    uint8_t head_bytes; /* with the type byte of an ext */
    uint32_t size;      /* ARRAY: items; MAP: pairs; else bytes of payload behind the head */
};

/* The bytes of a whole item by its first byte, where that alone tells: numbers, short strings, nil,
 * booleans, fixext. 0: the others. */
extern const uint8_t mp_plain_bytes[256];
enum { MP_PLAIN_BYTES_MAX = 32 }; /* the largest of them: a fixstr of 31 */

/* The formats 0xc0 to 0xdf; at < end. */
struct mp_head mp_head_read_sized(const uint8_t *at, const uint8_t *end);

static inline struct mp_head mp_head_read(const uint8_t *at, const uint8_t *end)
{
    if (at == end)
        return (struct mp_head){.whole = false};
    uint8_t first = *at;
    size_t left = (size_t)(end - at) - 1;
    if (first < 0x80 || first >= 0xe0)
        return (struct mp_head){true, first < 0x80 ? MP_UINT : MP_NEGATIVE, 1, 0};
    if (first >= 0xc0)
        return mp_head_read_sized(at, end);
    if (first >= 0xa0)
        return (struct mp_head){left >= (first & 0x1fu), MP_TEXT, 1, first & 0x1fu};
    uint32_t size = first & 0x0fu;
    if (first >= 0x90)
        return (struct mp_head){left >= size, MP_ARRAY, 1, size};
    return (struct mp_head){left >= 2 * (size_t)size, MP_MAP, 1, size};
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
