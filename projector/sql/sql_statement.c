#include "projector/sql/sql_parts.h"

#include <stdio.h>

#include <sqlite3.h>

enum { STATEMENT_BYTES_MAX = 4 * SQL_FILE_BYTES_MAX }; /* with suffixes */

/* --- failures --- */

enum status sql_status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return STATUS_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STATUS_DAMAGED;
    case SQLITE_NOMEM:
        return STATUS_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STATUS_BUSY;
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return STATUS_IO;
    case SQLITE_INTERRUPT:
        return STATUS_TIMED_OUT;
    default:
        return STATUS_INVALID;
    }
}

enum status sql_view_failed(const struct sql_engine *engine, const char *view, int code,
                            struct detail *ret_detail)
{
    enum status status = sql_status_of(code);
    return detail_set(ret_detail, status == STATUS_INVALID ? STATUS_IO : status,
                      "view %s in the database: %s", view, sqlite3_errmsg(engine->sqlite));
}

enum status sql_database_failed(const struct sql_version *version, int code,
                                struct detail *ret_detail)
{
    return sql_view_failed(version->engine, version->file->view, code, ret_detail);
}

enum status sql_unusable(const struct sql_version *version, const struct sql_statement *statement,
                         const struct buffer *sql, int code, struct detail *ret_detail)
{
    enum status status = sql_status_of(code);
    if (status != STATUS_INVALID && status != STATUS_TIMED_OUT)
        return sql_database_failed(version, code, ret_detail);
    uint32_t line = statement->line;
    int offset = sqlite3_error_offset(version->engine->sqlite);
    for (int i = 0; i < offset && (size_t)i < sql->size; i++)
        line += sql->data[i] == '\n';
    return detail_set(ret_detail, STATUS_CONFIG, "%s.sql:%u: %s", version->file->view, line,
                      sql_engine_error(version->engine, code));
}

/* --- statements --- */

enum status sql_instruct(const struct sql_engine *engine, const char *view, const char *sql,
                         struct detail *ret_detail)
{
    int code = sqlite3_exec(engine->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : sql_view_failed(engine, view, code, ret_detail);
}

enum status sql_transaction_begin(struct sql_engine *engine, const char *view,
                                  struct detail *ret_detail)
{
    if (sqlite3_get_autocommit(engine->sqlite) == 0)
        return STATUS_OK;
    int code = sql_engine_instruct(engine, engine->begin);
    return code == SQLITE_OK ? STATUS_OK : sql_view_failed(engine, view, code, ret_detail);
}

enum status sql_statement_prepare(const struct sql_version *version,
                                  const struct sql_statement *statement,
                                  struct sqlite3_stmt **ret_statement, struct detail *ret_detail)
{
    struct buffer sql;
    const char *tail = NULL;
    buffer_init(&sql, STATEMENT_BYTES_MAX);
    sql_statement_write(version->file, statement, version->suffix, &sql);
    if (sql.status != STATUS_OK) {
        buffer_fini(&sql);
        return detail_set(ret_detail, STATUS_CONFIG, "%s.sql:%u: the statement is too long",
                          version->file->view, statement->line);
    }
    version->engine->denied.text[0] = '\0';
    int code = sqlite3_prepare_v3(version->engine->sqlite, (const char *)sql.data, (int)sql.size,
                                  SQLITE_PREPARE_PERSISTENT, ret_statement, &tail);
    enum status status = STATUS_OK;
    if (code != SQLITE_OK)
        status = sql_unusable(version, statement, &sql, code, ret_detail);
    buffer_fini(&sql);
    return status;
}
