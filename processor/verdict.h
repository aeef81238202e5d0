/* verdict: what a decided event leaves behind, whoever brought it: its record in the draft, its
 * place in the ledger, the change of the state, the counters, and the reports of shadow policies.
 *
 * Before each of them: draft_has_room, and ledger_touch where the event has a source. Owned by the
 * core thread.
 */
#ifndef WEIR_PROCESSOR_VERDICT_H
#define WEIR_PROCESSOR_VERDICT_H

#include "processor/draft.h"

/* Decides a prepared candidate at the draft's stamp, and enters what was decided. True: accepted.
 */
bool verdict_reach(struct draft *draft, const struct candidate *candidate);

/* Enters the refusal in draft->decision, of what a candidate could not be made of. The caller has
 * filled detail and evidence; everything else of the record is filled here. */
void verdict_refuse(struct draft *draft, struct slice source_name, struct rejection *rejection);

#endif
