/* mp: reading MessagePack in place, from bytes that nobody has vouched for.
 *
 * A reader is a cursor: it never allocates, never recurses, never reads past `end`, and every call
 * either moves past one whole item or leaves the cursor where it was. So it is safe on hostile
 * bytes and, since it builds no tree, several times cheaper than one. Format:
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 *   STATUS_MALFORMED  0xc1, truncation, a length past the end, nesting deeper than MP_DEPTH_MAX
 *   STATUS_INVALID    whole and well-formed, but another type or out of the range asked for
 */
#ifndef WEIR_COMMON_EVENT_MP_H
#define WEIR_COMMON_EVENT_MP_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buffer.h"

enum {
    MP_DEPTH_MAX = 64,            /* nesting beyond this is malformed */
    MP_DATA_DEPTH_MAX = 8,        /* nesting of maps and arrays in `data`, itself counted as 1 */
    MP_MAP_PAIRS_MAX = 32 * 1024, /* of all open maps in `data`; more need more than 64 KiB */
};

struct mp_reader {
    const uint8_t *at;
    const uint8_t *end;
};

enum mp_type {
    MP_NIL,
    MP_BOOL,
    MP_UINT,
    MP_NEGATIVE,
    MP_FLOAT,
    MP_TEXT,
    MP_BIN,
    MP_ARRAY,
    MP_MAP,
    MP_EXT
};

struct mp_reader mp_reader_of(struct slice bytes);
static inline bool mp_at_end(const struct mp_reader *reader)
{
    return reader->at == reader->end;
}

/* The type of the next item, without moving. MALFORMED at the end or at 0xc1. */
MUST_USE enum status mp_peek(const struct mp_reader *reader, enum mp_type *ret_type);

/* Any integer format that holds a value ≥ 0. */
MUST_USE static inline enum status mp_read_uint(struct mp_reader *reader, uint64_t *ret_value);
/* Any integer format whose value fits int64_t. */
MUST_USE enum status mp_read_int(struct mp_reader *reader, int64_t *ret_value);
MUST_USE enum status mp_read_bool(struct mp_reader *reader, bool *ret_value);
/* float 32 or 64. */
MUST_USE enum status mp_read_float(struct mp_reader *reader, double *ret_value);
/* A str; its UTF-8 is not checked here. */
MUST_USE static inline enum status mp_read_text(struct mp_reader *reader, struct slice *ret_text);
MUST_USE enum status mp_read_bin(struct mp_reader *reader, struct slice *ret_bytes);
/* A count larger than the bytes left is MALFORMED (each item needs one byte; a map's pair two). */
MUST_USE static inline enum status mp_read_array(struct mp_reader *reader, uint32_t *ret_count);
MUST_USE static inline enum status mp_read_map(struct mp_reader *reader, uint32_t *ret_pairs);
/* Moves past nil and says true; any other item stays and says false. */
bool mp_read_nil(struct mp_reader *reader);

/* Moves past one whole item of any type. MALFORMED only. */
MUST_USE enum status mp_skip(struct mp_reader *reader);
/* As mp_skip; on failure fills `ret_detail` (may be NULL) with what is wrong and at which byte from
 * `origin`. */
MUST_USE enum status mp_skip_explain(struct mp_reader *reader, const uint8_t *origin,
                                     struct detail *ret_detail);
/* As mp_skip, and gives the item's bytes. */
MUST_USE enum status mp_read_raw(struct mp_reader *reader, struct slice *ret_item);

/* Moves past one map that is fit to be an event's `data`: string keys, no key twice in one map,
 * valid UTF-8 in every string, depth ≤ MP_DATA_DEPTH_MAX, no NaN or infinity, no bin, no ext, at
 * most MP_MAP_PAIRS_MAX pairs in a map and those around it. On failure fills `ret_detail` (may be
 * NULL) with what is wrong and at which byte from `origin`. Work is O(bytes), whatever the bytes
 * are. Thread-safe; keeps 384 KiB of scratch per thread, touched only by maps of more than 8 pairs.
 */
MUST_USE enum status mp_check_data(struct mp_reader *reader, const uint8_t *origin,
                                   struct detail *ret_detail);
/* The same for `attributes`: a map of strings to strings. */
MUST_USE enum status mp_check_attributes(struct mp_reader *reader, const uint8_t *origin,
                                         struct detail *ret_detail);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static inline bool utf8_valid(struct slice text);

/* The readers that run for every event take the usual formats here and leave the others to the
 * general readers, which must not be called directly. */
MUST_USE enum status mp_read_uint_any(struct mp_reader *reader, uint64_t *ret_value);
MUST_USE enum status mp_read_text_any(struct mp_reader *reader, struct slice *ret_text);
MUST_USE enum status mp_read_array_any(struct mp_reader *reader, uint32_t *ret_count);
MUST_USE enum status mp_read_map_any(struct mp_reader *reader, uint32_t *ret_pairs);

