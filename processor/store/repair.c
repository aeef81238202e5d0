#include "processor/store/repair.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE_BYTES = 1024 * 1024, NAMES_MAX = 1000 };

/* Copies `size` bytes from one place to another, piece by piece, and syncs. */
static enum status copy(const struct file *from, uint64_t from_offset, const struct file *to,
                        uint64_t to_offset, uint64_t size, struct detail *ret_detail)
{
    uint8_t *bytes = malloc(PIECE_BYTES);
    if (bytes == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to repair the log");
    enum status status = STATUS_OK;
    for (uint64_t done = 0; status == STATUS_OK && done < size;) {
        const size_t some = size - done < PIECE_BYTES ? (size_t)(size - done) : PIECE_BYTES;
        status = file_read(from, from_offset + done, bytes, some, ret_detail);
        if (status == STATUS_OK)
            status = file_write(to, to_offset + done, bytes, some, ret_detail);
        done += some;
    }
    if (status == STATUS_OK)
        status = file_sync(to, ret_detail);
    free(bytes);
    return status;
}

/* A new file; the same place may have torn before, so a number is added where the name is taken. */
static enum status create_unused(struct file *ret_file, const struct folder *folder,
                                 const struct torn_tail *tail, struct detail *ret_detail)
{
    enum status status = STATUS_BUSY;
    for (int i = 0; i < NAMES_MAX && status == STATUS_BUSY; i++) {
        char name[FILE_NAME_BYTES_MAX];
        char again[8] = "";
        if (i > 0)
            (void)snprintf(again, sizeof again, "-%d", i);
        (void)snprintf(name, sizeof name, "%020" PRIu64 "-%" PRIu64 "%s.bin", tail->segment,
                       tail->offset, again);
        status = file_open(ret_file, folder, name, O_RDWR | O_CREAT | O_EXCL, ret_detail);
    }
    return status;
}

enum status repair_set_aside(const char *directory, const struct file *file,
                             const struct torn_tail *tail, struct detail *ret_warning,
                             struct detail *ret_detail)
{
    struct folder folder = {.fd = -1};
    struct file aside = {.fd = -1};
    enum status status = folder_open(&folder, directory, SET_ASIDE_FOLDER, true, ret_detail);
    if (status == STATUS_OK)
        status = create_unused(&aside, &folder, tail, ret_detail);
    if (status == STATUS_OK)
        status = copy(file, tail->offset, &aside, 0, tail->bytes, ret_detail);
    if (status == STATUS_OK)
        status = folder_sync(&folder, ret_detail);
    if (status == STATUS_OK)
        status = file_write_zeros(file, tail->offset, tail->bytes, ret_detail);
    if (status == STATUS_OK)
        status = file_sync(file, ret_detail);
    if (status == STATUS_OK)
        status = detail_set(ret_warning, STATUS_OK,
                            "%s/%s: offset %" PRIu64 ": %s: set %" PRIu64 " bytes aside as %s",
                            file->folder->path, file->name, tail->offset, tail->reason, tail->bytes,
                            aside.name);
    file_close(&aside);
    folder_close(&folder);
    return status;
}

enum status repair_rewrite(const struct file *file, uint64_t from, uint64_t to,
                           struct detail *ret_detail)
{
    return copy(file, from, file, from, to - from, ret_detail);
}
