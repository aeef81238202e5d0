/* limiter: one policy's windows, by key.
 *
 *   key ──SipHash──▶ table ──▶ slot (one cache line: window, hash, key) ──▶ chunks of the window
 *
 * `keys_live` and `units_live` are exact at the time of the last limiter_expire: a key lives while
 * something of it counts. To know that without looking at every key, each live key has one entry in
 * a binary min-heap ordered by a lower bound of its newest stamp; limiter_expire takes out what may
 * have ended and puts back, with the true stamp, what has not. So an acceptance costs no heap work.
 *
 * A limiter may be told to keep one key only (limiter_narrow): then keys_live, caps of keys and all
 * answers about other keys are void; that key and units_live are as ever.
 *
 * The order of use, once per batch: limiter_expire; then per event limiter_assay and, if it was
 * accepted, limiter_spend. Owned by the state. Not thread-safe.
 */
#ifndef WEIR_PROCESSOR_CORE_LIMITER_H
#define WEIR_PROCESSOR_CORE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/table.h"
#include "processor/core/pool.h"
#include "processor/core/state.h"
#include "processor/core/window.h"

struct live_key {
    uint64_t newest_ns; /* lower bound of the key's newest stamp */
    uint32_t slot;
};

struct limiter {
    uint64_t quota; /* these four as in the policy */
    uint64_t window_ns;
    uint64_t keys_max;
    uint64_t units_max;
    struct table table; /* key → slot */
    struct pool slots;
    struct pool chunks;
    struct live_key *heap; /* keys_live entries */
    uint32_t heap_capacity;
    uint32_t keys_live;
    struct window accepted; /* of the whole policy: 1 for each acceptance that spent something … */
    uint64_t accepted_now;  /* … but those at `now_ns`, which limiter_expire adds as one */
    uint64_t now_ns;        /* of the last limiter_expire */
    struct slice only;      /* the one key that is kept (policy_key_is); no data: all are */
};

void limiter_init(struct limiter *limiter, const struct policy *policy);
void limiter_fini(struct limiter *limiter);

/* From now on keeps nothing but what is spent of the key that a person writes as `only`, which is
 * borrowed. The limiter is empty. */
void limiter_narrow(struct limiter *limiter, struct slice only);
static inline bool limiter_is_narrow(const struct limiter *limiter)
{
    return limiter->only.data != NULL;
}

/* Time is `now_ns`, ≥ the last. Forgets every key of which nothing counts any more. NO_MEMORY. */
MUST_USE enum status limiter_expire(struct limiter *limiter, uint64_t now_ns);

/* Acceptances that count, exact as of the last limiter_expire. */
static inline uint64_t limiter_units(const struct limiter *limiter)
{
    return limiter->accepted.units + limiter->accepted_now;
}

/* A charge as the limiter wants it: with the hash of its key, which it does not copy. */
void limiter_charge_init(struct candidate_charge *charge, const struct hash_seed *seed,
                         uint32_t policy, const struct charge *spends);

/* How a charge stands at the time of the last limiter_expire. A cost of 0 always fits. */
enum limiter_room { LIMITER_ROOM, LIMITER_KEYS_FULL, LIMITER_UNITS_FULL };
struct assay {
    uint64_t wait_ns; /* 0: fits its window; WINDOW_NEVER; else until it does if nothing is added */
    enum limiter_room room; /* may one more acceptance be kept? */
    uint32_t slot;          /* of the key; TABLE_NONE: it is new */
};
struct assay limiter_assay(const struct limiter *limiter, const struct candidate_charge *charge);
static inline bool assay_fits(const struct assay *assay)
{
    return assay->wait_ns == 0 && assay->room == LIMITER_ROOM;
}

/* Enters a cost ≥ 1 at the time of the last limiter_expire. `slot` is what limiter_assay said
 * since, or TABLE_NONE. What counts of a cost above the quota is the quota: nothing fits beside
 * either. TOO_LARGE: the key's sum would pass 64 bits (not when it fitted); NO_MEMORY. */
MUST_USE enum status limiter_spend(struct limiter *limiter, const struct candidate_charge *charge,
                                   uint32_t slot);

/* Drops what no longer counts of the charge's key, so that the next refusal need not walk over it.
 * Changes no answer. */
void limiter_trim(struct limiter *limiter, const struct candidate_charge *charge);

/* ---- going through what is kept, and bringing it back ---- */

/* Slots are numbered from 0 up to limiter_slot_count; some are free. */
static inline uint32_t limiter_slot_count(const struct limiter *limiter)
{
    return limiter->slots.cell_count;
}
/* The key of a slot, as bytes that order and tell apart keys (limiter_key_value), and what counts
 * of it. False: the slot is free. */
bool limiter_slot(const struct limiter *limiter, uint32_t slot, struct slice *ret_key,
                  struct window_walk *ret_walk);
/* The acceptances of the whole policy, but those of the last limiter_expire's time. */
void limiter_accepted_walk(const struct limiter *limiter, struct window_walk *ret_walk);

enum { LIMITER_INTEGER_KEY_BYTES = 9 };
/* The key that stands in the table as `bytes`. False: none does. The value borrows the bytes. */
bool limiter_key_value(struct slice bytes, struct policy_key_value *ret_key);

/* Is there anything to bring back of the key whose bytes these are? */
bool limiter_keeps(const struct limiter *limiter, struct slice key);
/* Into an empty limiter at `now_ns`: keys with their entries, oldest first, then the acceptances.
 * INVALID: a key or a stamp that cannot be, or twice; FULL, TOO_LARGE, NO_MEMORY. */
void limiter_restore_begin(struct limiter *limiter, uint64_t now_ns);
MUST_USE enum status limiter_restore_key(struct limiter *limiter, const struct hash_seed *seed,
                                         struct slice key, uint64_t oldest_ns, uint32_t *ret_slot);
MUST_USE enum status limiter_restore_units(struct limiter *limiter, uint32_t slot,
                                           uint64_t stamp_ns, uint64_t cost);
/* Behind the last entry of a key. */
void limiter_restore_live(struct limiter *limiter, uint32_t slot);
MUST_USE enum status limiter_restore_accepted(struct limiter *limiter, uint64_t stamp_ns,
                                              uint64_t count);

/* The three steps of the prefetch, each of which needs what the one before has brought: the table's
 * bucket, the slot (a guess from the table alone, kept as the charge's hint), the window. */
void limiter_prefetch_bucket(const struct limiter *limiter, const struct candidate_charge *charge);
void limiter_prefetch_slot(const struct limiter *limiter, struct candidate_charge *charge);
void limiter_prefetch_window(const struct limiter *limiter, const struct candidate_charge *charge);

#endif
