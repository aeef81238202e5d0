/* upcast: old schema versions of events, migrated when they are read. One file in this folder makes
 * one migration; the build finds it by its name.
 *
 * NAME.c defines `const struct upcast upcast_NAME`: from which version of which type it leads to
 * the next, and how the data changes. Stored bytes never change, and policies see the event as
 * submitted; views and `history` see what comes out here. A migration is pure: the same data gives
 * the same data in every process.
 */
#ifndef WEIR_COMMON_EVENT_UPCAST_UPCAST_H
#define WEIR_COMMON_EVENT_UPCAST_UPCAST_H

#include <stdint.h>

#include "common/event/event.h"

enum { UPCAST_DATA_BYTES_MAX = EVENT_BYTES_MAX + 4096 }; /* of what one event may grow to */

struct upcast {
    const char *name; /* of the file */
    const char *type; /* of the events */
    uint16_t from;    /* schema version; it leads to from + 1 */
    /* Appends the new data, a map's MessagePack, or nothing where the old data stays as it is.
     * INVALID, with the reason, when that is not as it should be. */
    enum status (*change)(struct slice data, struct buffer *ret_data, struct detail *ret_detail);
};

/* Every migration of this folder, sorted by name; the build writes this table. */
extern const struct upcast *const upcasts[];
extern const uint32_t upcast_count;

/* No two lead from the same version, and what leads to version 3 is there if something leads on
 * from it. (There are no cycles: each leads one up.) CONFIG, naming the files. */
MUST_USE enum status upcast_check(const struct upcast *const *table, uint32_t count,
                                  struct detail *ret_detail);

/* Migrates the event to the newest version there is: afterwards data that changed is in `scratch`
 * (which must not move while it is used: reserve first) and its schema_version the new one; `raw`
 * stays as it was stored. Nothing to do: OK, scratch untouched. INVALID, FULL, NO_MEMORY: the event
 * stays as it was, ret_detail says why. */
MUST_USE enum status upcast_event_with(const struct upcast *const *table, uint32_t count,
                                       struct event *event, struct buffer *scratch,
                                       struct detail *ret_detail);
MUST_USE enum status upcast_event(struct event *event, struct buffer *scratch,
                                  struct detail *ret_detail);

/* Is the event of a version from which a migration leads? */
bool upcast_is_due(const struct event *event);

/* Did a migration change the data? It then lies outside the raw bytes. */
static inline bool upcast_was(const struct event *event)
{
    return event->data.data < event->raw.data ||
           event->data.data >= event->raw.data + event->raw.size;
}
/* The event as it was submitted. */
struct event upcast_original(const struct event *event);

#endif
