/* store: a projector's database: one SQLite file, which everyday tools may read while it is used.
 *
 *     weir_checkpoints        how far each view is (checkpoint.h)
 *     weir_rows_VIEW, VIEW    the rows of a built-in view, and the same for people (view_table.h)
 *     weir_snapshots          built-in views as they were at earlier events (snapshot.h)
 *
 * One connection writes, and belongs to one thread. The file is in WAL mode with
 * synchronous=NORMAL: readers never wait and never make the writer wait; a loss of power may take
 * the last transactions, never a part of one, and what is missing comes again from the log. Nothing
 * here is authoritative: a database that is lost or not to be trusted is made anew from the log.
 *
 * This folder and projector/sql are the only users of sqlite3.h.
 */
#ifndef WEIR_PROJECTOR_STORE_STORE_H
#define WEIR_PROJECTOR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;
struct store;

enum { STORE_PATH_BYTES_MAX = 4096 };

/* Once in a process, before its first database and its other threads: SQLite counts no memory,
 * which it does under a lock at every allocation. Without it all works, more slowly. */
void store_set_up_process(void);

struct store_options {
    const char *path; /* < STORE_PATH_BYTES_MAX; its folder must be there */
    bool rebuild;     /* remove what is there, if it is a database of a projector, and begin anew */
};

/* Opens, or makes, the database and holds PATH.lock until it is closed. BUSY: another process has
 * it. CONFIG: the file is something else (it is not touched), or of a newer version. DAMAGED: it
 * cannot be read; says how to begin anew. NO_SPACE, IO. */
MUST_USE enum status store_open(const struct store_options *options, struct store **ret_store,
                                struct detail *ret_detail);
/* Opens the database to be read, beside the one that writes. */
MUST_USE enum status store_open_reader(const char *path, struct store **ret_store,
                                       struct detail *ret_detail);
/* What was not committed is rolled back. */
void store_close(struct store **store);

const char *store_path(const struct store *store);
/* The connection, for statements of one's own. */
struct sqlite3 *store_sqlite(const struct store *store);

/* Opens the write transaction; nothing if it is open. */
MUST_USE enum status store_begin(struct store *store, struct detail *ret_detail);
/* On failure everything since store_begin is rolled back. */
MUST_USE enum status store_commit(struct store *store, struct detail *ret_detail);
/* Nothing if no transaction is open. */
void store_roll_back(struct store *store);
bool store_in_transaction(const struct store *store);

/* Runs statements that give no rows. */
MUST_USE enum status store_run(const struct store *store, const char *sql,
                               struct detail *ret_detail);
/* `parts` are put one after another, NULL-terminated; at most STORE_SQL_BYTES_MAX. The caller ends
 * the statement with sqlite3_finalize. */
enum { STORE_SQL_BYTES_MAX = 4096 };
MUST_USE enum status store_prepare(const struct store *store, const char *const *parts,
                                   struct sqlite3_stmt **ret_statement, struct detail *ret_detail);
/* Runs a statement that gives no rows, and makes it ready for the next time. */
MUST_USE enum status store_step(const struct store *store, struct sqlite3_stmt *statement,
                                struct detail *ret_detail);

/* The status of the connection's last failure, and a line for people that begins with `what`. */
MUST_USE enum status store_failure(const struct store *store, const char *what,
                                   struct detail *ret_detail);

#endif
