/* judge: decides a log again, verdict by verdict, on a state folded from it, and writes down what
 * does not agree.
 *
 *     accepted       the state of that moment accepts it, and proof.h finds its windows kept
 *     refused        the state of that moment refuses it with the same reason, policy, key and wait
 *     ids, times     the next ones; times never go back, within a batch neither
 *     sequences      each of a source has one verdict, in order; its runs of refusals are those
 *                    that records and summaries tell of
 *     state          the digest in each batch's header is that of the state behind it
 *
 * The order within a batch: a refusal stands behind the event that it names (after_event_id). What
 * cannot be decided again: summaries (their events are not in the log; their numbers are compared
 * with the runs), refusals of bytes that are not in the record whole, and of submissions as a
 * whole.
 *
 * It goes on after a finding as the log does. Belongs to one thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_JUDGE_H
#define WEIR_PROCESSOR_TOOLS_JUDGE_H

#include "common/base/hash.h"
#include "processor/core/state.h"
#include "processor/store/log.h"
#include "processor/store/source_record.h"
#include "processor/tools/findings.h"

struct judge;

struct judge_result {
    uint64_t events, rejections, batches; /* read */
    struct digest records;                /* over all records of both streams, one by one */
};

/* `directory` is the store's, for what a policy change needs of the log. NULL when out of memory.
 */
struct judge *judge_new(const char *directory, struct findings *findings);
void judge_destroy(struct judge **judge);

/* Begins, or begins again, with a state from a snapshot, for a log that has lost its beginning;
 * takes it over when it succeeds. Windows reach back to what is gone: until the longest of them has
 * passed, refusals are decided again but not proved. NO_MEMORY. */
MUST_USE enum status judge_begin(struct judge *judge, struct state *state);

/* A log_visit_fn; the context is the judge. INVALID: it cannot go on behind what it has found;
 * GONE: the batch changes the policies, and their windows reach back to what the log no longer
 * holds: only judge_begin goes on; NO_MEMORY, IO. */
enum status judge_visit(void *context, const struct batch_view *batch, struct detail *ret_detail);

struct judge_result judge_result(const struct judge *judge);
/* The folded state; NULL before the genesis. */
const struct state *judge_state(const struct judge *judge);

#endif
