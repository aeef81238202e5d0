/* policy_change: other policies come into force, as an event in the log.
 *
 *     [occurred_at, "weir.policy_changed", "policy", 1, {"text": canonical INI, "by": who}] source
 * "weir", unsequenced
 *
 * The event stands alone in its batch. With it the windows of new and changed policies are filled
 * from the log, so a change grants nothing: not at the moment it is made, and not when recovery
 * comes upon the event again.
 */
#ifndef WEIR_PROCESSOR_POLICY_CHANGE_H
#define WEIR_PROCESSOR_POLICY_CHANGE_H

#include "common/wire/record.h"
#include "processor/core/window_fill.h"
#include "processor/store/reader.h"

#define POLICY_CHANGE_SOURCE  "weir"
#define POLICY_CHANGE_TYPE    "weir.policy_changed"
#define POLICY_CHANGE_SUBJECT "policy"

enum { POLICY_CHANGE_BYTES_MAX = 2 * POLICY_TEXT_BYTES_MAX };

/* Appends the event. */
void policy_change_write(struct buffer *event, uint64_t occurred_at_ns, const char *text,
                         const char *by);
/* Is this record such an event? */
bool policy_change_is(struct slice source, const struct event *event);
/* The policies that the event brings into force, on the heap. DAMAGED, NO_MEMORY. */
MUST_USE enum status policy_change_read(const struct event *event, struct policy_set **ret_policies,
                                        struct detail *ret_detail);

/* The record that is due next in the log of `state`; its event is written into `event`, which must
 * live as long. */
MUST_USE enum status policy_change_record(const struct state *state, const char *text,
                                          const char *by, uint64_t now_ns, struct buffer *event,
                                          struct accepted_record *ret_record);
/* Adds an accepted record to a fill: as window_fill_add. */
MUST_USE enum status policy_change_add(struct window_fill *fill,
                                       const struct accepted_record *record,
                                       struct detail *ret_detail);
/* Applies the event and the change it stands for. `decision` is scratch. NO_MEMORY. */
MUST_USE enum status policy_change_apply(struct state *state, struct window_fill *fill,
                                         const struct accepted_record *record,
                                         struct decision *decision);

/* Where a change is made: behind what the log in `directory` holds up to `end`, at `now_ns`. */
struct change_place {
    const char *directory; /* the store's */
    struct durable end;
    uint64_t now_ns;
};

/* Does the log still hold all that the windows need? GONE, naming policy, window and the first
 * event that is kept: no. The reader was made for this change; DAMAGED, IO. */
MUST_USE enum status policy_change_expect_kept(const struct window_fill *fill,
                                               const struct change_place *place,
                                               struct reader *reader, struct detail *ret_detail);

/* The windows that `policies` need, filled from the log. GONE: they reach back to what it no longer
 * holds; the reasons of window_fill_add and the reader. */
MUST_USE enum status policy_change_fill(const struct change_place *place, const struct state *state,
                                        const struct policy_set *policies,
                                        struct window_fill **ret_fill, struct detail *ret_detail);

/* Makes `policies` those in force: fills, appends the event to the log, applies it. The log is
 * idle; `now_ns` is not before its last time. After a failure the state may be ahead of the log. */
MUST_USE enum status policy_change_make(struct log *log, const char *directory, struct state *state,
                                        const struct policy_set *policies, uint64_t now_ns,
                                        struct detail *ret_detail);

#endif
