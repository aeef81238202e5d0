/* live_change: the core's side of `policy set`: other policies come into force while events flow.
 *
 * - begin: the fill is made from the state, and the filler reads the log
 * - lap: it hands back. Was much accepted meanwhile: again; at most half of what it read was
 *   (PACE_HALF), so laps get shorter and all of them read at most twice what the first one did.
 *   Little: the open batch is sealed, nothing more is taken in, and the filler reads the rest as
 *   soon as it is durable
 * - end: the event goes into a batch of its own, the policies come into force, the pause ends
 *
 * A pause lasts about one fdatasync and the reading of CHANGE_REST_EVENTS_MAX events; what need not
 * be filled (fewer policies, the same ones in another order) takes none. Any failure, also a full
 * disk, leaves all as it was. Owned by the core thread.
 */
#ifndef WEIR_PROCESSOR_LIVE_CHANGE_H
#define WEIR_PROCESSOR_LIVE_CHANGE_H

#include "processor/draft.h"

enum {
    CHANGE_REST_EVENTS_MAX = 16384, /* then the rest is read in a pause */
    CHANGE_LAPS_MAX = 64,           /* after so many too: what is in flight may be more than that */
};

/* Takes the call from control, or back from the filler, and hands it on. A batch is open. */
void live_change_take(struct draft *draft, struct call *call);

#endif
