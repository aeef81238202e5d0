/* snapshots: the thread that keeps a start short. It folds the log behind the live path, from
 * sealed segments only, never from live memory, and writes down the state it gets; each batch's
 * digest is compared on the way, so it is also a standing check that the fold equals the live state
 * (DIVERGED ends the process: it is a bug).
 *
 *     every SNAPSHOT_EVERY_BYTES of log, or SNAPSHOT_SPACING times the size of the last snapshot,
 *     whichever is more; at the end of a segment already after half of that
 *
 * So all snapshots together are at most half as large as the log. The thread runs at a lower
 * priority; when it lags, starts take longer, nothing else. A disk that is full or fails is a
 * warning, and tried again. What it folds stays in memory while the log grows, and is let go after
 * a minute of quiet. It also drops what retention no longer wants (retention.h).
 *
 * Owned by its thread, but for snapshots_stop.
 */
#ifndef WEIR_PROCESSOR_SNAPSHOTS_H
#define WEIR_PROCESSOR_SNAPSHOTS_H

#include "processor/retention.h"
#include "processor/service.h"

enum {
    SNAPSHOT_EVERY_BYTES = 16 * 1024 * 1024,
    SNAPSHOT_SPACING = 4,
};

struct snapshots;

/* NULL when out of memory. */
struct snapshots *snapshots_new(struct service *service, struct retention_options retention,
                                uint64_t every_bytes);
void snapshots_destroy(struct snapshots **snapshots);

/* The thread, until snapshots_stop. */
void snapshots_run(struct snapshots *self);
/* In the thread of the caller instead, who has nothing else to do: folds what is sealed and writes
 * what is due by now. What goes wrong is a warning, DIVERGED fails the service; a signal ends it.
 */
void snapshots_catch_up(struct snapshots *self);
/* From any thread. */
void snapshots_stop(struct snapshots *snapshots);

#endif
