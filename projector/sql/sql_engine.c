#include "projector/sql/sql_engine.h"

#include <stdio.h>
#include <stdlib.h>

#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <sqlite3.h>

#include "projector/sql/sql_version.h"

enum { SCRATCH_BYTES_MAX = 64 * 1024 * 1024 }; /* more than a row can have */

static enum status prepare_instructions(struct sql_engine *engine, struct detail *ret_detail)
{
    struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } all[] = {{"BEGIN IMMEDIATE", &engine->begin},
               {"SAVEPOINT weir_event", &engine->savepoint},
               {"RELEASE weir_event", &engine->release},
               {"ROLLBACK TO weir_event", &engine->undo}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (sqlite3_prepare_v2(engine->sqlite, all[i].sql, -1, all[i].statement, NULL) != SQLITE_OK)
            return detail_set(ret_detail, STATUS_IO, "views in SQL: %s",
                              sqlite3_errmsg(engine->sqlite));
    return STATUS_OK;
}

enum status sql_engine_new(struct sqlite3 *sqlite, struct sql_engine **ret_engine,
                           struct detail *ret_detail)
{
    struct sql_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views in SQL");
    engine->sqlite = sqlite;
    buffer_init(&engine->scratch, SCRATCH_BYTES_MAX);
    /* "text" is a name that is not there, never a text: a slip is found when a file is read. */
    sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(sqlite, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    /* SQLite makes these two tables at their first use, and asks for leave to do so. */
    (void)sqlite3_exec(sqlite, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL, NULL);
    sql_guard_install(engine);
    enum status status = STATUS_OK;
    if (sql_functions_install(engine) != SQLITE_OK)
        status =
            detail_set(ret_detail, STATUS_NO_MEMORY, "views in SQL: %s", sqlite3_errmsg(sqlite));
    if (status == STATUS_OK)
        status = prepare_instructions(engine, ret_detail);
    if (status == STATUS_OK)
        *ret_engine = engine;
    else
        sql_engine_destroy(&engine);
    return status;
}

void sql_engine_destroy(struct sql_engine **engine)
{
    struct sql_engine *old = *engine;
    if (old == NULL)
        return;
    sqlite3_finalize(old->begin);
    sqlite3_finalize(old->savepoint);
    sqlite3_finalize(old->release);
    sqlite3_finalize(old->undo);
    sqlite3_set_authorizer(old->sqlite, NULL, NULL);
    sqlite3_progress_handler(old->sqlite, 0, NULL, NULL);
    sqlite3_preupdate_hook(old->sqlite, NULL, NULL);
    buffer_fini(&old->scratch);
    free(old);
    *engine = NULL;
}

void sql_engine_enter(struct sql_engine *engine, struct sql_version *version, enum sql_phase phase)
{
    engine->active = version;
    engine->phase = phase;
    engine->denied.text[0] = '\0';
    engine->ticks = 0;
    engine->owner_value_bytes_max =
        sqlite3_limit(engine->sqlite, SQLITE_LIMIT_LENGTH, SQL_VALUE_BYTES_MAX);
    if (phase == SQL_PHASE_CHANGE)
        sqlite3_preupdate_hook(engine->sqlite, sql_version_before_change, engine);
}

void sql_engine_leave(struct sql_engine *engine)
{
    sqlite3_preupdate_hook(engine->sqlite, NULL, NULL);
    sqlite3_limit(engine->sqlite, SQLITE_LIMIT_LENGTH, engine->owner_value_bytes_max);
    engine->phase = SQL_PHASE_OWNER;
    engine->active = NULL;
    engine->record = NULL;
}

int sql_engine_run(struct sql_engine *engine, struct sqlite3_stmt *statement)
{
    /* Counted from 0, so that every process stops at the same step. */
    (void)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    engine->ticks = 0;
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE || code == SQLITE_ROW)
        return sqlite3_reset(statement);
    (void)sqlite3_reset(statement); /* repeats the failure; the message stays */
    return code;
}

int sql_engine_instruct(struct sql_engine *engine, struct sqlite3_stmt *instruction)
{
    enum sql_phase phase = engine->phase;
    engine->phase = SQL_PHASE_OWNER;
    int code = sql_engine_run(engine, instruction);
    engine->phase = phase;
    return code;
}

const char *sql_engine_error(const struct sql_engine *engine, int code)
{
    if (engine->denied.text[0] != '\0')
        return engine->denied.text;
    if (code == SQLITE_INTERRUPT)
        return "the statement takes too many steps";
    if (code == SQLITE_TOOBIG)
        return "a value of more than 262144 bytes";
    return sqlite3_errmsg(engine->sqlite);
}
