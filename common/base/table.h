/* table: key → slot, for untrusted byte-string keys (SipHash with a secret seed, open addressing).
 *
 * It stores only hashes and slot numbers; the caller keeps the keys and values in an array of its
 * own, indexed by slot. So one table serves sources, window keys and view rows. Not thread-safe.
 * Invariant: at most `slots_max` entries; a slot is in the table at most once.
 */
#ifndef WEIR_COMMON_BASE_TABLE_H
#define WEIR_COMMON_BASE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/status.h"

#define TABLE_NONE UINT32_MAX

struct table_bucket {
    uint32_t tag;  /* upper half of the hash; its low bits choose the home bucket */
    uint32_t slot; /* TABLE_NONE: empty */
};

struct table {
    struct table_bucket *buckets; /* power of two */
    uint32_t bucket_count;
    uint32_t count; /* entries */
    uint32_t slots_max;
};

/* Is `key` the key of `slot`? */
typedef bool table_equal_fn(const void *owner, uint32_t slot, struct slice key);

void table_init(struct table *table, uint32_t slots_max);
void table_fini(struct table *table);

/* The slot of `key` whose hash is `hash`, or TABLE_NONE. */
uint32_t table_find(const struct table *table, uint64_t hash, struct slice key,
                    table_equal_fn *equal, const void *owner);
/* Brings the bucket of `hash` towards the cache. */
void table_prefetch(const struct table *table, uint64_t hash);
/* A slot whose key may have this hash, without comparing keys: the one to bring towards the cache
 * next. TABLE_NONE if there is surely none. */
uint32_t table_guess(const struct table *table, uint64_t hash);
/* Enters a key that table_find did not find. FULL above slots_max, NO_MEMORY. */
MUST_USE enum status table_insert(struct table *table, uint64_t hash, uint32_t slot);
/* Takes out the entry of `slot`, which must be there. */
void table_remove(struct table *table, uint64_t hash, uint32_t slot);

#endif
