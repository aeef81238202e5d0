#include "projector/core/packed_row.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "common/event/codec.h"

enum { SHARED_BYTES_MAX = UINT8_MAX, HEAD_BYTES = 1 + 2 };

/* --- writing --- */

/* How many bytes both begin with; eight at a time while they are the same. */
static size_t shared_bytes(struct slice a, struct slice b)
{
    size_t max = a.size < b.size ? a.size : b.size, shared = 0;
    if (max > SHARED_BYTES_MAX)
        max = SHARED_BYTES_MAX;
    while (max - shared >= 8 && memcmp(a.data + shared, b.data + shared, 8) == 0)
        shared += 8;
    while (shared < max && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

static uint8_t *put_word(uint8_t *at, const uint8_t *bytes)
{
    uint64_t word;
    uint8_t used = 0;
    memcpy(&word, bytes, sizeof word);
    memcpy(at + 1, bytes, sizeof word);
    for (word = le64toh(word); word != 0; word >>= 8)
        used++;
    *at = used;
    return at + 1 + used;
}

uint8_t *packed_row_put(uint8_t *at, struct slice before, struct slice key, struct slice value)
{
    assert(key.size <= ROW_KEY_BYTES_MAX && value.size <= ROW_VALUE_BYTES_MAX);
    size_t shared = shared_bytes(before, key), rest = key.size - shared;
    at[0] = (uint8_t)shared;
    at[1] = (uint8_t)rest;
    at[2] = (uint8_t)(rest >> 8);
    at = codec_put_bytes(at + HEAD_BYTES, (struct slice){key.data + shared, rest});
    for (size_t i = 0; i < value.size; i += PACKED_WORD_BYTES)
        at = put_word(at, value.data + i);
    return at;
}

/* --- reading --- */

static enum status take(struct slice *packed, size_t size, const uint8_t **ret_bytes)
{
    if (packed->size < size)
        return STATUS_MALFORMED;
    *ret_bytes = packed->data;
    *packed = (struct slice){packed->data + size, packed->size - size};
    return STATUS_OK;
}

static enum status read_key(struct slice *packed, struct packed_row *row)
{
    const uint8_t *head, *rest;
    if (take(packed, HEAD_BYTES, &head) != STATUS_OK)
        return STATUS_MALFORMED;
    size_t shared = head[0], rest_bytes = head[1] | (size_t)head[2] << 8;
    if (shared > row->key_bytes || rest_bytes > ROW_KEY_BYTES_MAX - shared ||
        take(packed, rest_bytes, &rest) != STATUS_OK)
        return STATUS_MALFORMED;
    copy_short(row->key + shared, rest, rest_bytes);
    row->key_bytes = shared + rest_bytes;
    return STATUS_OK;
}

static enum status read_word(struct slice *packed, uint8_t *ret_bytes)
{
    const uint8_t *used, *bytes;
    if (take(packed, 1, &used) != STATUS_OK || *used > PACKED_WORD_BYTES ||
        take(packed, *used, &bytes) != STATUS_OK)
        return STATUS_MALFORMED;
    memset(ret_bytes, 0, PACKED_WORD_BYTES);
    for (uint8_t i = 0; i < *used; i++)
        ret_bytes[i] = bytes[i];
    return STATUS_OK;
}

enum status packed_row_read(struct slice *packed, size_t value_bytes, struct packed_row *row)
{
    assert(value_bytes <= ROW_VALUE_BYTES_MAX);
    enum status status = read_key(packed, row);
    for (size_t i = 0; i < value_bytes && status == STATUS_OK; i += PACKED_WORD_BYTES)
        status = read_word(packed, row->value + i);
    return status;
}
