/* sql_engine: one SQLite connection as views in SQL see it: what they may do, how long, and what
 * the functions say of the current event.
 *
 * Between sql_engine_enter and sql_engine_leave the connection is a view's: an authorizer lets its
 * statements touch its own tables and call functions that give the same in every process; a
 * progress handler ends a statement after SQL_STEPS_MAX steps; values are at most
 * SQL_VALUE_BYTES_MAX. Outside it is its owner's, without limits. Belongs to one thread.
 *
 * The struct is for this folder alone.
 */
#ifndef WEIR_PROJECTOR_SQL_ENGINE_H
#define WEIR_PROJECTOR_SQL_ENGINE_H

#include "common/base/buffer.h"
#include "common/wire/record.h"
#include "projector/sql/sql_file.h"

struct sqlite3;
struct sqlite3_stmt;
struct sql_version;

enum {
    SQL_STEPS_MAX = 1000000,          /* of SQLite's virtual machine, for one statement */
    SQL_STEPS_PER_TICK = 10000,       /* how exactly that is watched */
    SQL_VALUE_BYTES_MAX = 256 * 1024, /* one text or blob */
};

enum sql_phase {
    SQL_PHASE_OWNER,  /* not a view's */
    SQL_PHASE_CREATE, /* a view's tables are made */
    SQL_PHASE_CHANGE, /* its statements are prepared and run */
};

struct sql_engine {
    struct sqlite3 *sqlite;
    enum sql_phase phase;
    struct sql_version *active;           /* whose turn it is */
    const struct accepted_record *record; /* the current event; NULL: none */
    uint32_t ticks;                       /* since the statement began */
    bool hook_failed;                     /* a change of a row was not counted */
    int owner_value_bytes_max;            /* the connection's limit outside */
    struct detail denied;                 /* what the authorizer said last; "": nothing */
    struct sqlite3_stmt *begin, *savepoint, *release, *undo; /* our own instructions */
    struct buffer scratch;
};

/* Prepares `sqlite`, which outlives the engine and has no other authorizer, progress handler or
 * preupdate hook. */
MUST_USE enum status sql_engine_new(struct sqlite3 *sqlite, struct sql_engine **ret_engine,
                                    struct detail *ret_detail);
void sql_engine_destroy(struct sql_engine **engine);

void sql_engine_enter(struct sql_engine *engine, struct sql_version *version, enum sql_phase phase);
void sql_engine_leave(struct sql_engine *engine);

/* Runs a prepared statement that gives no rows, and makes it ready again: an SQLite code. */
int sql_engine_run(struct sql_engine *engine, struct sqlite3_stmt *statement);
/* The same for one of our own instructions, whoever's turn it is. */
int sql_engine_instruct(struct sql_engine *engine, struct sqlite3_stmt *instruction);
/* What went wrong last, for people; valid until the next call. */
const char *sql_engine_error(const struct sql_engine *engine, int code);

/* sql_guard.c */
void sql_guard_install(struct sql_engine *engine);
/* sql_functions.c: an SQLite code. */
int sql_functions_install(struct sql_engine *engine);

#endif
