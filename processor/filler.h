/* filler: the thread that reads the log for a change of the policies, while events flow.
 *
 * It adds what was accepted to the fill of a call, up to the durable end of the log, and hands the
 * call back to the core (live_change.h). What it reads it pins (pin.h) until control has the call
 * back. It has a reader of its own, and a fill belongs to it while it has the call.
 */
#ifndef WEIR_PROCESSOR_FILLER_H
#define WEIR_PROCESSOR_FILLER_H

#include "processor/service.h"

struct filler;

/* NULL when out of memory. */
struct filler *filler_new(struct service *service);
void filler_destroy(struct filler **filler);

/* Runs until service->to_filler is closed and empty; a reading that is under way then is given up.
 */
void filler_run(struct filler *filler);

/* One lap: waits until event change->durable_id is durable, then adds what follows
 * change->next_id. Fills status and detail of the call: OK; GONE: the log no longer holds what the
 * longest window needs; UNAVAILABLE: the process ends; the reasons of window_fill_add and the
 * reader. */
void filler_lap(struct filler *filler, struct call *call);

#endif
