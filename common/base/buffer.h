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

struct slice slice_of_text(const char *text);
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_text(struct slice a, const char *text);
/* Order of bytes, shorter first when one is a prefix of the other; <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

#endif
