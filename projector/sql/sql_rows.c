#include "projector/sql/sql_parts.h"

#include <stdio.h>

#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <sqlite3.h>

#include "common/event/codec.h"

/* --- values --- */

static void write_int(struct buffer *buffer, int64_t value)
{
    if (buffer_reserve(buffer, CODEC_UINT_BYTES_MAX) == STATUS_OK)
        buffer->size = (size_t)(codec_put_int(buffer->data + buffer->size, value) - buffer->data);
}

static void write_text(struct buffer *buffer, struct slice text)
{
    if (text.size > UINT16_MAX)
        codec_text_slice(buffer, text);
    else if (buffer_reserve(buffer, CODEC_TEXT_HEADER_BYTES_MAX + text.size) == STATUS_OK)
        buffer->size = (size_t)(codec_put_text(buffer->data + buffer->size, text) - buffer->data);
}

/* Of a text or a blob, without the copy that would put a NUL behind a text. */
static struct slice bytes_of(sqlite3_value *value)
{
    const uint8_t *data = sqlite3_value_blob(value); /* NULL where there are none */
    return (struct slice){data, data != NULL ? (size_t)sqlite3_value_bytes(value) : 0};
}

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
            write_int(buffer, sqlite3_value_int64(value));
        return;
    case SQLITE_FLOAT:
        codec_float(buffer, sqlite3_value_double(value));
        return;
    case SQLITE_NULL:
        codec_nil(buffer);
        return;
    case SQLITE_TEXT:
        bytes = bytes_of(value);
        if (utf8_valid(bytes))
            write_text(buffer, bytes);
        else
            codec_bin(buffer, bytes);
        return;
    default:
        codec_bin(buffer, bytes_of(value));
    }
}

/* --- counting --- */

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
    buffer_append(&engine->scratch, "\x92", 1); /* an array of two */
    write_text(&engine->scratch, slice_of_text(version->file->view));
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

/* --- reading --- */

enum status sql_version_write_rows(struct sql_version *version, uint64_t first, uint64_t max,
                                   struct buffer *buffer, struct detail *ret_detail)
{
    uint64_t rows = version->progress.shown_rows - first;
    uint32_t count = (uint32_t)(rows < max ? rows : max), written = 0;
    struct slice names[SQL_COLUMNS_MAX];
    int columns = sqlite3_column_count(version->select);
    int code = sqlite3_bind_int64(version->select, 1, count);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(version->select, 2, (sqlite3_int64)first);
    codec_array(buffer, count);
    while (code == SQLITE_OK && (code = sqlite3_step(version->select)) == SQLITE_ROW) {
        for (int i = 0; i < columns && written == 0; i++) /* the first step may prepare it anew */
            names[i] = slice_of_text(sqlite3_column_name(version->select, i));
        codec_map(buffer, (uint32_t)columns);
        for (int i = 0; i < columns; i++) {
            write_text(buffer, names[i]);
            write_value(sqlite3_column_value(version->select, i), false, buffer);
        }
        written++;
        code = SQLITE_OK;
    }
    enum status status = STATUS_OK;
    if (code != SQLITE_DONE)
        status = sql_database_failed(version, code, ret_detail);
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
    return code == SQLITE_DONE ? STATUS_OK : sql_database_failed(version, code, ret_detail);
}

static bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->low == b->low && a->high == b->high;
}

enum status sql_version_check(struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_progress *progress = &version->progress;
    struct sql_progress found = {0};
    enum status status = sql_tables_check(version, ret_detail);
    for (uint32_t i = 0; i < version->file->table_count && status == STATUS_OK; i++)
        status = count_table(version, i, &found, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (found.rows == progress->rows && found.bytes == progress->bytes &&
        found.shown_rows == progress->shown_rows &&
        digest_equal(&found.digest, &progress->digest) &&
        digest_equal(&found.rest, &progress->rest))
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "view %s in the database: its rows are not those of its digest",
                      version->file->view);
}
