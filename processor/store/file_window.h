/* file_window: a moving view of one file, for those who walk through batches: asks the kernel for
 * large pieces and gives out small ones.
 *
 * It reads nothing at or beyond `limit`, so bytes that are not yet durable never get into it. The
 * bytes given out stay valid until the next call. Not thread-safe.
 */
#ifndef WEIR_PROCESSOR_STORE_FILE_WINDOW_H
#define WEIR_PROCESSOR_STORE_FILE_WINDOW_H

#include "common/base/buffer.h"
#include "processor/store/file.h"

struct file_window {
    const struct file *file;
    uint8_t *bytes;
    size_t capacity; /* largest piece that can be asked for */
    uint64_t start;  /* offset in the file of bytes[0] */
    size_t size;     /* bytes held */
    uint64_t limit;  /* the file ends here for us */
};

/* NO_MEMORY. */
MUST_USE enum status file_window_init(struct file_window *window, size_t capacity);
void file_window_fini(struct file_window *window);
/* Moves to a file (or to a new limit of the same file, then keeps what it holds). */
void file_window_attach(struct file_window *window, const struct file *file, uint64_t limit);
/* Forgets the file, before it is closed. */
void file_window_detach(struct file_window *window);
/* The bytes at offset … offset + size; reads at least `ahead` bytes where it must read and the
 * limit allows. size ≤ capacity. END: they go beyond the limit. IO. */
MUST_USE enum status file_window_get(struct file_window *window, uint64_t offset, size_t size,
                                     size_t ahead, struct slice *ret_bytes,
                                     struct detail *ret_detail);

#endif
