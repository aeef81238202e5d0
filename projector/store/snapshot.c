#include "projector/store/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <zstd.h>

#include "projector/store/view_table.h"
#include "projector/views/view.h"

enum {
    COMPRESSION_LEVEL = -4, /* half the time of level 1, and a third more bytes */
    PACKING = 2,            /* how rows are packed; 1 had whole keys and values */
    FORMAT_BYTES_MAX = CHECKPOINT_FORMAT_BYTES_MAX + 4,
};

enum column { EVENT_ID, REJECTION_ID, TIME, POLICY, CHECKSUM, ROWS };

/* --- taking --- */

static enum status compress(const struct buffer *packed, struct buffer *ret_rows)
{
    size_t bound = ZSTD_compressBound(packed->size);
    buffer_init(ret_rows, bound);
    enum status status = buffer_reserve(ret_rows, bound);
    if (status != STATUS_OK)
        return status;
    size_t size =
        ZSTD_compress(ret_rows->data, bound, packed->data, packed->size, COMPRESSION_LEVEL);
    if (ZSTD_isError(size))
        return STATUS_NO_MEMORY;
    ret_rows->size = size;
    return STATUS_OK;
}

enum status snapshot_take(const struct fold *fold, struct rows *rows, struct buffer *scratch,
                          struct snapshot *ret_snapshot)
{
    struct snapshot taken = {.position = fold_position(fold)};
    buffer_init(&taken.rows, 0);
    buffer_clear(scratch);
    enum status status = rows_pack(rows, scratch);
    if (status == STATUS_OK)
        status = compress(scratch, &taken.rows);
    taken.policy = strdup(fold_policy(fold));
    if (taken.policy == NULL)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        *ret_snapshot = taken;
    else
        snapshot_fini(&taken);
    return status;
}

void snapshot_fini(struct snapshot *snapshot)
{
    buffer_fini(&snapshot->rows);
    free(snapshot->policy);
    snapshot->policy = NULL;
}

/* --- writing --- */

/* That of the view's rows and of their packing. */
static void write_format(const struct view_type *type, char ret_format[FORMAT_BYTES_MAX])
{
    char rows[CHECKPOINT_FORMAT_BYTES_MAX];
    view_table_format(type, rows);
    snprintf(ret_format, FORMAT_BYTES_MAX, "%s-%d", rows, PACKING);
}

static uint32_t checksum(const struct fold_position *position, const char *policy,
                         struct slice rows)
{
    const uint64_t numbers[] = {position->event_id, position->rejection_id, position->time_ns};
    uint32_t crc = crc32c(0, numbers, sizeof numbers);
    crc = crc32c(crc, policy, strlen(policy));
    return crc32c(crc, rows.data, rows.size);
}

