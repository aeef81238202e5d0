/* repair: the two writes that recovery makes once the end of the log is known: sets a torn tail
 * aside, and makes the last write durable once more. Owned by log_open. */
#ifndef WEIR_PROCESSOR_STORE_REPAIR_H
#define WEIR_PROCESSOR_STORE_REPAIR_H

#include "processor/store/file.h"

#define SET_ASIDE_FOLDER "set-aside"

/* Copies [offset, offset + size) of a segment to DIRECTORY/set-aside/SEGMENT-OFFSET.bin, durably,
 * then zeroes it in place, durably. `reason` goes into ret_warning. IO, NO_SPACE. */
struct torn_tail {
    uint64_t segment;
    uint64_t offset;
    uint64_t bytes;
    const char *reason;
};
MUST_USE enum status repair_set_aside(const char *directory, const struct file *file,
                                      const struct torn_tail *tail, struct detail *ret_warning,
                                      struct detail *ret_detail);

/* Reads [from, to) and writes it back in place, then fdatasyncs: after a failed fdatasync the page
 * cache may hold bytes that the disk lacks. IO. */
MUST_USE enum status repair_rewrite(const struct file *file, uint64_t from, uint64_t to,
                                    struct detail *ret_detail);

#endif
