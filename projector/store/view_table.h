/* view_table: the rows of a built-in view in the database.
 *
 *     weir_rows_VIEW (place, column …, weir_key, weir_value, weir_sum)
 *     VIEW           (column …)            the same in order, for people and tools
 *
 * `place` is the row's number in struct rows; weir_key and weir_value are what the row is restored
 * from: the MessagePack of the key, and the view's struct as it is in memory; weir_sum is the
 * CRC-32C of the two. The other columns are derived from them and checked against them when the
 * rows are loaded. Integers above 2^63 − 1 are texts there, for SQLite has none.
 */
#ifndef WEIR_PROJECTOR_STORE_VIEW_TABLE_H
#define WEIR_PROJECTOR_STORE_VIEW_TABLE_H

#include "projector/store/checkpoint.h"

struct view_table;

/* What a view's rows look like on disk: another text for another layout. */
void view_table_format(const struct view_type *type, char ret_format[CHECKPOINT_FORMAT_BYTES_MAX]);

/* Makes the table where it is missing, so inside a transaction. `type` outlives it. */
MUST_USE enum status view_table_open(struct store *store, const struct view_type *type,
                                     struct view_table **ret_table, struct detail *ret_detail);
void view_table_close(struct view_table **table);
/* Removes the table and all in it. */
MUST_USE enum status view_table_drop(struct store *store, const char *view,
                                     struct detail *ret_detail);

/* Writes at most `rows_max` of the rows that rows_take_changes gave, and moves past them. */
MUST_USE enum status view_table_write(struct view_table *table, struct slice *changes,
                                      uint32_t rows_max, struct detail *ret_detail);

/* Enters all rows into `rows`, which are empty. DAMAGED: a row that cannot be, one that is missing,
 * columns that do not fit it, or a table or view that is not as it was made. NOT_FOUND: none. */
MUST_USE enum status view_table_load(struct store *store, const struct view_type *type,
                                     struct rows *rows, struct detail *ret_detail);

#endif
