/* live_change: the core's side of `policy set`: other policies come into force while events flow.
 *
 *     begin: the fill is made from the state → the filler reads the log …
 *     lap:   … and hands back. Much was accepted meanwhile: again. Little: the open batch is
 * sealed, the draft paused, and the filler reads the rest as soon as it is durable last:  the event
 * goes into a batch of its own, the policies come into force, the pause ends
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
    CHANGE_LAPS_MAX = 16,           /* or after so many: events come as fast as they are read */
};

/* Takes the call from control, or back from the filler, and hands it on. A batch is open. */
void live_change_take(struct draft *draft, struct call *call);

#endif
