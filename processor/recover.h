/* recover: folding the log into the state. Applies what was recorded, decides nothing again.
 *
 * The fold is handed each batch by log_open, in order and verified. Afterwards the positions must
 * be those that the batch headers promise, or the log is called damaged; and the state's digest
 * that of the writer, or the fold is called DIVERGED.
 */
#ifndef WEIR_PROCESSOR_RECOVER_H
#define WEIR_PROCESSOR_RECOVER_H

#include "processor/core/state.h"
#include "processor/store/log.h"
#include "processor/store/source_record.h"

struct recovery;

/* `directory` is the store's, for what a policy change needs of the log. NULL when out of memory.
 */
struct recovery *recovery_new(const char *directory);
void recovery_destroy(struct recovery **recovery);

/* A log_visit_fn; the context is the recovery. */
enum status recovery_visit(void *context, const struct batch_view *batch,
                           struct detail *ret_detail);

/* The state so far; the caller takes it over (NULL if no genesis was seen). */
struct state *recovery_take_state(struct recovery *recovery);
/* The genesis, its text kept by the recovery; `log_id` is all zero if none was seen. */
const struct genesis *recovery_genesis(const struct recovery *recovery);

#endif
