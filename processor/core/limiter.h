/* limiter: one policy's windows, by key.
 *
 *   key ──SipHash──▶ table ──▶ slot (one cache line: hash, window, key) ──▶ chunks of the window
 *
 * `keys_live` and `units_live` are exact at the time of the last limiter_expire: a key lives while
 * something of it counts. To know that without looking at every key, each live key has one entry in
 * a binary min-heap ordered by a lower bound of its newest stamp; limiter_expire takes out what may
 * have ended and puts back, with the true stamp, what has not. So an acceptance costs no heap work.
 *
 * The order of use, once per batch: limiter_expire; then per event limiter_find, limiter_wait_ns,
 * limiter_has_room and, if it was accepted, limiter_spend. Owned by the state. Not thread-safe.
 */
#ifndef WEIR_PROCESSOR_CORE_LIMITER_H
#define WEIR_PROCESSOR_CORE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/table.h"
#include "common/policy/policy.h"
#include "processor/core/pool.h"
#include "processor/core/window.h"

#define LIMITER_SLOT_NONE TABLE_NONE

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
    struct window accepted; /* of the whole policy: 1 for each acceptance that spent something */
};

/* The bytes that stand for a key: a text as it is; an integer as a byte that UTF-8 never begins
 * with and eight more, so that 5 and "5" are two keys. */
enum { LIMITER_INTEGER_KEY_BYTES = 9 };
struct limiter_key {
    struct slice bytes; /* borrows the text, or points into `integer` */
    uint8_t integer[LIMITER_INTEGER_KEY_BYTES];
};
/* `key` must stay where it is while its bytes are used. */
void limiter_key_init(struct limiter_key *key, const struct policy_key_value *value);

void limiter_init(struct limiter *limiter, const struct policy *policy);
void limiter_fini(struct limiter *limiter);

/* Forgets every key of which nothing counts any more at `now_ns`. */
void limiter_expire(struct limiter *limiter, uint64_t now_ns);

/* The slot of a key, or LIMITER_SLOT_NONE. `hint`: what limiter_peek said, or LIMITER_SLOT_NONE. */
uint32_t limiter_find(const struct limiter *limiter, uint64_t hash, struct slice key,
                      uint32_t hint);

/* 0: `cost` ≥ 1 fits the key's window at `now_ns`. WINDOW_NEVER: it never will. Else how long until
 * it does if nothing else is accepted. */
uint64_t limiter_wait_ns(const struct limiter *limiter, uint32_t slot, uint64_t cost,
                         uint64_t now_ns);

/* May one more acceptance be kept, of this key (LIMITER_SLOT_NONE: a new one)? */
enum limiter_room { LIMITER_ROOM, LIMITER_KEYS_FULL, LIMITER_UNITS_FULL };
enum limiter_room limiter_has_room(const struct limiter *limiter, uint32_t slot);

/* Enters `cost` ≥ 1 at `now_ns`, which is not before any earlier stamp. What counts of a cost above
 * the quota is the quota: nothing fits beside either. TOO_LARGE: the key's sum would pass 64 bits
 * (not when it fitted); NO_MEMORY. */
MUST_USE enum status limiter_spend(struct limiter *limiter, uint64_t hash, struct slice key,
                                   uint32_t hint, uint64_t cost, uint64_t now_ns);

/* Drops what no longer counts of one key, so that a refusal does not walk over it again. Changes no
 * answer. */
void limiter_trim(struct limiter *limiter, uint32_t slot, uint64_t now_ns);

/* The two steps of the prefetch. limiter_peek guesses the slot from the table alone and touches it;
 * limiter_touch reads the slot and touches the newest chunk. */
uint32_t limiter_peek(const struct limiter *limiter, uint64_t hash);
void limiter_touch(const struct limiter *limiter, uint32_t slot);

#endif
