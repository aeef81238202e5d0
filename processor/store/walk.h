/* walk: going through the durable part of the log from batch to batch, for readers.
 *
 * Knows the segments, finds one by binary search over their first headers, steps from header to
 * header and from segment to segment, and never looks past the `durable` it is given. It knows
 * nothing of records. Headers are checked when they are met, payloads when they are read. Not
 * thread-safe; independent of the thread that appends.
 */
#ifndef WEIR_PROCESSOR_STORE_WALK_H
#define WEIR_PROCESSOR_STORE_WALK_H

#include "processor/store/batch.h"
#include "processor/store/file_window.h"

struct segment_entry {
    uint64_t number;
    struct batch_header first; /* meaningful where `known` */
    bool known;
};

struct walk {
    struct folder folder;
    struct segment_entry *segments; /* ascending */
    size_t segment_count;
    size_t first;        /* index of the first that is kept: what retention drops keeps its index */
    struct file file;    /* the segment that is open; names it in messages about damage */
    size_t file_segment; /* index of it, where file.fd ≥ 0 */
    struct file_window window;
};

/* Where a batch begins. */
struct place {
    size_t segment;  /* index into walk->segments */
    uint64_t offset; /* in it */
    uint64_t number; /* of the batch that is due there */
};

/* IO, NO_MEMORY. After a failure walk_fini is still due. `walk` must not move afterwards. */
MUST_USE enum status walk_init(struct walk *walk, const char *directory, struct detail *ret_detail);
void walk_fini(struct walk *walk);

/* Learns of new segments, and of dropped ones, up to the durable end. To be called whenever
 * `durable` is a new one. */
MUST_USE enum status walk_refresh(struct walk *walk, const struct durable *durable,
                                  struct detail *ret_detail);

enum walk_by { WALK_BY_EVENT_ID, WALK_BY_REJECTION_ID, WALK_BY_TIME };
/* The beginning of the last segment whose first batch has an id or time ≤ `value`, else of the
 * first one. */
MUST_USE enum status walk_search(struct walk *walk, const struct durable *durable, enum walk_by by,
                                 uint64_t value, struct place *ret_place,
                                 struct detail *ret_detail);
/* A place by segment number and offset; `number` is the caller's to fill in. GONE: the segment is
 * no longer there. */
MUST_USE enum status walk_place(struct walk *walk, const struct durable *durable, uint64_t segment,
                                uint64_t offset, struct place *ret_place,
                                struct detail *ret_detail);
/* The first header that is kept. */
MUST_USE enum status walk_first(struct walk *walk, const struct durable *durable,
                                struct batch_header *ret_first, struct detail *ret_detail);

/* The header at `place`; moves `place` to the next segment where this one has ended. END: the
 * durable log ends here. DAMAGED, IO. */
MUST_USE enum status walk_next(struct walk *walk, const struct durable *durable,
                               struct place *place, struct batch_disk *ret_disk,
                               struct detail *ret_detail);
/* The whole batch whose header walk_next just found at `place`; the view lasts until the next call.
 * DAMAGED, IO. */
MUST_USE enum status walk_read(struct walk *walk, const struct place *place,
                               const struct batch_disk *disk, struct batch_view *ret_view,
                               struct detail *ret_detail);
/* Moves `place` behind that batch. */
void walk_step(struct place *place, const struct batch_disk *disk);

#endif
