/* retention: drops the oldest segments of the log. Off unless asked for.
 *
 * What may go by its size, age and place: retention_rule.h. Beyond that nothing goes that a window
 * may still need:
 *
 *   - the longest policy in force, so that it can be changed at any time and be filled
 *   - a change of the policies that is being filled (pin.h)
 *   - each change of the policies behind the newest snapshot but one: a start may fold on from
 *     there, and fills the windows again when it comes upon the change
 *
 * Every byte of the snapshot at the new beginning and of the newest two is good before anything
 * goes. Older snapshots go with their segments. Ids go on; who asks for what is gone is told the
 * first id that is kept.
 */
#ifndef WEIR_PROCESSOR_RETENTION_H
#define WEIR_PROCESSOR_RETENTION_H

#include "common/policy/policy.h"
#include "common/wire/record.h"
#include "processor/pin.h"
#include "processor/retention_rule.h"
#include "processor/store/log.h"

/* What is needed of the log by others than it tells itself. */
struct retention_need {
    struct pin *pin;
    struct pin_look pinned; /* before anything else was read */
    uint64_t window_ns;     /* the longest in force */
};

/* Drops what may go; `durable` was read after the pin was. ret_segments is how many went, 0 mostly,
 * also after a failure, or where a pin was set meanwhile. IO, DAMAGED, NO_MEMORY: try again later.
 */
MUST_USE enum status retention_apply(const char *directory, const struct retention_options *options,
                                     const struct durable *durable,
                                     const struct retention_need *need, uint32_t *ret_segments,
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
