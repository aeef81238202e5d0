#include "common/upload/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/event/json.h"

enum {
    READ_BYTES_MAX = 128 * 1024,
    BUFFER_BYTES = JSON_LINE_BYTES_MAX + READ_BYTES_MAX,
    HASH_BLOCK_BYTES = 64 * 1024,
};

struct lines {
    int fd;
    bool is_file;
    bool ended;                 /* read(2) said so */
    bool too_long;              /* throwing away until the next '\n' */
    size_t start, end;          /* bytes in `buffer` not yet taken */
    size_t scanned;             /* no '\n' before this */
    struct upload_prefix taken; /* hash: of the whole blocks only */
    size_t block_bytes;
    uint8_t block[HASH_BLOCK_BYTES]; /* taken, not yet hashed */
    uint8_t buffer[BUFFER_BYTES];
};

enum status lines_open(const char *path, struct lines **ret_lines, struct detail *ret_detail)
{
    bool standard_input = strcmp(path, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "cannot read %s: %s", path,
                          strerror(errno));
    struct lines *lines = malloc(sizeof *lines);
    if (S_ISDIR(info.st_mode) || lines == NULL) {
        free(lines);
        if (!standard_input)
            close(fd);
        return detail_set(ret_detail, STATUS_BAD_INPUT, "cannot read %s: %s", path,
                          lines == NULL ? "no memory" : "it is a folder");
    }
    lines->fd = fd;
    lines->is_file = !standard_input && S_ISREG(info.st_mode);
    lines->ended = lines->too_long = false;
    lines->start = lines->end = lines->scanned = 0;
    lines->taken = (struct upload_prefix){0};
    lines->block_bytes = 0;
    *ret_lines = lines;
    return STATUS_OK;
}

void lines_close(struct lines **lines)
{
    if (*lines == NULL)
        return;
    if ((*lines)->fd != STDIN_FILENO)
        close((*lines)->fd);
    free(*lines);
    *lines = NULL;
}

int lines_fd(const struct lines *lines)
{
    return lines->fd;
}

bool lines_is_file(const struct lines *lines)
{
    return lines->is_file;
}

/* Takes bytes off the front of the buffer and into the hash. */
static void take(struct lines *lines, size_t size)
{
    lines->taken.bytes += size;
    while (size > 0) {
        size_t room = HASH_BLOCK_BYTES - lines->block_bytes;
        size_t part = size < room ? size : room;
        memcpy(lines->block + lines->block_bytes, lines->buffer + lines->start, part);
        lines->block_bytes += part;
        lines->start += part;
        size -= part;
        if (lines->block_bytes == HASH_BLOCK_BYTES) {
            lines->taken.hash = hash_content(lines->taken.hash, lines->block, HASH_BLOCK_BYTES);
            lines->block_bytes = 0;
        }
    }
    if (lines->scanned < lines->start)
        lines->scanned = lines->start;
}

struct upload_prefix lines_taken(const struct lines *lines)
{
    struct upload_prefix taken = lines->taken;
    if (lines->block_bytes > 0)
        taken.hash = hash_content(taken.hash, lines->block, lines->block_bytes);
    return taken;
}

uint64_t lines_number(const struct lines *lines)
{
    return lines->taken.lines;
}

enum status lines_read(struct lines *lines, struct detail *ret_detail)
{
    if (lines->start > 0) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->scanned -= lines->start;
        lines->start = 0;
    }
    size_t room = BUFFER_BYTES - lines->end;
    if (room > READ_BYTES_MAX)
        room = READ_BYTES_MAX;
    ssize_t size = read(lines->fd, lines->buffer + lines->end, room);
    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return STATUS_OK;
    if (size < 0)
        return detail_set(ret_detail, STATUS_IO, "reading failed: %s", strerror(errno));
    lines->ended = size == 0;
    lines->end += (size_t)size;
    return STATUS_OK;
}

bool lines_over(const struct lines *lines)
{
    return lines->ended && lines->start == lines->end;
}

enum status lines_skip(struct lines *lines, const struct upload_prefix *prefix,
                       struct detail *ret_detail)
{
    while (lines->taken.bytes < prefix->bytes) {
        if (lines->start == lines->end) {
            enum status status = lines_read(lines, ret_detail);
            if (status != STATUS_OK)
                return status;
            if (lines->ended)
                return detail_set(ret_detail, STATUS_BAD_INPUT, "it became shorter");
        }
        uint64_t left = prefix->bytes - lines->taken.bytes;
        size_t there = lines->end - lines->start;
        take(lines, left < there ? (size_t)left : there);
    }
    if (lines_taken(lines).hash != prefix->hash)
        return detail_set(ret_detail, STATUS_BAD_INPUT, "its beginning changed");
    lines->taken.lines = prefix->lines;
    return STATUS_OK;
}

/* The end of a line that is too long has been found, or not: all that is there goes. */
static enum status throw_away(struct lines *lines, const uint8_t *newline)
{
    size_t size = lines->end - lines->start;
    if (newline != NULL)
        size = (size_t)(newline + 1 - (lines->buffer + lines->start));
    bool reported = lines->too_long;
    lines->too_long = newline == NULL;
    take(lines, size);
    if (reported)
        return STATUS_END;
    lines->taken.lines++;
    return STATUS_TOO_LARGE;
}

enum status lines_next(struct lines *lines, struct slice *ret_line)
{
    if (lines->start == lines->end)
        return STATUS_END;
    const uint8_t *first = lines->buffer + lines->start;
    const uint8_t *newline =
        memchr(lines->buffer + lines->scanned, '\n', lines->end - lines->scanned);
    size_t size = newline != NULL ? (size_t)(newline - first) : lines->end - lines->start;
    if (lines->too_long && newline != NULL) {
        (void)!throw_away(lines, newline);
        return lines_next(lines, ret_line);
    }
    if (lines->too_long || size > JSON_LINE_BYTES_MAX)
        return throw_away(lines, newline);
    if (newline == NULL && !lines->ended) {
        lines->scanned = lines->end;
        return STATUS_END;
    }
    *ret_line = (struct slice){first, size};
    lines->taken.lines++;
    take(lines, newline != NULL ? size + 1 : size);
    return STATUS_OK;
}
