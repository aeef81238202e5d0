/* intake: one submission: check → decode → decide → apply → append. What it leaves goes into the
 * draft: accepted records, refusals, the ledger's entries, answers to resends and redirects.
 *
 * Events are read, prepared and prefetched in groups and decided one by one, in order. Owned by the
 * core thread; the order of the checks is that of docs/protocol.md.
 */
#ifndef WEIR_PROCESSOR_INTAKE_H
#define WEIR_PROCESSOR_INTAKE_H

#include "processor/draft.h"

struct intake;

/* NULL when out of memory. The draft is borrowed. */
struct intake *intake_new(struct draft *draft);
void intake_destroy(struct intake **intake);

/* Takes the first frame of a message, whatever its bytes are. */
void intake_take(struct intake *intake, struct slice bytes, bool more_frames);

#endif
