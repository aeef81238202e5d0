/* sql_parts: what the parts of a version of a view in SQL share: sql_version.c (its life, and
 * events), sql_tables.c (its tables), sql_rows.c (their rows), sql_statement.c (statements, and
 * what their failures mean). For these four alone; others see sql_version.h.
 */
#ifndef WEIR_PROJECTOR_SQL_SQL_PARTS_H
#define WEIR_PROJECTOR_SQL_SQL_PARTS_H

#include "projector/sql/sql_version.h"

enum {
    TABLE_NAME_BYTES = SQL_NAME_BYTES_MAX + SQL_SUFFIX_BYTES_MAX + 1,
    INSTRUCTION_BYTES = 2 * TABLE_NAME_BYTES + 64,
};

struct sql_version {
    struct sql_engine *engine;
    struct sql_file *file;
    char suffix[SQL_SUFFIX_BYTES_MAX + 1];
    struct sqlite3_stmt *statements[SQL_STATEMENTS_MAX];
    struct sqlite3_stmt *select;    /* the shown table, in order */
    uint64_t reals[SQL_TABLES_MAX]; /* which columns of a table hold no integers, a bit for each */
    uint32_t shown;                 /* its place among the tables */
    struct sql_progress progress;
};

/* --- sql_statement.c --- */

/* What an SQLite code means for the whole database; INVALID: it is the statement's own fault. */
MUST_USE enum status sql_status_of(int code);
/* The database failed at something of ours. */
MUST_USE enum status sql_view_failed(const struct sql_engine *engine, const char *view, int code,
                                     struct detail *ret_detail);
MUST_USE enum status sql_database_failed(const struct sql_version *version, int code,
                                         struct detail *ret_detail);
/* A statement that cannot be used, with the line that SQLite points at in `sql`, its text. */
MUST_USE enum status sql_unusable(const struct sql_version *version,
                                  const struct sql_statement *statement, const struct buffer *sql,
                                  int code, struct detail *ret_detail);
/* Runs an instruction of our own. */
MUST_USE enum status sql_instruct(const struct sql_engine *engine, const char *view,
                                  const char *sql, struct detail *ret_detail);
/* Opens the transaction, unless it is. */
MUST_USE enum status sql_transaction_begin(struct sql_engine *engine, const char *view,
                                           struct detail *ret_detail);
/* Prepares a statement of the file for the version's tables. */
MUST_USE enum status sql_statement_prepare(const struct sql_version *version,
                                           const struct sql_statement *statement,
                                           struct sqlite3_stmt **ret_statement,
                                           struct detail *ret_detail);

/* --- sql_tables.c --- */

MUST_USE enum status sql_tables_create(struct sql_version *version, struct detail *ret_detail);
/* Checks all columns and makes ready to read the shown table. */
MUST_USE enum status sql_tables_look(struct sql_version *version, struct detail *ret_detail);
/* DAMAGED: what the database keeps of their definitions is not what the file's statements make; a
 * flipped bit there makes another column, which the digest of the rows does not notice. */
MUST_USE enum status sql_tables_check(const struct sql_version *version, struct detail *ret_detail);
/* Takes the suffix from the tables' names; no statement may be prepared for them. */
MUST_USE enum status sql_tables_rename(const struct sql_version *version,
                                       struct detail *ret_detail);

#endif
