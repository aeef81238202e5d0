/* preparer: a thread that keeps the next segment ready (SEGMENT_SPARE_NAME), so that the log never
 * waits for it and never meets a full disk in the middle of a write.
 *
 * First its space is reserved on the disk, where it reads as zeros: from then on it may be taken.
 * Only when the log has not taken it after a second are zeros written: over them an fdatasync
 * changes no metadata, which makes small batches durable sooner (100,000 events/s: 0.65 instead of
 * 0.98 ms from submission to view), but they cost the disk as much as the log itself, of which a
 * log in haste has nothing (1.1 instead of 1.6 million events/s). Where the file system cannot
 * reserve space, zeros come first.
 *
 * A spare left by an earlier run begins anew. On a full disk what was taken of it is given back,
 * and it tries again every second. preparer_settled and preparer_no_space are for any thread; the
 * rest belongs to the log's thread.
 */
#ifndef WEIR_PROCESSOR_STORE_PREPARER_H
#define WEIR_PROCESSOR_STORE_PREPARER_H

#include <stdbool.h>
#include <stdint.h>

#include "processor/store/file.h"

struct preparer;

/* Zero-fills one segment in the calling thread; on success the caller owns the open file. On a full
 * disk nothing is left. NO_SPACE, IO. */
MUST_USE enum status prepare_segment(struct file *ret_file, const struct folder *folder,
                                     uint64_t segment_bytes, struct detail *ret_detail);

/* Starts the thread, which begins at once. The folder must outlive it. NO_MEMORY, IO. */
MUST_USE enum status preparer_new(const struct folder *folder, uint64_t segment_bytes,
                                  struct preparer **ret_preparer, struct detail *ret_detail);
/* Stops the thread; a spare stays in the folder. */
void preparer_destroy(struct preparer **preparer);

/* preparer_wait will say OK soon: a spare may be taken, at the latest when the piece of zeros under
 * way is written. Or there was an I/O error, and it will say so. */
bool preparer_settled(const struct preparer *preparer);
/* The last attempt found the disk full. */
bool preparer_no_space(const struct preparer *preparer);

/* Waits while an attempt is running; zeros are cut short. OK: a spare may be taken. NO_SPACE: the
 * disk is full. IO. */
MUST_USE enum status preparer_wait(struct preparer *preparer, struct detail *ret_detail);
/* Hands the spare over (only after preparer_wait said OK); the thread goes on to the next one when
 * preparer_resume is called, which is to be after the spare has got its own name. */
void preparer_take(struct preparer *preparer, struct file *ret_file);
/* Takes over the segment that is full, closes it and lets its pages go from the page cache: so the
 * next one is written to memory that is warm, not to ever new pages, and the log does not push
 * everything else out of memory. */
void preparer_resume(struct preparer *preparer, struct file *full);

#endif
