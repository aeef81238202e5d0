#include "projector/sql/sql_version.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <sqlite3.h>

#include "common/event/codec.h"
#include "projector/sql/sql_scan.h"

enum {
    STATEMENT_BYTES_MAX = 4 * SQL_FILE_BYTES_MAX, /* with suffixes */
    SELECT_BYTES_MAX = 2 * SQL_FILE_BYTES_MAX,
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

/* --- failures --- */

/* What an SQLite code means for the whole database; INVALID: it is the statement's own fault. */
static enum status status_of(int code)
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

static enum status view_failed(const struct sql_engine *engine, const char *view, int code,
                               struct detail *ret_detail)
{
    enum status status = status_of(code);
    return detail_set(ret_detail, status == STATUS_INVALID ? STATUS_IO : status,
                      "view %s in the database: %s", view, sqlite3_errmsg(engine->sqlite));
}

static enum status database_failed(const struct sql_version *version, int code,
                                   struct detail *ret_detail)
{
    return view_failed(version->engine, version->file->view, code, ret_detail);
}

/* A statement that cannot be used, with the line that SQLite points at. */
static enum status unusable(const struct sql_version *version,
                            const struct sql_statement *statement, const struct buffer *sql,
                            int code, struct detail *ret_detail)
{
    enum status status = status_of(code);
    if (status != STATUS_INVALID && status != STATUS_TIMED_OUT)
        return database_failed(version, code, ret_detail);
    uint32_t line = statement->line;
    int offset = sqlite3_error_offset(version->engine->sqlite);
    for (int i = 0; i < offset && (size_t)i < sql->size; i++)
        line += sql->data[i] == '\n';
    return detail_set(ret_detail, STATUS_CONFIG, "%s.sql:%u: %s", version->file->view, line,
                      sql_engine_error(version->engine, code));
}

/* --- making --- */

/* Runs an instruction of our own. */
static enum status instruct(const struct sql_engine *engine, const char *view, const char *sql,
                            struct detail *ret_detail)
{
    int code = sqlite3_exec(engine->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : view_failed(engine, view, code, ret_detail);
}

static enum status begin(struct sql_engine *engine, const char *view, struct detail *ret_detail)
{
    if (sqlite3_get_autocommit(engine->sqlite) == 0)
        return STATUS_OK;
    int code = sql_engine_instruct(engine, engine->begin);
    return code == SQLITE_OK ? STATUS_OK : view_failed(engine, view, code, ret_detail);
}

static enum status prepare(const struct sql_version *version, const struct sql_statement *statement,
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
        status = unusable(version, statement, &sql, code, ret_detail);
    buffer_fini(&sql);
    return status;
}

static enum status create_table(const struct sql_version *version, uint32_t table,
                                struct detail *ret_detail)
{
    const struct sql_statement *text = &version->file->creates[table];
    struct sqlite3_stmt *statement = NULL;
    struct buffer nothing;
    enum status status = prepare(version, text, &statement, ret_detail);
    if (status == STATUS_OK) {
        int code = sql_engine_run(version->engine, statement);
        buffer_init(&nothing, 1);
        if (code != SQLITE_OK)
            status = unusable(version, text, &nothing, code, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status create_tables(struct sql_version *version, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    sql_engine_enter(version->engine, version, SQL_PHASE_CREATE);
    for (uint32_t i = 0; i < version->file->table_count && status == STATUS_OK; i++)
        status = create_table(version, i, ret_detail);
    sql_engine_leave(version->engine);
    return status;
}

static enum status prepare_changes(struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_file *file = version->file;
    enum status status = STATUS_OK;
    sql_engine_enter(version->engine, version, SQL_PHASE_CHANGE);
    for (uint32_t i = 0; i < file->statement_count && status == STATUS_OK; i++) {
        status = prepare(version, &file->statements[i], &version->statements[i], ret_detail);
        const char *wrong = NULL;
        if (status == STATUS_OK && sqlite3_bind_parameter_count(version->statements[i]) > 0)
            wrong = "a parameter has no value here: field('NAME') reads the event";
        else if (status == STATUS_OK && sqlite3_column_count(version->statements[i]) > 0)
            wrong = "rows that a statement returns go nowhere";
        if (wrong != NULL)
            status = detail_set(ret_detail, STATUS_CONFIG, "%s.sql:%u: %s", file->view,
                                file->statements[i].line, wrong);
    }
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
        return database_failed(version, code, ret_detail);
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
    return code == SQLITE_OK ? STATUS_OK : database_failed(version, code, ret_detail);
}

/* Checks all columns and makes ready to read the shown table. */
static enum status look_at_tables(struct sql_version *version, struct detail *ret_detail)
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

/* --- life --- */

static enum status build(struct sql_version *version, struct detail *ret_detail)
{
    struct sql_engine *engine = version->engine;
    enum status status = begin(engine, version->file->view, ret_detail);
    if (status == STATUS_OK && sql_engine_instruct(engine, engine->savepoint) != SQLITE_OK)
        status = database_failed(version, sqlite3_errcode(engine->sqlite), ret_detail);
    if (status != STATUS_OK)
        return status;
    status = sql_version_drop_tables(engine, version->file->view, version->suffix, ret_detail);
    if (status == STATUS_OK)
        status = create_tables(version, ret_detail);
    if (status == STATUS_OK)
        status = look_at_tables(version, ret_detail);
    if (status == STATUS_OK)
        status = prepare_changes(version, ret_detail);
    if (status != STATUS_OK && sqlite3_get_autocommit(engine->sqlite) == 0)
        (void)sql_engine_instruct(engine, engine->undo);
    if (sqlite3_get_autocommit(engine->sqlite) == 0)
        (void)sql_engine_instruct(engine, engine->release);
    return status;
}

enum status sql_version_new(struct sql_engine *engine, struct sql_file *file, const char *suffix,
                            const struct sql_progress *progress, struct sql_version **ret_version,
                            struct detail *ret_detail)
{
    assert(strlen(suffix) <= SQL_SUFFIX_BYTES_MAX);
    struct sql_version *version = calloc(1, sizeof *version);
    if (version == NULL) {
        sql_file_free(&file);
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a view in SQL");
    }
    version->engine = engine;
    version->file = file;
    version->shown = sql_file_shown(file);
    snprintf(version->suffix, sizeof version->suffix, "%s", suffix);
    enum status status;
    if (progress == NULL) {
        status = build(version, ret_detail);
    } else {
        version->progress = *progress;
        status = look_at_tables(version, ret_detail);
        if (status == STATUS_OK)
            status = prepare_changes(version, ret_detail);
    }
    if (status == STATUS_OK)
        *ret_version = version;
    else
        sql_version_destroy(&version);
    return status;
}

static void finalize_all(struct sql_version *version)
{
    for (uint32_t i = 0; i < SQL_STATEMENTS_MAX; i++) {
        sqlite3_finalize(version->statements[i]);
        version->statements[i] = NULL;
    }
    sqlite3_finalize(version->select);
    version->select = NULL;
}

void sql_version_destroy(struct sql_version **version)
{
    if (*version == NULL)
        return;
    finalize_all(*version);
    sql_file_free(&(*version)->file);
    free(*version);
    *version = NULL;
}

const struct sql_file *sql_version_file(const struct sql_version *version)
{
    return version->file;
}

const struct sql_progress *sql_version_progress(const struct sql_version *version)
{
    return &version->progress;
}

void sql_version_restore(struct sql_version *version, const struct sql_progress *progress)
{
    version->progress = *progress;
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
        status = view_failed(engine, view, code, ret_detail);
    }
    sqlite3_finalize(names);
    return status;
}

enum status sql_version_drop_tables(struct sql_engine *engine, const char *view, const char *suffix,
                                    struct detail *ret_detail)
{
    char name[TABLE_NAME_BYTES] = "", sql[INSTRUCTION_BYTES];
    enum status status = begin(engine, view, ret_detail);
    while (status == STATUS_OK) {
        status = table_to_drop(engine, view, suffix, name, ret_detail);
        if (status != STATUS_OK)
            break;
        snprintf(sql, sizeof sql, "DROP TABLE \"%s\"", name);
        status = instruct(engine, view, sql, ret_detail);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status rename_tables(const struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_file *file = version->file;
    enum status status = begin(version->engine, file->view, ret_detail);
    for (uint32_t i = 0; i < file->table_count && status == STATUS_OK; i++) {
        char sql[INSTRUCTION_BYTES];
        snprintf(sql, sizeof sql, "ALTER TABLE \"%s%s\" RENAME TO \"%s\"", file->tables[i],
                 version->suffix, file->tables[i]);
        status = instruct(version->engine, file->view, sql, ret_detail);
    }
    return status;
}

enum status sql_version_promote(struct sql_version *version, struct detail *ret_detail)
{
    finalize_all(version);
    enum status status = rename_tables(version, ret_detail);
    if (status != STATUS_OK)
        return status;
    version->suffix[0] = '\0';
    status = look_at_tables(version, ret_detail);
    return status == STATUS_OK ? prepare_changes(version, ret_detail) : status;
}

/* --- rows --- */

/* `is_real_column`: the column turns integers into real numbers; a hook may see them before that.
 */
static void write_value(sqlite3_value *value, bool is_real_column, struct buffer *buffer)
{
    struct slice bytes;
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        if (is_real_column)
            codec_float(buffer, sqlite3_value_double(value));
        else
            codec_int(buffer, sqlite3_value_int64(value));
        return;
    case SQLITE_FLOAT:
        codec_float(buffer, sqlite3_value_double(value));
        return;
    case SQLITE_NULL:
        codec_nil(buffer);
        return;
    case SQLITE_TEXT:
        bytes.data = sqlite3_value_text(value);
        bytes.size = (size_t)sqlite3_value_bytes(value);
        if (bytes.data != NULL && utf8_valid(bytes))
            codec_text_slice(buffer, bytes);
        else
            codec_bin(buffer, bytes.data != NULL ? bytes : (struct slice){NULL, 0});
        return;
    default:
        bytes.data = sqlite3_value_blob(value);
        bytes.size = (size_t)sqlite3_value_bytes(value);
        codec_bin(buffer, bytes.data != NULL ? bytes : (struct slice){NULL, 0});
    }
}

enum side { BEFORE, AFTER };

/* A row joins or leaves what the progress counts. `row`: [view, [column, …]]. */
static void count_row(struct sql_progress *progress, bool is_shown, enum side side,
                      const struct buffer *row)
{
    struct digest *digest = is_shown ? &progress->digest : &progress->rest;
    if (side == BEFORE) {
        progress->rows--;
        progress->bytes -= row->size;
        progress->shown_rows -= is_shown;
        digest_subtract(digest, row->data, row->size);
    } else {
        progress->rows++;
        progress->bytes += row->size;
        progress->shown_rows += is_shown;
        digest_add(digest, row->data, row->size);
    }
}

static void begin_row(struct sql_engine *engine, const struct sql_version *version, int columns)
{
    buffer_clear(&engine->scratch);
    codec_array(&engine->scratch, 2);
    codec_text(&engine->scratch, version->file->view);
    codec_array(&engine->scratch, (uint32_t)columns);
}

/* The row that is about to change. */
static void count_changing_row(struct sql_engine *engine, uint32_t table, enum side side)
{
    struct sql_version *version = engine->active;
    int columns = sqlite3_preupdate_count(engine->sqlite);
    begin_row(engine, version, columns);
    for (int i = 0; i < columns; i++) {
        sqlite3_value *value = NULL;
        int code = side == BEFORE ? sqlite3_preupdate_old(engine->sqlite, i, &value)
                                  : sqlite3_preupdate_new(engine->sqlite, i, &value);
        if (code == SQLITE_OK && value != NULL)
            write_value(value, version->reals[table] >> i & 1, &engine->scratch);
        else
            engine->scratch.status = STATUS_NO_MEMORY;
    }
    if (engine->scratch.status == STATUS_OK)
        count_row(&version->progress, table == version->shown, side, &engine->scratch);
    else
        engine->hook_failed = true;
}

void sql_version_before_change(void *owner, struct sqlite3 *sqlite, int operation,
                               const char *schema, const char *table, long long old_rowid,
                               long long new_rowid)
{
    (void)sqlite, (void)schema, (void)old_rowid, (void)new_rowid;
    struct sql_engine *engine = owner;
    const struct sql_version *version = engine->active;
    uint32_t place = sql_file_table(version->file, table, version->suffix);
    if (place == version->file->table_count)
        return;
    if (operation != SQLITE_INSERT)
        count_changing_row(engine, place, BEFORE);
    if (operation != SQLITE_DELETE)
        count_changing_row(engine, place, AFTER);
}

bool sql_version_has_table(const struct sql_version *version, const char *table)
{
    return table != NULL &&
           sql_file_table(version->file, table, version->suffix) < version->file->table_count;
}

/* --- applying --- */

struct turn {
    struct sql_version *version;
    const struct accepted_record *record;
    struct sql_progress before; /* the event */
    uint32_t sections[SQL_SECTIONS_MAX], section_count;
    uint32_t statement_count; /* that run for this event */
    struct detail *detail;
};

static enum status failed(const struct turn *turn, uint32_t line, int code)
{
    struct sql_version *version = turn->version;
    enum status status = status_of(code);
    if (status != STATUS_INVALID && status != STATUS_TIMED_OUT)
        return database_failed(version, code, turn->detail);
    char why[DETAIL_BYTES_MAX];
    snprintf(why, sizeof why, "%s", sql_engine_error(version->engine, code));
    return detail_set(turn->detail, status, "%s.sql:%u: event %llu (%.*s): %s", version->file->view,
                      line, (unsigned long long)turn->record->event_id,
                      (int)turn->record->event.type.size,
                      (const char *)turn->record->event.type.data, why);
}

static enum status run_statement(const struct turn *turn, uint32_t place)
{
    struct sql_version *version = turn->version;
    int code = sql_engine_run(version->engine, version->statements[place]);
    if (code == SQLITE_OK && version->engine->hook_failed)
        code = SQLITE_NOMEM;
    return code == SQLITE_OK ? STATUS_OK
                             : failed(turn, version->file->statements[place].line, code);
}

static enum status run_sections(const struct turn *turn)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < turn->section_count; i++) {
        const struct sql_section *section = &turn->version->file->sections[turn->sections[i]];
        for (uint32_t j = 0; j < section->statement_count && status == STATUS_OK; j++)
            status = run_statement(turn, section->first_statement + j);
    }
    return status;
}

/* A single statement takes effect whole or not at all by itself. */
static enum status run_event(const struct turn *turn)
{
    struct sql_engine *engine = turn->version->engine;
    if (turn->statement_count == 1)
        return run_sections(turn);
    int code = sql_engine_instruct(engine, engine->savepoint);
    if (code != SQLITE_OK)
        return failed(turn, 1, code);
    enum status status = run_sections(turn);
    if (sqlite3_get_autocommit(engine->sqlite) != 0)
        return status; /* the transaction is gone */
    if (status != STATUS_OK)
        (void)sql_engine_instruct(engine, engine->undo);
    code = sql_engine_instruct(engine, engine->release);
    return status == STATUS_OK && code != SQLITE_OK ? failed(turn, 1, code) : status;
}

static void choose_sections(struct turn *turn)
{
    const struct sql_file *file = turn->version->file;
    turn->section_count = 0;
    turn->statement_count = 0;
    for (uint32_t i = 0; i < file->section_count; i++) {
        if (!sql_section_hears(file, &file->sections[i], turn->record->event.type))
            continue;
        turn->sections[turn->section_count++] = i;
        turn->statement_count += file->sections[i].statement_count;
    }
}

static enum status check_size(const struct turn *turn)
{
    const struct sql_progress *progress = &turn->version->progress;
    if (progress->rows <= SQL_ROWS_MAX && progress->bytes <= SQL_BYTES_MAX)
        return STATUS_OK;
    return detail_set(turn->detail, STATUS_INVALID,
                      "%s.sql: event %llu: the view holds more than %d rows or %llu bytes",
                      turn->version->file->view, (unsigned long long)turn->record->event_id,
                      SQL_ROWS_MAX, SQL_BYTES_MAX);
}

static enum status apply_heard(struct turn *turn)
{
    struct sql_version *version = turn->version;
    turn->before = version->progress;
    version->engine->record = turn->record;
    version->engine->hook_failed = false;
    enum status status = begin(version->engine, version->file->view, turn->detail);
    if (status == STATUS_OK)
        status = run_event(turn);
    if (status == STATUS_OK)
        return check_size(turn);
    version->progress = turn->before;
    return status;
}

enum status sql_version_apply(struct sql_version *version, const struct accepted_record *records,
                              uint32_t count, struct detail *ret_detail)
{
    struct turn turn = {.version = version, .detail = ret_detail};
    enum status status = STATUS_OK;
    sql_engine_enter(version->engine, version, SQL_PHASE_CHANGE);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        turn.record = &records[i];
        choose_sections(&turn);
        if (turn.section_count > 0)
            status = apply_heard(&turn);
        if (status == STATUS_OK) {
            version->progress.event_id = records[i].event_id;
            version->progress.time_ns = records[i].accepted_at_ns;
        }
    }
    sql_engine_leave(version->engine);
    return status;
}

/* --- reading --- */

enum status sql_version_write_rows(struct sql_version *version, uint64_t first, uint64_t max,
                                   struct buffer *buffer, struct detail *ret_detail)
{
    uint64_t rows = version->progress.shown_rows - first;
    uint32_t count = (uint32_t)(rows < max ? rows : max), written = 0;
    int columns = sqlite3_column_count(version->select);
    int code = sqlite3_bind_int64(version->select, 1, count);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(version->select, 2, (sqlite3_int64)first);
    codec_array(buffer, count);
    while (code == SQLITE_OK && (code = sqlite3_step(version->select)) == SQLITE_ROW) {
        codec_map(buffer, (uint32_t)columns);
        for (int i = 0; i < columns; i++) {
            codec_text(buffer, sqlite3_column_name(version->select, i));
            write_value(sqlite3_column_value(version->select, i), false, buffer);
        }
        written++;
        code = SQLITE_OK;
    }
    enum status status = STATUS_OK;
    if (code != SQLITE_DONE)
        status = database_failed(version, code, ret_detail);
    else if (written != count)
        status = detail_set(ret_detail, STATUS_DAMAGED,
                            "view %s in the database: somebody else changed its rows",
                            version->file->view);
    (void)sqlite3_reset(version->select);
    return status == STATUS_OK ? buffer->status : status;
}

/* Adds up the rows of one table as they lie in the database. */
static enum status count_table(struct sql_version *version, uint32_t table,
                               struct sql_progress *found, struct detail *ret_detail)
{
    struct sql_engine *engine = version->engine;
    struct sqlite3_stmt *select = NULL;
    char sql[INSTRUCTION_BYTES];
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s%s\"", version->file->tables[table],
             version->suffix);
    int code = sqlite3_prepare_v2(engine->sqlite, sql, -1, &select, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(select)) == SQLITE_ROW) {
        int columns = sqlite3_column_count(select);
        begin_row(engine, version, columns);
        for (int i = 0; i < columns; i++)
            write_value(sqlite3_column_value(select, i), false, &engine->scratch);
        count_row(found, table == version->shown, AFTER, &engine->scratch);
        code = engine->scratch.status == STATUS_OK ? SQLITE_OK : SQLITE_NOMEM;
    }
    sqlite3_finalize(select);
    return code == SQLITE_DONE ? STATUS_OK : database_failed(version, code, ret_detail);
}

static bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->low == b->low && a->high == b->high;
}

enum status sql_version_check(struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_progress *progress = &version->progress;
    struct sql_progress found = {0};
    for (uint32_t i = 0; i < version->file->table_count; i++) {
        enum status status = count_table(version, i, &found, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    if (found.rows == progress->rows && found.bytes == progress->bytes &&
        found.shown_rows == progress->shown_rows &&
        digest_equal(&found.digest, &progress->digest) &&
        digest_equal(&found.rest, &progress->rest))
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "view %s in the database: its rows are not those of its digest",
                      version->file->view);
}