enum status snapshot_write(struct store *store, const struct view_type *type,
                           const struct snapshot *snapshot, struct detail *ret_detail)
{
    static const char *const sql[] = {
        "INSERT OR REPLACE INTO weir_snapshots (event_id, rejection_id, time, policy, checksum,"
        " rows, view, format) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        NULL};
    char format[FORMAT_BYTES_MAX];
    const struct fold_position *position = &snapshot->position;
    struct sqlite3_stmt *statement = NULL;
    write_format(type, format);
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct slice rows = buffer_slice(&snapshot->rows);
    sqlite3_bind_int64(statement, EVENT_ID + 1, (sqlite3_int64)position->event_id);
    sqlite3_bind_int64(statement, REJECTION_ID + 1, (sqlite3_int64)position->rejection_id);
    sqlite3_bind_int64(statement, TIME + 1, (sqlite3_int64)position->time_ns);
    sqlite3_bind_text(statement, POLICY + 1, snapshot->policy, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, CHECKSUM + 1, checksum(position, snapshot->policy, rows));
    sqlite3_bind_blob64(statement, ROWS + 1, rows.data, rows.size, SQLITE_STATIC);
    sqlite3_bind_text(statement, ROWS + 2, type->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, ROWS + 3, format, -1, SQLITE_STATIC);
    status = store_step(store, statement, ret_detail);
    sqlite3_finalize(statement);
    return status;
}

enum status snapshot_remove_all(struct store *store, const char *view, struct detail *ret_detail)
{
    static const char *const sql[] = {"DELETE FROM weir_snapshots WHERE view = ?", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, view, -1, SQLITE_STATIC);
        status = store_step(store, statement, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status snapshot_newest(struct store *store, const char *view, uint64_t *ret_event_id,
                            struct detail *ret_detail)
{
    static const char *const sql[] = {"SELECT max (event_id) FROM weir_snapshots WHERE view = ?",
                                      NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, view, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            *ret_event_id = (uint64_t)sqlite3_column_int64(statement, 0);
        else
            status = store_failure(store, "cannot be read", ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

/* --- loading --- */

static enum status unpack(struct slice compressed, struct rows *rows)
{
    struct buffer packed;
    unsigned long long size = ZSTD_getFrameContentSize(compressed.data, compressed.size);
    if (size > SNAPSHOT_BYTES_MAX)
        return STATUS_DAMAGED;
    buffer_init(&packed, SNAPSHOT_BYTES_MAX);
    enum status status = buffer_reserve(&packed, size > 0 ? size : 1);
    if (status == STATUS_OK) {
        packed.size = ZSTD_decompress(packed.data, size, compressed.data, compressed.size);
        status = ZSTD_isError(packed.size)
                     ? STATUS_DAMAGED
                     : rows_unpack(rows, (struct slice){packed.data, packed.size});
    }
    buffer_fini(&packed);
    return status;
}

static const char *text_of(struct sqlite3_stmt *statement, enum column column)
{
    const unsigned char *text = sqlite3_column_text(statement, (int)column);
    return text != NULL ? (const char *)text : "";
}

/* DAMAGED: it is not to be trusted. */
static enum status load(struct sqlite3_stmt *statement, struct fold_start *start)
{
    struct fold_position *position = &start->mark.position;
    position->event_id = (uint64_t)sqlite3_column_int64(statement, EVENT_ID);
    position->rejection_id = (uint64_t)sqlite3_column_int64(statement, REJECTION_ID);
    position->time_ns = (uint64_t)sqlite3_column_int64(statement, TIME);
    const char *policy = text_of(statement, POLICY);
    struct slice rows = {sqlite3_column_blob(statement, ROWS),
                         (size_t)sqlite3_column_bytes(statement, ROWS)};
    if (sqlite3_column_int64(statement, CHECKSUM) != checksum(position, policy, rows))
        return STATUS_DAMAGED;
    enum status status = unpack(rows, start->rows);
    if (status != STATUS_OK)
        return status;
    start->policy = strdup(policy);
    return start->policy != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status load_newest_good(struct sqlite3_stmt *statement, const struct view_type *type,
                                    const struct hash_seed *seed, struct fold_start *ret_start,
                                    uint32_t *ret_damaged)
{
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct fold_start start = {.rows = rows_new(type, seed, ROWS_MAX)};
        if (start.rows == NULL)
            return STATUS_NO_MEMORY;
        enum status status = load(statement, &start);
        if (status == STATUS_OK) {
            *ret_start = start;
            return STATUS_OK;
        }
        rows_destroy(&start.rows);
        if (status == STATUS_NO_MEMORY)
            return status;
        ++*ret_damaged;
    }
    return STATUS_NOT_FOUND;
}

enum status snapshot_load(struct store *store, const struct view_type *type,
                          const struct fold_position *until, const struct hash_seed *seed,
                          struct fold_start *ret_start, uint32_t *ret_damaged)
{
    static const char *const sql[] = {
        "SELECT event_id, rejection_id, time, policy, checksum, rows FROM weir_snapshots"
        " WHERE view = ? AND format = ? AND event_id <= ? AND rejection_id <= ?"
        " ORDER BY event_id DESC LIMIT ?",
        NULL};
    char format[FORMAT_BYTES_MAX];
    struct sqlite3_stmt *statement = NULL;
    write_format(type, format);
    *ret_damaged = 0;
    enum status status = store_prepare(store, sql, &statement, NULL);
    if (status != STATUS_OK)
        return status;
    sqlite3_bind_text(statement, 1, type->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, format, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)until->event_id);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)until->rejection_id);
    sqlite3_bind_int(statement, 5, SNAPSHOT_TRIES_MAX);
    status = load_newest_good(statement, type, seed, ret_start, ret_damaged);
    sqlite3_finalize(statement);
    return status;
}
