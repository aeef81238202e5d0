#include "processor/store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The status that stands for errno; call it before anything else can change errno. */
static enum status status_of_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EEXIST:
        return STATUS_BUSY;
    default:
        return STATUS_IO;
    }
}

static enum status file_failed(const struct file *file, const char *verb, struct detail *ret_detail)
{
    const enum status status = status_of_errno();
    return detail_set(ret_detail, status, "%s/%s: cannot %s: %s", file->folder->path, file->name,
                      verb, strerror(errno));
}

static enum status file_failed_at(const struct file *file, const char *verb, uint64_t offset,
                                  struct detail *ret_detail)
{
    const enum status status = status_of_errno();
    return detail_set(ret_detail, status, "%s/%s: offset %" PRIu64 ": cannot %s: %s",
                      file->folder->path, file->name, offset, verb, strerror(errno));
}

static enum status folder_failed(const char *path, const char *verb, struct detail *ret_detail)
{
    const enum status status = status_of_errno();
    return detail_set(ret_detail, status, "%s: cannot %s: %s", path, verb, strerror(errno));
}

static enum status sync_path(const char *path, struct detail *ret_detail)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return folder_failed(path, "open", ret_detail);
    const int result = fsync(fd);
    const enum status status = result == 0 ? STATUS_OK : folder_failed(path, "fsync", ret_detail);
    (void)close(fd);
    return status;
}

enum status folder_open(struct folder *folder, const char *parent, const char *name, bool create,
                        struct detail *ret_detail)
{
    folder->fd = -1;
    const int length = name == NULL
                           ? snprintf(folder->path, sizeof folder->path, "%s", parent)
                           : snprintf(folder->path, sizeof folder->path, "%s/%s", parent, name);
    if (length < 0 || (size_t)length >= sizeof folder->path)
        return detail_set(ret_detail, STATUS_IO, "%s: the path is too long", parent);
    if (create) {
        if (mkdir(folder->path, 0700) == 0) {
            const enum status status = sync_path(parent, ret_detail);
            if (status != STATUS_OK)
                return status;
        } else if (errno != EEXIST) {
            return folder_failed(folder->path, "create", ret_detail);
        }
    }
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? folder_failed(folder->path, "open", ret_detail) : STATUS_OK;
}

void folder_close(struct folder *folder)
{
    if (folder->fd >= 0)
        (void)close(folder->fd);
    folder->fd = -1;
}

enum status folder_sync(const struct folder *folder, struct detail *ret_detail)
{
    return fsync(folder->fd) == 0 ? STATUS_OK : folder_failed(folder->path, "fsync", ret_detail);
}

enum status file_open(struct file *file, const struct folder *folder, const char *name, int flags,
                      struct detail *ret_detail)
{
    file->folder = folder;
    file->bytes = 0;
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    file->fd = openat(folder->fd, name, flags | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return file_failed(file, "open", ret_detail);
    struct stat stat;
    if (fstat(file->fd, &stat) != 0) {
        const enum status status = file_failed(file, "stat", ret_detail);
        file_close(file);
        return status;
    }
    file->bytes = (uint64_t)stat.st_size;
    return STATUS_OK;
}

void file_close(struct file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = -1;
}

enum status file_read(const struct file *file, uint64_t offset, void *bytes, size_t size,
                      struct detail *ret_detail)
{
    uint8_t *at = bytes;
    while (size > 0) {
        const ssize_t got = pread(file->fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_failed_at(file, "read", offset, ret_detail);
        if (got == 0)
            return detail_set(ret_detail, STATUS_IO,
                              "%s/%s: offset %" PRIu64 ": the file ends here", file->folder->path,
                              file->name, offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return STATUS_OK;
}

enum status file_write(const struct file *file, uint64_t offset, const void *bytes, size_t size,
                       struct detail *ret_detail)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        const ssize_t put = pwrite(file->fd, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_failed_at(file, "write", offset, ret_detail);
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return STATUS_OK;
}

/* Takes the first `size` bytes off the parts; returns how many parts are used up. */
static int parts_advance(struct iovec *parts, int count, size_t size)
{
    int done = 0;
    while (done < count && size >= parts[done].iov_len)
        size -= parts[done++].iov_len;
    if (done < count) {
        parts[done].iov_base = (uint8_t *)parts[done].iov_base + size;
        parts[done].iov_len -= size;
    }
    return done;
}

enum status file_write_parts(const struct file *file, uint64_t offset, struct iovec *parts,
                             int count, struct detail *ret_detail)
{
    enum { PARTS_MAX = 1024 }; /* IOV_MAX of Linux */
    while (count > 0) {
        const int some = count < PARTS_MAX ? count : PARTS_MAX;
        const ssize_t put = pwritev(file->fd, parts, some, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_failed_at(file, "write", offset, ret_detail);
        offset += (uint64_t)put;
        const int done = parts_advance(parts, some, (size_t)put);
        parts += done;
        count -= done;
    }
    return STATUS_OK;
}

enum status file_write_zeros(const struct file *file, uint64_t offset, uint64_t size,
                             struct detail *ret_detail)
{
    /* never written: stays in .bss */
    static _Alignas(FILE_PAGE_BYTES) uint8_t zeros[FILE_ZERO_BYTES_MAX];
    while (size > 0) {
        const size_t some = size < sizeof zeros ? (size_t)size : sizeof zeros;
        const enum status status = file_write(file, offset, zeros, some, ret_detail);
        if (status != STATUS_OK)
            return status;
        offset += some;
        size -= some;
    }
    return STATUS_OK;
}

enum status file_reserve(const struct file *file, uint64_t size, struct detail *ret_detail)
{
    int result;
    do
        result = fallocate(file->fd, 0, 0, (off_t)size);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return STATUS_OK;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return STATUS_UNAVAILABLE;
    return file_failed(file, "reserve space", ret_detail);
}

bool file_set_direct(const struct file *file, bool direct)
{
    const int flags = fcntl(file->fd, F_GETFL);
    return flags >= 0 &&
           fcntl(file->fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

enum status file_sync(const struct file *file, struct detail *ret_detail)
{
    return fdatasync(file->fd) == 0 ? STATUS_OK : file_failed(file, "fdatasync", ret_detail);
}

enum status file_rename(struct file *file, const char *name, struct detail *ret_detail)
{
    if (renameat(file->folder->fd, file->name, file->folder->fd, name) != 0)
        return file_failed(file, "rename", ret_detail);
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    return folder_sync(file->folder, ret_detail);
}

enum status file_damaged(const struct file *file, uint64_t offset, struct detail *ret_detail,
                         const char *format, ...)
{
    char reason[DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return detail_set(ret_detail, STATUS_DAMAGED, "%s/%s: offset %" PRIu64 ": %s",
                      file->folder->path, file->name, offset, reason);
}
