/* rows: the rows of one view, in memory: key → value, with a digest and an order that are kept up
 * lazily.
 *
 * A row is the view's columns: first the key columns, as MessagePack items one after another, then
 * what the view makes of the row's value, a plain struct of its own. Changing a row only marks it;
 * hashing happens when the digest is asked for, sorting when the rows are read. A second mark says
 * which rows changed since they were last taken for the database. Rows are numbered by `place`, 0
 * on, in the order in which they came, and none ever goes. No I/O, no clock. Not thread-safe.
 * Invariant: `digest` is the sum over all rows that are not marked.
 */
#ifndef WEIR_PROJECTOR_CORE_ROWS_H
#define WEIR_PROJECTOR_CORE_ROWS_H

#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/hash.h"

#define ROWS_NO_GUESS UINT32_MAX

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
/* Brings the place of the hash towards the cache; then, once that is there, the row itself, and
 * says which row that is likely to be (ROWS_NO_GUESS: a new one). Both may be left out. */
void rows_prefetch_place(const struct rows *rows, uint64_t hash);
uint32_t rows_prefetch_row(const struct rows *rows, uint64_t hash);
/* The value of the row with this key (≤ ROW_KEY_BYTES_MAX, the shortest MessagePack), zeroed if the
 * row is new; the caller is about to change it. NULL when there is no room (counted). Valid until
 * the next rows_at. */
void *rows_at(struct rows *rows, uint64_t hash, struct slice key);
/* The same, with a look at what rows_prefetch_row said first. */
void *rows_at_guess(struct rows *rows, uint32_t guess, uint64_t hash, struct slice key);

/* Sum mod 2^128 of XXH3-128 over the MessagePack of [view, [column, …]] of every row. */
struct digest rows_digest(struct rows *rows);

/* Sorts by the key columns: integers before texts, integers by value, texts by bytes. NO_MEMORY
 * leaves the order before. */
MUST_USE enum status rows_sort(struct rows *rows);
/* Appends row `place` of the last rows_sort as a map, column → value. */
void rows_write(struct rows *rows, uint32_t place, struct buffer *buffer);

/* --- to the database and back --- */

/* A row as it is to be kept. Borrows the bytes it was read from. */
struct rows_change {
    uint32_t place;
    struct slice key;     /* the first bytes of `columns` */
    struct slice columns; /* one MessagePack item each */
    struct slice value;   /* the view's struct */
};

/* From now on rows_take_changes gives what changed; without it nothing is noted. */
void rows_note_changes(struct rows *rows);
/* How many rows rows_take_changes has to give. */
uint32_t rows_unsaved(const struct rows *rows);
/* Appends rows that changed since they were last taken, as they are now, until none is left or
 * `buffer` has no room for one more; rows_change_read reads them. NO_MEMORY. */
MUST_USE enum status rows_take_changes(struct rows *rows, struct buffer *buffer);
/* Moves past one row that rows_take_changes wrote. */
struct rows_change rows_change_read(struct slice *changes);
/* All rows count as changed: what was taken is lost. */
void rows_unsave(struct rows *rows);

/* Appends a row as it was kept; the next place is its own. INVALID: no such row can be, or there is
 * one with this key. FULL, NO_MEMORY. */
MUST_USE enum status rows_restore(struct rows *rows, struct slice key, struct slice value);
void rows_restore_left_out(struct rows *rows, uint64_t left_out);
/* Appends the key columns and the others of a row, one MessagePack item each. */
void rows_write_columns(const struct rows *rows, uint32_t place, struct buffer *buffer);
/* Appends all rows, sorted (packed_row.h), for rows_unpack, which enters them into empty rows of
 * the same type. FULL, NO_MEMORY. */
MUST_USE enum status rows_pack(struct rows *rows, struct buffer *buffer);
/* MALFORMED, or as rows_restore. Sorting rows that were packed costs one look at each. */
MUST_USE enum status rows_unpack(struct rows *rows, struct slice packed);

#endif
