/* file: files and folders of the store, with whole reads and writes and errors that a person can
 * act on.
 *
 * Thin: one system call or one loop around one, and on failure a detail that names the file, the
 * offset and the reason. A `struct file` borrows its folder, which must outlive it. Thread rule: a
 * folder may be shared; a file belongs to one thread at a time.
 */
#ifndef WEIR_PROCESSOR_STORE_FILE_H
#define WEIR_PROCESSOR_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/base/status.h"

enum {
    FOLDER_PATH_BYTES_MAX = 4096,
    FILE_NAME_BYTES_MAX = 64,
    FILE_ZERO_BYTES_MAX = 128 * 1024, /* of one write of zeros */
    FILE_PAGE_BYTES = 4096,           /* of the page cache */
};

struct folder {
    int fd; /* −1: closed */
    char path[FOLDER_PATH_BYTES_MAX];
};

/* Opens PARENT/NAME (PARENT itself where name is NULL); with `create` makes it first if it is not
 * there and fsyncs PARENT. NOT_FOUND, IO. */
MUST_USE enum status folder_open(struct folder *folder, const char *parent, const char *name,
                                 bool create, struct detail *ret_detail);
/* Safe twice. */
void folder_close(struct folder *folder);
/* Makes names (created, renamed, removed) durable. */
MUST_USE enum status folder_sync(const struct folder *folder, struct detail *ret_detail);

struct file {
    const struct folder *folder;
    uint64_t bytes; /* size when opened */
    int fd;         /* −1: closed */
    char name[FILE_NAME_BYTES_MAX];
};

/* `flags` as of open(2); new files get mode 0600. NOT_FOUND, BUSY (O_EXCL and it exists), NO_SPACE,
 * IO. */
MUST_USE enum status file_open(struct file *file, const struct folder *folder, const char *name,
                               int flags, struct detail *ret_detail);
/* Safe twice. */
void file_close(struct file *file);

/* Reads exactly `size` bytes. IO, also where the file ends before. */
MUST_USE enum status file_read(const struct file *file, uint64_t offset, void *bytes, size_t size,
                               struct detail *ret_detail);
/* Write all of it. NO_SPACE, IO. */
MUST_USE enum status file_write(const struct file *file, uint64_t offset, const void *bytes,
                                size_t size, struct detail *ret_detail);
/* `parts` is used up. */
MUST_USE enum status file_write_parts(const struct file *file, uint64_t offset, struct iovec *parts,
                                      int count, struct detail *ret_detail);
MUST_USE enum status file_write_zeros(const struct file *file, uint64_t offset, uint64_t size,
                                      struct detail *ret_detail);
/* Gives the first `size` bytes their place on the disk, where what was not written reads as zeros.
 * UNAVAILABLE: this file system cannot promise it. NO_SPACE, IO. */
MUST_USE enum status file_reserve(const struct file *file, uint64_t size,
                                  struct detail *ret_detail);
/* Writes go past the page cache from here on, or through it again. Such a write needs a memory
 * address, an offset and a size that are multiples of FILE_PAGE_BYTES, and pages in the cache lose
 * what it covers. False: this file system only has writes through the cache. */
bool file_set_direct(const struct file *file, bool direct);
/* fdatasync. NO_SPACE, IO. After a failure the page cache may show what the disk lacks: never try
 * again, never trust a read. */
MUST_USE enum status file_sync(const struct file *file, struct detail *ret_detail);
/* Gives it another name in its folder and makes that durable. */
MUST_USE enum status file_rename(struct file *file, const char *name, struct detail *ret_detail);

/* STATUS_DAMAGED with "PATH: offset N: reason"; `format` as of printf. */
MUST_USE enum status file_damaged(const struct file *file, uint64_t offset,
                                  struct detail *ret_detail, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
