/* filling: which events fill a key's window.
 *
 * A window keeps stamps, not ids, so the log is read again: of the batches whose times hold none of
 * the stamps only the headers.
 */
#ifndef WEIR_PROCESSOR_TOOLS_FILLING_H
#define WEIR_PROCESSOR_TOOLS_FILLING_H

#include "processor/core/explain.h"
#include "processor/store/reader.h"

enum { FILLING_SHOWN = 20 };

struct filling {
    uint64_t ids[FILLING_SHOWN]; /* of the newest, as a ring: event n is at n mod FILLING_SHOWN */
    uint64_t count;              /* of all that are kept */
    bool gone;                   /* there are earlier ones, which are not */
};

/* `key` is one of the policy's in `state`, which is that of the log at some event. DAMAGED, IO. */
MUST_USE enum status filling_find(struct reader *reader, const struct durable *durable,
                                  const struct state *state, uint32_t policy,
                                  const struct explain_key *key, struct filling *ret_filling,
                                  struct detail *ret_detail);

#endif
