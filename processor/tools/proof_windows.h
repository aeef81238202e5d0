/* proof_windows: what every key had accepted, kept by an algorithm that shares nothing with the
 * limiter's: per key a plain array of (time, running total of costs), oldest first, asked by binary
 * search.
 *
 *     window (one cache line)    id | newest | older ──▶ (time, total) (time, total) …
 *
 * The sum of a stretch is the difference of two totals. Entries that have left the window are
 * dropped when somebody needs to know: when the array is full, and before a question that depends
 * on them. A key is known by a seeded 128-bit hash of it (and of its policy), so no key is kept.
 * Belongs to one thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_PROOF_WINDOWS_H
#define WEIR_PROCESSOR_TOOLS_PROOF_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/status.h"

struct proof_moment {
    uint64_t time_ns;
    uint64_t total; /* of all costs up to here, mod 2^64 */
};

struct proof_window {
    struct hash_wide id;        /* both 0: a free place */
    struct proof_moment newest; /* its total is `dropped`: nothing is in the window */
    struct proof_moment *older; /* [first, count): before the newest, not yet dropped */
    uint64_t dropped;           /* the total of the last one that was */
    uint32_t first, count, capacity;
};

struct proof_windows {
    struct proof_window *places;
    uint64_t place_count; /* a power of two */
    uint64_t used;        /* places */
    uint64_t used_max;    /* then the table is made anew */
};

/* Empty; proof_windows_fini before it is used again. NO_MEMORY. */
MUST_USE enum status proof_windows_init(struct proof_windows *windows);
void proof_windows_fini(struct proof_windows *windows);

/* The window with this id, entered if it is new. When the table is full, those whose newest entry
 * is `longest_ns` old or older go. It stays where it is until the next call. NULL: no memory. */
struct proof_window *proof_windows_enter(struct proof_windows *windows, struct hash_wide id,
                                         uint64_t now_ns, uint64_t longest_ns);
/* Two steps that bring a window towards the cache: its place, then where its next entry goes. */
void proof_windows_prefetch(const struct proof_windows *windows, struct hash_wide id);
void proof_windows_prefetch_entry(const struct proof_windows *windows, struct hash_wide id);

/* ---- one window, of length_ns, at now_ns ≥ its newest time ---- */

/* Adds a cost ≥ 1. NO_MEMORY. */
MUST_USE enum status proof_window_add(struct proof_window *window, uint64_t now_ns,
                                      uint64_t length_ns, uint64_t cost);
/* The costs in (now − length, now]; exact if it is above `most`, else only known not to be. */
uint64_t proof_window_sum_above(struct proof_window *window, uint64_t now_ns, uint64_t length_ns,
                                uint64_t most);
/* How long until the sum is at most `room` if nothing is added; 0: it is now. */
uint64_t proof_window_wait_ns(struct proof_window *window, uint64_t now_ns, uint64_t length_ns,
                              uint64_t room);

#endif
