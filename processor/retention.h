/* retention: drops the oldest segments of the log. Off unless asked for.
 *
 * Segments below a snapshot that stands exactly at a segment's beginning may go, if
 *
 *   - the limits ask for it: what stays still has `bytes`, or what goes is older than `for_ns`
 *   - a newer snapshot exists, so that a damaged one still leaves a way to start
 *   - nothing of it is younger than the longest window in force, counted back from the newest
 *     snapshot but one: a fold that begins there can fill every window
 *   - every byte of the snapshot is good
 *
 * Older snapshots go with their segments. Ids go on; who asks for what is gone is told the first
 * id that is kept.
 */
#ifndef WEIR_PROCESSOR_RETENTION_H
#define WEIR_PROCESSOR_RETENTION_H

#include <stdint.h>

#include "common/policy/policy.h"
#include "common/wire/record.h"

struct retention_options {
    uint64_t bytes;  /* 0: no limit */
    uint64_t for_ns; /* 0: no limit */
};

static inline bool retention_is_on(const struct retention_options *options)
{
    return options->bytes > 0 || options->for_ns > 0;
}

/* Drops what may go at log time `now_ns`; `window_ns` is the longest in force. ret_segments is how
 * many went, 0 mostly. IO, NO_MEMORY: try again later. */
MUST_USE enum status retention_apply(const char *directory, const struct retention_options *options,
                                     uint64_t now_ns, uint64_t window_ns, uint32_t *ret_segments,
                                     struct detail *ret_detail);

/* Where the log begins now. */
struct first_kept {
    uint64_t event_id;
    uint64_t rejection_id;
    char policy_text[POLICY_TEXT_BYTES_MAX]; /* in force before the first kept record */
};
/* NOT_FOUND: nothing was ever dropped. GONE, IO, NO_MEMORY: it cannot be said. */
MUST_USE enum status retention_first_kept(const char *directory, struct first_kept *ret_first,
                                          struct detail *ret_detail);

#endif
