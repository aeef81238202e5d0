#include "common/base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_BYTES_MIN = 256 };

void buffer_init(struct buffer *buffer, size_t bytes_max)
{
    *buffer = (struct buffer){.bytes_max = bytes_max, .status = STATUS_OK};
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->bytes_max);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->status = STATUS_OK;
}

/* Doubling, so that appending stays cheap; never above bytes_max. `needed` is at most bytes_max. */
static size_t grown_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : CAPACITY_BYTES_MIN;
    while (capacity < needed)
        capacity = capacity > buffer->bytes_max / 2 ? buffer->bytes_max : capacity * 2;
    return capacity < buffer->bytes_max ? capacity : buffer->bytes_max;
}

enum status buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->status != STATUS_OK)
        return buffer->status;
    if (more <= buffer->capacity - buffer->size)
        return STATUS_OK;
    if (more > buffer->bytes_max - buffer->size) {
        buffer->status = STATUS_FULL;
        return STATUS_FULL;
    }

    size_t capacity = grown_capacity(buffer, buffer->size + more);
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->status = STATUS_NO_MEMORY;
        return STATUS_NO_MEMORY;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return STATUS_OK;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (buffer_reserve(buffer, size) != STATUS_OK || size == 0)
        return;
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->size};
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}
