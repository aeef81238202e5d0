/* window: the stamps and costs of what one key (or a whole policy) had accepted, oldest first.
 *
 * A list of one-line chunks from a pool. Times are exact ns: a chunk holds a base time and offsets
 * of 32 bits, and what does not fit starts a new chunk.
 *
 *     units chunk      next, kind, count, first, base | 12 × offset                  cost 1 each
 *     weighted chunk   next, kind, count, first, base |  4 × offset, 4 × cost
 *     express chunk    next, kind                     | next express chunk, sum of costs up to it
 *
 * Costs of equal stamps in a weighted chunk are added up, so a long burst in one batch (one stamp)
 * takes few entries. A dense window takes 5.3 bytes per unit. Express chunks stand between every 64
 * others and let a reader pass over those in one step, so that nobody who asks for half of a large
 * quota again and again can make each answer a walk over a million entries.
 *
 * At time t a stamp s counts while s > t − length; entries that no longer count stay in the list
 * until window_trim, and every reader passes over them, so trimming never changes an answer. Stamps
 * must be added in order. Sums of costs must fit 64 bits (see window_add).
 */
#ifndef WEIR_PROCESSOR_CORE_WINDOW_H
#define WEIR_PROCESSOR_CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "processor/core/pool.h"

#define WINDOW_NEVER UINT64_MAX

struct window {
    uint64_t units;   /* sum of all costs in the list, those that no longer count included */
    uint32_t head;    /* oldest chunk; POOL_NONE: the list is empty */
    uint32_t tail;    /* newest chunk; never an express chunk */
    uint32_t express; /* newest express chunk; POOL_NONE: none in the list */
    uint32_t mark;    /* the owner's to use: fills up the eight bytes */
};

/* Empty; sets the mark to 0. */
void window_init(struct window *window);

/* Adds `cost` ≥ 1 at `stamp_ns` ≥ the newest. When it starts a chunk it first trims at `stamp_ns`,
 * so a window that is only added to does not outgrow what counts. TOO_LARGE if the sum would pass
 * 64 bits; NO_MEMORY. */
MUST_USE enum status window_add(struct window *window, struct pool *pool, uint64_t stamp_ns,
                                uint64_t cost, uint64_t length_ns);

/* Drops the entries that do not count at `now_ns`. */
void window_trim(struct window *window, struct pool *pool, uint64_t now_ns, uint64_t length_ns);

/* Gives all chunks back. */
void window_clear(struct window *window, struct pool *pool);

/* The newest stamp; the list must not be empty. */
uint64_t window_newest_ns(const struct window *window, const struct pool *pool);

/* Goes through the entries that count at `now_ns`, oldest first; entries of one stamp are one. The
 * window must not change meanwhile. */
struct window_walk {
    const struct pool *pool;
    uint64_t now_ns;
    uint64_t length_ns;
    uint32_t chunk; /* at hand */
    uint32_t entry; /* next one in it */
};
void window_walk_init(struct window_walk *walk, const struct window *window,
                      const struct pool *pool, uint64_t now_ns, uint64_t length_ns);
/* False when there are no more. */
bool window_walk_next(struct window_walk *walk, uint64_t *ret_stamp_ns, uint64_t *ret_cost);

/* Brings the newest chunk towards the cache. */
void window_prefetch(const struct window *window, const struct pool *pool);

/* Has the stamp left a window of `length_ns` at `now_ns` (≥ stamp)? The window is (now − length,
 * now]. */
static inline bool window_expired(uint64_t stamp_ns, uint64_t now_ns, uint64_t length_ns)
{
    return now_ns - stamp_ns >= length_ns;
}

/* window_wait_ns where units > room: walks from the oldest entry as far as it must. */
uint64_t window_wait_walk_ns(const struct window *window, const struct pool *pool, uint64_t room,
                             uint64_t now_ns, uint64_t length_ns);

/* How long until the sum of what counts is at most `room` if nothing is added: 0 when it is now. */
static inline uint64_t window_wait_ns(const struct window *window, const struct pool *pool,
                                      uint64_t room, uint64_t now_ns, uint64_t length_ns)
{
    if (window->units <= room)
        return 0; /* what no longer counts is in `units` too, so this is safe and mostly enough */
    return window_wait_walk_ns(window, pool, room, now_ns, length_ns);
}

#endif
