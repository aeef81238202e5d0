/* rows: the rows of one view, in memory: key → value, with a digest and an order that are kept up
 * lazily.
 *
 * A row is the view's columns: first the key columns, as MessagePack items one after another, then
 * what the view makes of the row's value, a plain struct of its own. Changing a row only marks it;
 * hashing happens when the digest is asked for, sorting when the rows are read. No I/O, no clock.
 * Not thread-safe. Invariant: `digest` is the sum over all rows that are not marked.
 */
#ifndef WEIR_PROJECTOR_CORE_ROWS_H
#define WEIR_PROJECTOR_CORE_ROWS_H

#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/hash.h"

enum {
    ROWS_MAX = 1 << 24,       /* of one view; events for further keys are counted, not shown */
    ROW_KEY_BYTES_MAX = 512,  /* all key columns of a row */
    ROW_VALUE_BYTES_MAX = 512 /* a view's struct for one row */
};

struct view_type;
struct rows;

/* NULL when out of memory. `type` must outlive the rows. rows_max ≤ ROWS_MAX. */
struct rows *rows_new(const struct view_type *type, const struct hash_seed *seed,
                      uint32_t rows_max);
void rows_destroy(struct rows **rows);

uint32_t rows_count(const struct rows *rows);
/* How often rows_at found no room for a new key. */
uint64_t rows_left_out(const struct rows *rows);

/* The steps to a row, so that a group of keys can be on its way to the cache at once. */
uint64_t rows_hash(const struct rows *rows, struct slice key);
/* Brings the place of the hash towards the cache; then, once that is there, the row itself. Both
 * may be left out. */
void rows_prefetch_place(const struct rows *rows, uint64_t hash);
void rows_prefetch_row(const struct rows *rows, uint64_t hash);
/* The value of the row with this key (≤ ROW_KEY_BYTES_MAX, the shortest MessagePack), zeroed if the
 * row is new; the caller is about to change it. NULL when there is no room (counted). Valid until
 * the next rows_at. */
void *rows_at(struct rows *rows, uint64_t hash, struct slice key);

/* Sum mod 2^128 of XXH3-128 over the MessagePack of [view, [column, …]] of every row. */
struct digest rows_digest(struct rows *rows);

/* Sorts by the key columns: integers before texts, integers by value, texts by bytes. NO_MEMORY
 * leaves the order before. */
MUST_USE enum status rows_sort(struct rows *rows);
/* Appends row `place` of the last rows_sort as a map, column → value. */
void rows_write(struct rows *rows, uint32_t place, struct buffer *buffer);

#endif
