/* buffer: a growable byte string with a named maximum, and slice: a borrowed view of bytes.
 *
 * Writers append any number of times and check once: the first failure sticks in `status` and every
 * later append does nothing (so a half-written message can never be mistaken for a whole one).
 * Not thread-safe. Invariant: size <= capacity <= bytes_max.
 */
#ifndef WEIR_COMMON_BASE_BUFFER_H
#define WEIR_COMMON_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/status.h"

/* Bytes owned by someone else; valid only as long as the owner keeps them. */
struct slice {
    const uint8_t *data;
    size_t size; /* bytes */
};

struct buffer {
    uint8_t *data;
    size_t size;        /* bytes written */
    size_t capacity;    /* bytes allocated */
    size_t bytes_max;   /* the named limit */
    enum status status; /* STATUS_OK, or the first failure: FULL or NO_MEMORY */
};

/* An empty buffer; allocates nothing yet. */
void buffer_init(struct buffer *buffer, size_t bytes_max);
/* Frees the bytes; safe twice. */
void buffer_fini(struct buffer *buffer);
/* Empties the buffer and forgets a failure; keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Makes room for `more` bytes behind `size`: afterwards the caller may write there and add to
 * `size`. STATUS_FULL above bytes_max, STATUS_NO_MEMORY; both stick. */
MUST_USE enum status buffer_reserve(struct buffer *buffer, size_t more);

/* Appends; a failure sticks in buffer->status. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
void buffer_append_text(struct buffer *buffer, const char *text);

struct slice buffer_slice(const struct buffer *buffer);

static inline struct slice slice_of_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

/* memcmp (a, b, size) == 0 and memcpy for names and keys, most of which have 8 to 32 bytes: two or
 * four words, the last ones overlapping those before, where a call would cost more. */
static inline bool equal_short(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint64_t a_words[4], b_words[4];
    uint32_t a_halves[2], b_halves[2];
    if (size >= 4 && size < 8) {
        memcpy(a_halves, a, 4);
        memcpy(b_halves, b, 4);
        memcpy(a_halves + 1, a + size - 4, 4);
        memcpy(b_halves + 1, b + size - 4, 4);
        return ((a_halves[0] ^ b_halves[0]) | (a_halves[1] ^ b_halves[1])) == 0;
    }
    if (size < 8 || size > 32)
        return size == 0 || memcmp(a, b, size) == 0;
    size_t half = size < 16 ? 8 : 16; /* bytes from either end */
    memcpy(a_words, a, 8);
    memcpy(b_words, b, 8);
    memcpy(a_words + 1, a + half - 8, 8);
    memcpy(b_words + 1, b + half - 8, 8);
    memcpy(a_words + 2, a + size - half, 8);
    memcpy(b_words + 2, b + size - half, 8);
    memcpy(a_words + 3, a + size - 8, 8);
    memcpy(b_words + 3, b + size - 8, 8);
    return ((a_words[0] ^ b_words[0]) | (a_words[1] ^ b_words[1]) | (a_words[2] ^ b_words[2]) |
            (a_words[3] ^ b_words[3])) == 0;
}

static inline void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t words[4];
    uint32_t halves[2];
    if (size >= 4 && size < 8) {
        memcpy(halves, from, 4);
        memcpy(halves + 1, from + size - 4, 4);
        memcpy(to, halves, 4);
        memcpy(to + size - 4, halves + 1, 4);
        return;
    }
    if (size < 8 || size > 32) {
        if (size > 0)
            memcpy(to, from, size);
        return;
    }
    size_t half = size < 16 ? 8 : 16;
    memcpy(words, from, 8);
    memcpy(words + 1, from + half - 8, 8);
    memcpy(words + 2, from + size - half, 8);
    memcpy(words + 3, from + size - 8, 8);
    memcpy(to, words, 8);
    memcpy(to + half - 8, words + 1, 8);
    memcpy(to + size - half, words + 2, 8);
    memcpy(to + size - 8, words + 3, 8);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && equal_short(a.data, b.data, a.size);
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_of_text(text));
}

/* Order of bytes, shorter first when one is a prefix of the other; <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

#endif
