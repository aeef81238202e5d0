/* ledger: what the open batch decided, source by source: the source records that go to disk with
 * it, and the acks that leave behind it.
 *
 * Owned by the core thread. Not state: it is emptied with each batch, and only the times of the
 * last gap and fenced answers live longer.
 */
#ifndef WEIR_PROCESSOR_LEDGER_H
#define WEIR_PROCESSOR_LEDGER_H

#include "common/wire/feed.h"
#include "processor/batch.h"
#include "processor/core/state.h"

struct ledger;

struct ledger *ledger_new(const struct log_id *log_id);
void ledger_destroy(struct ledger **ledger);

/* The source is part of this batch (a hello raised its epoch, or a sequence is used). NO_MEMORY. */
MUST_USE enum status ledger_touch(struct ledger *ledger, const struct state *state,
                                  uint32_t source);

/* `sequence` of a touched source was accepted. Sequences come in order, without holes. */
void ledger_accept(struct ledger *ledger, uint32_t source, uint64_t sequence);
/* `count` sequences from refusal->sequence on were refused alike; acks that become full go to
 * `batch`. NO_MEMORY. */
MUST_USE enum status ledger_refuse(struct ledger *ledger, struct batch *batch,
                                   const struct state *state, uint32_t source,
                                   const struct refusal *refusal, uint64_t count);

/* Answers a resend of first … last (all ≤ the source's last sequence) with the remembered verdicts,
 * when the ledger is closed and before the acks of what comes behind: acks of a source go up.
 * Resends that join are answered together (a sender's window in small pieces is one ack, not
 * thousands), and what the open batch decided is told by its own ack, with reasons. */
void ledger_resend(struct ledger *ledger, struct batch *batch, const struct state *state,
                   uint32_t source, uint64_t first, uint64_t last);

struct redirect {
    struct slice name;
    uint32_t source;        /* SOURCE_NONE: unknown */
    enum ack_status status; /* ACK_GAP or ACK_FENCED */
};
/* An answer with an empty range that says where the source stands. At most one of each status per
 * source and 100 ms; unknown sources share one allowance. */
void ledger_redirect(struct ledger *ledger, struct batch *batch, const struct state *state,
                     const struct redirect *redirect, uint64_t now_ns);

/* Bytes that ledger_close will add to the batch's sources, at most. */
size_t ledger_source_bytes(const struct ledger *ledger);
/* Bytes that ledger_close will add to the batch's acks, at most. */
size_t ledger_ack_bytes(const struct ledger *ledger);
/* Would ledger_close write nothing? */
bool ledger_is_empty(const struct ledger *ledger);
/* Writes the source records and the remaining acks into the batch and empties the ledger. */
void ledger_close(struct ledger *ledger, struct batch *batch, const struct state *state);

#endif
