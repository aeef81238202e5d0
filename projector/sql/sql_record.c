#include "projector/sql/sql_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/policy/policy.h"
#include "projector/store/hex.h"

#define KIND   "sql"
#define ENGINE "weir-sql-1\n" /* another number where the same text may give other rows */

enum { KEY_BYTES_MAX = SQL_NAME_BYTES_MAX + SQL_SUFFIX_BYTES_MAX + 1 };

enum column { VIEW, TEXT, PROBLEM, ROWS, BYTES, SHOWN_ROWS, REST };

void sql_format(struct slice text, char ret_format[SQL_FORMAT_BYTES])
{
    struct digest digest = {0};
    struct buffer all;
    buffer_init(&all, SQL_FILE_BYTES_MAX + sizeof ENGINE);
    buffer_append_text(&all, ENGINE);
    buffer_append(&all, text.data, text.size);
    if (all.status == STATUS_OK)
        digest_add(&digest, all.data, all.size);
    digest_hex(&digest, ret_format);
    buffer_fini(&all);
}

static void key_write(const char *name, const char *suffix, char ret_key[KEY_BYTES_MAX])
{
    snprintf(ret_key, KEY_BYTES_MAX, "%s%s", name, suffix);
}

/* --- writing --- */

static void bind(struct sqlite3_stmt *statement, const char *key, const struct sql_record *record,
                 struct slice text)
{
    const struct sql_progress *progress = &record->progress;
    char rest[DIGEST_HEX_BYTES];
    digest_hex(&progress->rest, rest);
    sqlite3_bind_text(statement, VIEW + 1, key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text64(statement, TEXT + 1, (const char *)text.data, text.size, SQLITE_STATIC,
                        SQLITE_UTF8);
    sqlite3_bind_text(statement, PROBLEM + 1, record->problem.text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, ROWS + 1, (sqlite3_int64)progress->rows);
    sqlite3_bind_int64(statement, BYTES + 1, (sqlite3_int64)progress->bytes);
    sqlite3_bind_int64(statement, SHOWN_ROWS + 1, (sqlite3_int64)progress->shown_rows);
    sqlite3_bind_text(statement, REST + 1, rest, -1, SQLITE_TRANSIENT);
}

static enum status write_row(struct store *store, const char *key, const struct sql_record *record,
                             struct slice text, struct detail *ret_detail)
{
    static const char *const sql[] = {
        "INSERT OR REPLACE INTO weir_sql_views VALUES (?, ?, ?, ?, ?, ?, ?)", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        bind(statement, key, record, text);
        status = store_step(store, statement, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status sql_record_write(struct store *store, const struct sql_record *record,
                             struct slice text, struct detail *ret_detail)
{
    char key[KEY_BYTES_MAX];
    struct checkpoint checkpoint = {
        .kind = KIND,
        .log_id = record->log_id,
        .position = {.event_id = record->progress.event_id, .time_ns = record->progress.time_ns},
        .anchors = {[STREAM_ACCEPTED] = record->anchor},
        .since = record->since,
        .digest = record->progress.digest,
        .policy = ""};
    key_write(record->name, record->suffix, key);
    memcpy(checkpoint.format, record->format, SQL_FORMAT_BYTES);
    enum status status = store_begin(store, ret_detail);
    if (status == STATUS_OK)
        status = checkpoint_write(store, key, &checkpoint, ret_detail);
    return status == STATUS_OK ? write_row(store, key, record, text, ret_detail) : status;
}

enum status sql_record_remove(struct store *store, const char *name, const char *suffix,
                              struct detail *ret_detail)
{
    static const char *const sql[] = {"DELETE FROM weir_sql_views WHERE view = ?", NULL};
    struct sqlite3_stmt *statement = NULL;
    char key[KEY_BYTES_MAX];
    key_write(name, suffix, key);
    enum status status = store_begin(store, ret_detail);
    if (status == STATUS_OK)
        status = checkpoint_remove(store, key, ret_detail);
    if (status == STATUS_OK)
        status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
        status = store_step(store, statement, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

/* --- reading --- */

static const char *column_text(struct sqlite3_stmt *statement, enum column column)
{
    const unsigned char *text = sqlite3_column_text(statement, (int)column);
    return text != NULL ? (const char *)text : "";
}

static uint64_t column_uint(struct sqlite3_stmt *statement, enum column column)
{
    return (uint64_t)sqlite3_column_int64(statement, (int)column);
}

/* "NAME" or "NAME~next" */
static void read_key(const char *key, struct sql_record *record)
{
    size_t size = strcspn(key, "~");
    snprintf(record->name, sizeof record->name, "%.*s", (int)size, key);
    snprintf(record->suffix, sizeof record->suffix, "%s", key + size);
}

static void read_row(struct sqlite3_stmt *statement, struct sql_record *record)
{
    struct slice text = {sqlite3_column_text(statement, TEXT), 0};
    text.size = (size_t)sqlite3_column_bytes(statement, TEXT);
    read_key(column_text(statement, VIEW), record);
    buffer_clear(&record->text);
    buffer_append(&record->text, text.data, text.size);
    detail_write(&record->problem, "%s", column_text(statement, PROBLEM));
    record->progress.rows = column_uint(statement, ROWS);
    record->progress.bytes = column_uint(statement, BYTES);
    record->progress.shown_rows = column_uint(statement, SHOWN_ROWS);
    digest_from_hex(column_text(statement, REST), &record->progress.rest);
}

/* Adds what the checkpoint says. `policy`: scratch. */
static enum status read_checkpoint(struct store *store, struct sql_record *record, char *policy,
                                   struct detail *ret_detail)
{
    char key[KEY_BYTES_MAX], format[SQL_FORMAT_BYTES];
    struct checkpoint checkpoint;
    key_write(record->name, record->suffix, key);
    enum status status = checkpoint_read(store, key, &checkpoint, policy, ret_detail);
    record->is_whole = false;
    if (status == STATUS_DAMAGED || status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK)
        return status;
    sql_format(buffer_slice(&record->text), format);
    record->is_whole = record->text.status == STATUS_OK && strcmp(checkpoint.kind, KIND) == 0 &&
                       strcmp(checkpoint.format, format) == 0;
    memcpy(record->format, format, SQL_FORMAT_BYTES);
    record->log_id = checkpoint.log_id;
    record->progress.event_id = checkpoint.position.event_id;
    record->progress.time_ns = checkpoint.position.time_ns;
    record->progress.digest = checkpoint.digest;
    record->since = checkpoint.since;
    record->anchor = checkpoint.anchors[STREAM_ACCEPTED];
    return STATUS_OK;
}

static enum status make_table(struct store *store, struct detail *ret_detail)
{
    enum status status = store_begin(store, ret_detail);
    if (status == STATUS_OK)
        status = store_run(store,
                           "CREATE TABLE IF NOT EXISTS weir_sql_views ("
                           " view TEXT PRIMARY KEY, text TEXT, problem TEXT, rows INTEGER,"
                           " bytes INTEGER, shown_rows INTEGER, rest TEXT)",
                           ret_detail);
    if (status == STATUS_OK)
        status = store_commit(store, ret_detail);
    store_roll_back(store);
    return status;
}

/* Reads the record that comes behind `key`. END: there is none. */
static enum status read_next(struct store *store, const char *key, struct sql_record *record,
                             struct detail *ret_detail)
{
    static const char *const sql[] = {
        "SELECT * FROM weir_sql_views WHERE view > ? ORDER BY view LIMIT 1", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status != STATUS_OK)
        return status;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        read_row(statement, record);
    else if (code == SQLITE_DONE)
        status = STATUS_END;
    else
        status = store_failure(store, "cannot be read", ret_detail);
    sqlite3_finalize(statement);
    return status;
}

/* One after another, for `take` may change the table. */
enum status sql_records_load(struct store *store, sql_record_take_fn *take, void *owner,
                             struct detail *ret_detail)
{
    char key[KEY_BYTES_MAX] = "";
    struct sql_record record = {.is_whole = false};
    char *policy = malloc(POLICY_TEXT_BYTES_MAX);
    if (policy == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views in SQL");
    buffer_init(&record.text, SQL_FILE_BYTES_MAX);
    enum status status = make_table(store, ret_detail);
    while (status == STATUS_OK) {
        status = read_next(store, key, &record, ret_detail);
        if (status != STATUS_OK)
            break;
        key_write(record.name, record.suffix, key);
        status = read_checkpoint(store, &record, policy, ret_detail);
        if (status == STATUS_OK)
            status = take(owner, &record, ret_detail);
    }
    buffer_fini(&record.text);
    free(policy);
    return status == STATUS_END ? STATUS_OK : status;
}
