#include "processor/store/file_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum status file_window_init(struct file_window *window, size_t capacity)
{
    *window = (struct file_window){.bytes = malloc(capacity), .capacity = capacity};
    return window->bytes == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void file_window_fini(struct file_window *window)
{
    free(window->bytes);
    *window = (struct file_window){0};
}

void file_window_attach(struct file_window *window, const struct file *file, uint64_t limit)
{
    if (window->file != file) {
        window->file = file;
        window->size = 0;
    }
    window->limit = limit;
}

void file_window_detach(struct file_window *window)
{
    window->file = NULL;
    window->size = 0;
    window->limit = 0;
}

/* Moves what is held of offset … to the front; afterwards the window starts at offset. */
static void keep_from(struct file_window *window, uint64_t offset)
{
    const uint64_t end = window->start + window->size;
    size_t kept = 0;
    if (offset >= window->start && offset < end) {
        kept = (size_t)(end - offset);
        memmove(window->bytes, window->bytes + (offset - window->start), kept);
    }
    window->start = offset;
    window->size = kept;
}

static size_t smaller(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

enum status file_window_get(struct file_window *window, uint64_t offset, size_t size, size_t ahead,
                            struct slice *ret_bytes, struct detail *ret_detail)
{
    assert(size <= window->capacity);
    if (offset > window->limit || size > window->limit - offset)
        return STATUS_END;
    if (offset < window->start || offset + size > window->start + window->size) {
        keep_from(window, offset);
        const size_t wanted = smaller(ahead > size ? ahead : size, window->capacity);
        const size_t allowed = smaller(wanted, window->limit - offset);
        const enum status status =
            file_read(window->file, offset + window->size, window->bytes + window->size,
                      allowed - window->size, ret_detail);
        if (status != STATUS_OK) {
            window->size = 0;
            return status;
        }
        window->size = allowed;
    }
    *ret_bytes = (struct slice){window->bytes + (offset - window->start), size};
    return STATUS_OK;
}
