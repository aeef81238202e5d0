/* codec: writing MessagePack. The only user of msgpack-c.
 *
 * Two sets of the same small verbs. codec_… appends to a struct buffer through msgpack-c's packer:
 * for all messages that are not on the hot path. codec_put_… writes at a pointer where the caller
 * has made room, and returns the next free byte: for what is written once per event (measured: 10
 * ns against 62 per event). Both write the shortest form of every integer and string header, except
 * codec_put_uint64, which is always nine bytes so that a record's size is known beforehand.
 */
#ifndef WEIR_COMMON_EVENT_CODEC_H
#define WEIR_COMMON_EVENT_CODEC_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buffer.h"

/* Failures stick in buffer->status. */
void codec_array(struct buffer *buffer, uint32_t count);
void codec_map(struct buffer *buffer, uint32_t pairs);
void codec_uint(struct buffer *buffer, uint64_t value);
void codec_int(struct buffer *buffer, int64_t value);
void codec_float(struct buffer *buffer, double value);
void codec_bool(struct buffer *buffer, bool value);
void codec_nil(struct buffer *buffer);
void codec_text(struct buffer *buffer, const char *text);
void codec_text_slice(struct buffer *buffer, struct slice text);
void codec_bin(struct buffer *buffer, struct slice bytes);

enum {
    CODEC_UINT_BYTES_MAX = 9,
    CODEC_TEXT_HEADER_BYTES_MAX = 5,
    CODEC_ARRAY_HEADER_BYTES_MAX = 5,
};

/* count ≤ 15 */
static inline uint8_t *codec_put_array(uint8_t *at, uint8_t count)
{
    *at = (uint8_t)(0x90u | count);
    return at + 1;
}

/* Big-endian, as MessagePack wants it. */
static inline uint8_t *codec_put_be(uint8_t *at, uint64_t value, unsigned bytes)
{
    uint64_t big_endian = htobe64(value << (64 - 8 * bytes));
    memcpy(at, &big_endian, bytes);
    return at + bytes;
}

/* Nine bytes, whatever the value. */
static inline uint8_t *codec_put_uint64(uint8_t *at, uint64_t value)
{
    *at = 0xcf;
    return codec_put_be(at + 1, value, 8);
}

static inline uint8_t *codec_put_uint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value <= UINT8_MAX) {
        *at = 0xcc;
        return codec_put_be(at + 1, value, 1);
    }
    if (value <= UINT16_MAX) {
        *at = 0xcd;
        return codec_put_be(at + 1, value, 2);
    }
    if (value <= UINT32_MAX) {
        *at = 0xce;
        return codec_put_be(at + 1, value, 4);
    }
    return codec_put_uint64(at, value);
}

static inline uint8_t *codec_put_int(uint8_t *at, int64_t value)
{
    unsigned bytes = 8, format = 0xd3; /* int 64 */
    if (value >= 0)
        return codec_put_uint(at, (uint64_t)value);
    if (value >= -32) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value >= INT8_MIN)
        bytes = 1, format = 0xd0;
    else if (value >= INT16_MIN)
        bytes = 2, format = 0xd1;
    else if (value >= INT32_MIN)
        bytes = 4, format = 0xd2;
    *at = (uint8_t)format;
    return codec_put_be(at + 1, (uint64_t)value, bytes);
}

static inline uint8_t *codec_put_bytes(uint8_t *at, struct slice bytes)
{
    copy_short(at, bytes.data, bytes.size);
    return at + bytes.size;
}

/* text.size ≤ 65,535 */
static inline uint8_t *codec_put_text(uint8_t *at, struct slice text)
{
    if (text.size < 32) {
        *at++ = (uint8_t)(0xa0u | text.size);
    } else if (text.size <= UINT8_MAX) {
        *at++ = 0xd9;
        *at++ = (uint8_t)text.size;
    } else {
        *at = 0xda;
        at = codec_put_be(at + 1, text.size, 2);
    }
    return codec_put_bytes(at, text);
}

#endif