/* They hand a copy of the cursor to those, so that its address does not leave the caller,
 * who can then keep it in registers. */
static inline enum status mp_read_uint(struct mp_reader *reader, uint64_t *ret_value)
{
    uint64_t word;
    uint32_t half;
    size_t left = (size_t)(reader->end - reader->at);
    if (left > 0 && *reader->at < 0x80) {
        *ret_value = *reader->at;
        reader->at++;
        return STATUS_OK;
    }
    /* Each format a branch of its own: where an integer has the format that was foreseen, what
     * stands behind it is read before its first byte has come. */
    if (left > sizeof word && *reader->at == 0xcf) { /* uint 64 */
        memcpy(&word, reader->at + 1, sizeof word);
        *ret_value = be64toh(word);
        reader->at += 9;
        return STATUS_OK;
    }
    if (left > sizeof half && *reader->at == 0xce) { /* uint 32 */
        memcpy(&half, reader->at + 1, sizeof half);
        *ret_value = be32toh(half);
        reader->at += 5;
        return STATUS_OK;
    }
    if (left > sizeof word && (*reader->at & 0xfe) == 0xcc) { /* uint 8 and 16 */
        unsigned bytes = 1u + (*reader->at & 1u);
        memcpy(&word, reader->at + 1, sizeof word);
        *ret_value = be64toh(word) >> (8 * (sizeof word - bytes));
        reader->at += 1 + bytes;
        return STATUS_OK;
    }
    struct mp_reader copy = *reader;
    enum status status = mp_read_uint_any(&copy, ret_value);
    reader->at = copy.at;
    return status;
}

static inline enum status mp_read_text(struct mp_reader *reader, struct slice *ret_text)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (left > 0 && (*reader->at & 0xe0) == 0xa0 && left > (*reader->at & 0x1fu)) {
        *ret_text = (struct slice){reader->at + 1, *reader->at & 0x1fu};
        reader->at += 1 + ret_text->size;
        return STATUS_OK;
    }
    struct mp_reader copy = *reader;
    enum status status = mp_read_text_any(&copy, ret_text);
    reader->at = copy.at;
    return status;
}

static inline enum status mp_read_array(struct mp_reader *reader, uint32_t *ret_count)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (left > 0 && (*reader->at & 0xf0) == 0x90 && left > (*reader->at & 0x0fu)) {
        *ret_count = *reader->at & 0x0fu;
        reader->at++;
        return STATUS_OK;
    }
    struct mp_reader copy = *reader;
    enum status status = mp_read_array_any(&copy, ret_count);
    reader->at = copy.at;
    return status;
}

static inline enum status mp_read_map(struct mp_reader *reader, uint32_t *ret_pairs)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (left > 0 && (*reader->at & 0xf0) == 0x80 && left > 2 * (size_t)(*reader->at & 0x0fu)) {
        *ret_pairs = *reader->at & 0x0fu;
        reader->at++;
        return STATUS_OK;
    }
    struct mp_reader copy = *reader;
    enum status status = mp_read_map_any(&copy, ret_pairs);
    reader->at = copy.at;
    return status;
}

/* The same holds for texts: nearly all are ASCII. Not to be called directly. */
bool utf8_valid_any(struct slice text);

/* The first eight bytes as a number; a shorter text as a number that no other text of its size has
 * (some of its bytes stand in it twice). For comparing texts, not for storing. */
static inline uint64_t slice_first_word(struct slice text)
{
    uint64_t word = 0;
    uint32_t low, high;
    if (text.size >= sizeof word) {
        memcpy(&word, text.data, sizeof word);
    } else if (text.size >= sizeof low) {
        memcpy(&low, text.data, sizeof low);
        memcpy(&high, text.data + text.size - sizeof high, sizeof high);
        word = (uint64_t)high << 32 | low;
    } else if (text.size > 0) {
        word = (uint64_t)text.data[0] | (uint64_t)text.data[text.size / 2] << 8 |
               (uint64_t)text.data[text.size - 1] << 16;
    }
    return word;
}

/* No byte above 0x7f; eight bytes at a time, the last eight overlapping those before. */
static inline bool utf8_is_ascii(struct slice text)
{
    uint64_t word, seen = slice_first_word(text);
    for (size_t i = sizeof word; i < text.size; i += sizeof word) {
        size_t at = i + sizeof word <= text.size ? i : text.size - sizeof word;
        memcpy(&word, text.data + at, sizeof word);
        seen |= word;
    }
    return (seen & 0x8080808080808080ULL) == 0;
}

static inline bool utf8_valid(struct slice text)
{
    return utf8_is_ascii(text) || utf8_valid_any(text);
}

#endif
