/* sql_version: one text of a view in SQL at work: its tables in a database, its statements
 * prepared, the event it has come to, and the digest of its rows.
 *
 * A version's tables carry a suffix behind their names: none for the one that people read, another
 * for one that is still being made beside it. Whatever changes its rows is inside the connection's
 * transaction, which is opened here and committed by the owner, with `sql_version_progress`. Each
 * event takes effect whole or not at all.
 */
#ifndef WEIR_PROJECTOR_SQL_VERSION_H
#define WEIR_PROJECTOR_SQL_VERSION_H

#include "common/base/hash.h"
#include "projector/sql/sql_engine.h"

enum {
    SQL_ROWS_MAX = 1 << 24, /* of all tables of a view */
    SQL_COLUMNS_MAX = 64,   /* of one table */
    SQL_SUFFIX_BYTES_MAX = 8,
};
#define SQL_BYTES_MAX (4ULL * 1024 * 1024 * 1024) /* of all rows of a view, as MessagePack */

struct sql_version;
struct sqlite3_stmt;

/* How far it is and what its rows come to; committed together with the rows. */
struct sql_progress {
    uint64_t event_id;    /* of the last event looked at */
    uint64_t time_ns;     /* and when it was accepted */
    uint64_t rows;        /* of all tables */
    uint64_t bytes;       /* of all rows */
    uint64_t shown_rows;  /* of the shown table */
    struct digest digest; /* of the shown table's rows */
    struct digest rest;   /* of the rows of the others */
};

/* Takes over `file` in any case. `progress` NULL: makes the tables, inside the transaction;
 * otherwise they are there and stand at it. CONFIG: a statement that cannot be used, with its file
 * and line; nothing is left behind. NO_MEMORY, and as the database fails. */
MUST_USE enum status sql_version_new(struct sql_engine *engine, struct sql_file *file,
                                     const char *suffix, const struct sql_progress *progress,
                                     struct sql_version **ret_version, struct detail *ret_detail);
/* Leaves the tables as they are. */
void sql_version_destroy(struct sql_version **version);

const struct sql_file *sql_version_file(const struct sql_version *version);
const struct sql_progress *sql_version_progress(const struct sql_version *version);

/* Runs the statements for `count` events that come next, in order. INVALID: one failed; ret_detail
 * names file, line and event, and the version stands before that event. TIMED_OUT: likewise, but
 * the whole transaction is lost, for a statement took too long. Others: as the database fails. */
MUST_USE enum status sql_version_apply(struct sql_version *version,
                                       const struct accepted_record *records, uint32_t count,
                                       struct detail *ret_detail);

/* Looks at the definitions of all tables and counts all rows again. DAMAGED: they are not what the
 * file and the progress say. */
MUST_USE enum status sql_version_check(struct sql_version *version, struct detail *ret_detail);

/* Drops all tables of a view that carry this suffix, inside the transaction; no version may be at
 * work on them. */
MUST_USE enum status sql_version_drop_tables(struct sql_engine *engine, const char *view,
                                             const char *suffix, struct detail *ret_detail);
/* Renames its tables to have no suffix, inside the transaction, and goes on with them. */
MUST_USE enum status sql_version_promote(struct sql_version *version, struct detail *ret_detail);
/* Stands at `progress` from now on: what was committed, after the transaction was lost; or, just
 * made, before the event that it is to begin with. */
void sql_version_restore(struct sql_version *version, const struct sql_progress *progress);

/* Appends a list of maps, column → value, of the shown table, sorted by its primary key: at most
 * `max` rows from place `first` on. */
MUST_USE enum status sql_version_write_rows(struct sql_version *version, uint64_t first,
                                            uint64_t max, struct buffer *buffer,
                                            struct detail *ret_detail);

/* For sql_guard.c and sql_engine.c. */
bool sql_version_has_table(const struct sql_version *version, const char *table);
void sql_version_before_change(void *owner, struct sqlite3 *sqlite, int operation,
                               const char *schema, const char *table, long long old_rowid,
                               long long new_rowid);

#endif
