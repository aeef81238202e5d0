#include "projector/sql/sql_parts.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "projector/sql/sql_scan.h"

enum {
    SELECT_BYTES_MAX = 2 * SQL_FILE_BYTES_MAX,
    DEFINITION_BYTES_MAX = 4 * SQL_FILE_BYTES_MAX,
};

/* --- making --- */

static enum status create_table(const struct sql_version *version, uint32_t table,
                                struct detail *ret_detail)
{
    const struct sql_statement *text = &version->file->creates[table];
    struct sqlite3_stmt *statement = NULL;
    struct buffer nothing;
    enum status status = sql_statement_prepare(version, text, &statement, ret_detail);
    if (status == STATUS_OK) {
        int code = sql_engine_run(version->engine, statement);
        buffer_init(&nothing, 1);
        if (code != SQLITE_OK)
            status = sql_unusable(version, text, &nothing, code, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status sql_tables_create(struct sql_version *version, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    sql_engine_enter(version->engine, version, SQL_PHASE_CREATE);
    for (uint32_t i = 0; i < version->file->table_count && status == STATUS_OK; i++)
        status = create_table(version, i, ret_detail);
    sql_engine_leave(version->engine);
    return status;
}

/* --- the columns --- */

/* Columns cannot be told from tables where a statement's text is given other table names. */
static enum status check_column(const struct sql_version *version, uint32_t table,
                                const char *column, bool is_generated, struct detail *ret_detail)
{
    const struct sql_file *file = version->file;
    uint32_t line = file->creates[table].line;
    struct slice name = slice_of_text(column);
    struct sql_token token = {SQL_TOKEN_WORD, true, name, line};
    if (is_generated)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "%s.sql:%u: column %s is generated: let a statement write it", file->view,
                          line, column);
    char plain[TABLE_NAME_BYTES];
    size_t suffix = strlen(version->suffix);
    if (suffix > 0 && name.size > suffix && name.size < sizeof plain &&
        strcmp(column + name.size - suffix, version->suffix) == 0)
        token.text.size -= suffix;
    for (uint32_t i = 0; i < file->table_count; i++)
        if (sql_token_names(&token, file->tables[i]))
            return detail_set(ret_detail, STATUS_CONFIG,
                              "%s.sql:%u: column %s has the name of a table", file->view, line,
                              file->tables[i]);
    return STATUS_OK;
}

/* Appends `"name", ` to the order, at its place in the key. */
static void append_name(struct buffer *order, const char *name)
{
    if (order->size > 0)
        buffer_append_text(order, ", ");
    buffer_append_text(order, "\"");
    for (; *name != '\0'; name++) {
        buffer_append(order, name, 1);
        if (*name == '"')
            buffer_append(order, name, 1);
    }
    buffer_append_text(order, "\"");
}

/* Does a column of this declared type turn integers into real numbers? The rules of
 * https://www.sqlite.org/datatype3.html#determination_of_column_affinity */
static bool is_real(const char *type)
{
    static const char *const stronger[] = {"int", "char", "clob", "text", "blob"};
    static const char *const real[] = {"real", "floa", "doub"};
    for (size_t i = 0; i < sizeof stronger / sizeof *stronger; i++)
        if (strcasestr(type, stronger[i]) != NULL)
            return false;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        if (strcasestr(type, real[i]) != NULL)
            return true;
    return false;
}

/* Looks at the columns of a table, those of the primary key first and in its order; the names of
 * these go to `order`. */
static enum status read_columns(struct sql_version *version, uint32_t table, struct buffer *order,
                                struct detail *ret_detail)
{
    struct sqlite3_stmt *columns = NULL;
    char name[TABLE_NAME_BYTES];
    uint32_t count = 0;
    enum status status = STATUS_OK;
    snprintf(name, sizeof name, "%s%s", version->file->tables[table], version->suffix);
    version->reals[table] = 0;
    int code = sqlite3_prepare_v2(version->engine->sqlite,
                                  "SELECT name, pk, hidden, type, cid FROM pragma_table_xinfo(?)"
                                  " ORDER BY pk = 0, pk, cid",
                                  -1, &columns, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(columns, 1, name, -1, SQLITE_STATIC);
    while (status == STATUS_OK && code == SQLITE_OK && sqlite3_step(columns) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(columns, 0);
        const char *type = (const char *)sqlite3_column_text(columns, 3);
        int place = sqlite3_column_int(columns, 4);
        if (column == NULL || type == NULL) {
            code = SQLITE_NOMEM;
            break;
        }
        if (sqlite3_column_int(columns, 1) > 0)
            append_name(order, column);
        if (place < SQL_COLUMNS_MAX && is_real(type))
            version->reals[table] |= 1ULL << place;
        status =
            check_column(version, table, column, sqlite3_column_int(columns, 2) != 0, ret_detail);
        count++;
    }
    sqlite3_finalize(columns);
    if (code != SQLITE_OK)
        return sql_database_failed(version, code, ret_detail);
    if (status == STATUS_OK && count > SQL_COLUMNS_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "%s.sql:%u: more than %d columns",
                          version->file->view, version->file->creates[table].line, SQL_COLUMNS_MAX);
    return status;
}

static enum status prepare_select(struct sql_version *version, const struct buffer *order,
                                  struct detail *ret_detail)
{
    struct buffer sql;
    buffer_init(&sql, SELECT_BYTES_MAX);
    buffer_append_text(&sql, "SELECT * FROM \"");
    buffer_append_text(&sql, version->file->view);
    buffer_append_text(&sql, version->suffix);
    buffer_append_text(&sql, "\" ORDER BY ");
    buffer_append(&sql, order->data, order->size);
    buffer_append_text(&sql, " LIMIT ? OFFSET ?");
    int code =
        sql.status != STATUS_OK
            ? SQLITE_NOMEM
            : sqlite3_prepare_v3(version->engine->sqlite, (const char *)sql.data, (int)sql.size,
                                 SQLITE_PREPARE_PERSISTENT, &version->select, NULL);
    buffer_fini(&sql);
    return code == SQLITE_OK ? STATUS_OK : sql_database_failed(version, code, ret_detail);
}

enum status sql_tables_look(struct sql_version *version, struct detail *ret_detail)
{
    struct buffer order;
    enum status status = STATUS_OK;
    buffer_init(&order, SQL_FILE_BYTES_MAX);
    for (uint32_t i = 0; i < version->file->table_count && status == STATUS_OK; i++) {
        buffer_clear(&order);
        status = read_columns(version, i, &order, ret_detail);
        if (status != STATUS_OK || i != version->shown)
            continue;
        if (order.size == 0)
            status = detail_set(ret_detail, STATUS_CONFIG,
                                "%s.sql:%u: table %s has no primary key, and it is what orders "
                                "the rows",
                                version->file->view, version->file->creates[i].line,
                                version->file->view);
        else
            status = prepare_select(version, &order, ret_detail);
    }
    buffer_fini(&order);
    return status;
}

/* --- the definitions --- */

/* What a database keeps of the definition of a table. NOT_FOUND: there is no such table. */
static enum status read_definition(struct sqlite3 *sqlite, const char *name, struct buffer *ret_sql)
{
    struct sqlite3_stmt *select = NULL;
    enum status status = STATUS_NO_MEMORY;
    int code = sqlite3_prepare_v2(sqlite, "SELECT sql FROM sqlite_master WHERE name = ?", -1,
                                  &select, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(select, 1, name, -1, SQLITE_STATIC);
    if (code == SQLITE_OK && sqlite3_step(select) == SQLITE_ROW) {
        const unsigned char *sql = sqlite3_column_text(select, 0);
        buffer_append(ret_sql, sql, (size_t)sqlite3_column_bytes(select, 0));
        status = ret_sql->status;
    } else if (code == SQLITE_OK) {
        status = STATUS_NOT_FOUND;
    }
    sqlite3_finalize(select);
    return status;
}

/* Is the definition of a table that which a fresh database keeps of its statement? */
static enum status check_definition(const struct sql_version *version, uint32_t table,
                                    struct sqlite3 *fresh)
{
    struct buffer create, expected, found;
    char name[TABLE_NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", version->file->tables[table], version->suffix);
    buffer_init(&create, DEFINITION_BYTES_MAX);
    buffer_init(&expected, DEFINITION_BYTES_MAX);
    buffer_init(&found, DEFINITION_BYTES_MAX);
    sql_statement_write(version->file, &version->file->creates[table], version->suffix, &create);
    enum status status = create.status;
    if (status == STATUS_OK &&
        sqlite3_exec(fresh, (const char *)create.data, NULL, NULL, NULL) != SQLITE_OK)
        status = STATUS_DAMAGED;
    if (status == STATUS_OK)
        status = read_definition(fresh, name, &expected);
    if (status == STATUS_OK)
        status = read_definition(version->engine->sqlite, name, &found);
    if (status == STATUS_OK && !slice_equal(buffer_slice(&found), buffer_slice(&expected)))
        status = STATUS_DAMAGED;
    buffer_fini(&create);
    buffer_fini(&expected);
    buffer_fini(&found);
    return status;
}

enum status sql_tables_check(const struct sql_version *version, struct detail *ret_detail)
{
    struct sqlite3 *fresh = NULL;
    enum status status =
        sqlite3_open(":memory:", &fresh) == SQLITE_OK ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < version->file->table_count && status == STATUS_OK; i++)
        status = check_definition(version, i, fresh);
    sqlite3_close(fresh);
    if (status == STATUS_OK || status == STATUS_NO_MEMORY)
        return status;
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "view %s in the database: its tables are not as they were made",
                      version->file->view);
}

/* --- other names, and the end --- */

enum status sql_tables_rename(const struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_file *file = version->file;
    enum status status = sql_transaction_begin(version->engine, file->view, ret_detail);
    for (uint32_t i = 0; i < file->table_count && status == STATUS_OK; i++) {
        char sql[INSTRUCTION_BYTES];
        snprintf(sql, sizeof sql, "ALTER TABLE \"%s%s\" RENAME TO \"%s\"", file->tables[i],
                 version->suffix, file->tables[i]);
        status = sql_instruct(version->engine, file->view, sql, ret_detail);
    }
    return status;
}

/* The next table to drop; its name goes to `ret_name`. END: there is none. */
static enum status table_to_drop(const struct sql_engine *engine, const char *view,
                                 const char *suffix, char ret_name[TABLE_NAME_BYTES],
                                 struct detail *ret_detail)
{
    struct sqlite3_stmt *names = NULL;
    enum status status = STATUS_END;
    int code = sqlite3_prepare_v2(engine->sqlite,
                                  "SELECT name FROM sqlite_master WHERE type = 'table'"
                                  " AND (name = ?1 || ?2 OR name GLOB ?1 || '__*' || ?2)"
                                  " AND (?2 <> '' OR instr (name, '~') = 0)",
                                  -1, &names, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(names, 1, view, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(names, 2, suffix, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(names);
    if (code == SQLITE_ROW) {
        const unsigned char *name = sqlite3_column_text(names, 0);
        snprintf(ret_name, TABLE_NAME_BYTES, "%s", name != NULL ? (const char *)name : "");
        status = STATUS_OK;
    } else if (code != SQLITE_DONE) {
        status = sql_view_failed(engine, view, code, ret_detail);
    }
    sqlite3_finalize(names);
    return status;
}

enum status sql_version_drop_tables(struct sql_engine *engine, const char *view, const char *suffix,
                                    struct detail *ret_detail)
{
    char name[TABLE_NAME_BYTES] = "", sql[INSTRUCTION_BYTES];
    enum status status = sql_transaction_begin(engine, view, ret_detail);
    while (status == STATUS_OK) {
        status = table_to_drop(engine, view, suffix, name, ret_detail);
        if (status != STATUS_OK)
            break;
        snprintf(sql, sizeof sql, "DROP TABLE \"%s\"", name);
        status = sql_instruct(engine, view, sql, ret_detail);
    }
    return status == STATUS_END ? STATUS_OK : status;
}
