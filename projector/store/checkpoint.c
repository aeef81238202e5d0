#include "projector/store/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "common/policy/policy.h"
#include "projector/store/hex.h"

enum column {
    VIEW,
    KIND,
    FORMAT,
    LOG_ID,
    EVENT_ID,
    REJECTION_ID,
    TIME,
    ACCEPTED_ANCHOR,
    REJECTED_ANCHOR,
    SINCE,
    LEFT_OUT,
    DIGEST,
    POLICY,
    CHECKSUM,
};

/* --- the checksum --- */

static uint32_t sum_text(uint32_t crc, const char *text)
{
    return crc32c(crc, text, strlen(text) + 1);
}

static uint32_t checksum(const char *view, const struct checkpoint *c)
{
    const uint64_t numbers[] = {c->position.event_id,
                                c->position.rejection_id,
                                c->position.time_ns,
                                c->anchors[STREAM_ACCEPTED],
                                c->anchors[STREAM_REJECTED],
                                c->since,
                                c->left_out,
                                c->digest.low,
                                c->digest.high};
    uint32_t crc = sum_text(0, view);
    crc = sum_text(crc, c->kind);
    crc = sum_text(crc, c->format);
    crc = crc32c(crc, c->log_id.bytes, LOG_ID_BYTES);
    crc = crc32c(crc, numbers, sizeof numbers);
    return sum_text(crc, c->policy);
}

/* --- writing --- */

static void bind_text(struct sqlite3_stmt *statement, enum column column, const char *text)
{
    sqlite3_bind_text(statement, (int)column + 1, text, -1, SQLITE_TRANSIENT);
}

static void bind_uint(struct sqlite3_stmt *statement, enum column column, uint64_t value)
{
    sqlite3_bind_int64(statement, (int)column + 1, (sqlite3_int64)value);
}

static void bind(struct sqlite3_stmt *statement, const char *view, const struct checkpoint *c)
{
    char log_id[2 * LOG_ID_BYTES + 1], digest[DIGEST_HEX_BYTES];
    hex_write(c->log_id.bytes, LOG_ID_BYTES, log_id);
    digest_hex(&c->digest, digest);
    bind_text(statement, VIEW, view);
    bind_text(statement, KIND, c->kind);
    bind_text(statement, FORMAT, c->format);
    bind_text(statement, LOG_ID, log_id);
    bind_uint(statement, EVENT_ID, c->position.event_id);
    bind_uint(statement, REJECTION_ID, c->position.rejection_id);
    bind_uint(statement, TIME, c->position.time_ns);
    bind_uint(statement, ACCEPTED_ANCHOR, c->anchors[STREAM_ACCEPTED]);
    bind_uint(statement, REJECTED_ANCHOR, c->anchors[STREAM_REJECTED]);
    bind_uint(statement, SINCE, c->since);
    bind_uint(statement, LEFT_OUT, c->left_out);
    bind_text(statement, DIGEST, digest);
    bind_text(statement, POLICY, c->policy);
    bind_uint(statement, CHECKSUM, checksum(view, c));
}

enum status checkpoint_write(struct store *store, const char *view,
                             const struct checkpoint *checkpoint, struct detail *ret_detail)
{
    static const char *const sql[] = {"INSERT OR REPLACE INTO weir_checkpoints VALUES "
                                      "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                      NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        bind(statement, view, checkpoint);
        status = store_step(store, statement, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

/* --- reading --- */

static uint64_t get_uint(struct sqlite3_stmt *statement, enum column column)
{
    return (uint64_t)sqlite3_column_int64(statement, (int)column);
}

/* A copy that is cut to `bytes_max` with its NUL: what was cut fails the checksum. */
static void get_text(struct sqlite3_stmt *statement, enum column column, char *ret_text,
                     size_t bytes_max)
{
    const unsigned char *text = sqlite3_column_text(statement, (int)column);
    snprintf(ret_text, bytes_max, "%s", text != NULL ? (const char *)text : "");
}

static struct checkpoint get(struct sqlite3_stmt *statement, char *ret_policy)
{
    struct checkpoint c = {.policy = ret_policy};
    char log_id[2 * LOG_ID_BYTES + 1], digest[DIGEST_HEX_BYTES];
    get_text(statement, KIND, c.kind, sizeof c.kind);
    get_text(statement, FORMAT, c.format, sizeof c.format);
    get_text(statement, LOG_ID, log_id, sizeof log_id);
    get_text(statement, DIGEST, digest, sizeof digest);
    get_text(statement, POLICY, ret_policy, POLICY_TEXT_BYTES_MAX);
    hex_read(log_id, LOG_ID_BYTES, c.log_id.bytes);
    digest_from_hex(digest, &c.digest);
    c.position.event_id = get_uint(statement, EVENT_ID);
    c.position.rejection_id = get_uint(statement, REJECTION_ID);
    c.position.time_ns = get_uint(statement, TIME);
    c.anchors[STREAM_ACCEPTED] = get_uint(statement, ACCEPTED_ANCHOR);
    c.anchors[STREAM_REJECTED] = get_uint(statement, REJECTED_ANCHOR);
    c.since = get_uint(statement, SINCE);
    c.left_out = get_uint(statement, LEFT_OUT);
    return c;
}

enum status checkpoint_read(struct store *store, const char *view,
                            struct checkpoint *ret_checkpoint, char *ret_policy,
                            struct detail *ret_detail)
{
    static const char *const sql[] = {"SELECT * FROM weir_checkpoints WHERE view = ?", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status != STATUS_OK)
        return status;
    bind_text(statement, VIEW, view);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct checkpoint found = get(statement, ret_policy);
        if (get_uint(statement, CHECKSUM) == checksum(view, &found))
            *ret_checkpoint = found;
        else
            status = detail_set(ret_detail, STATUS_DAMAGED,
                                "database %s: the checkpoint of view %s fails its checksum",
                                store_path(store), view);
    } else if (code == SQLITE_DONE) {
        status = detail_set(ret_detail, STATUS_NOT_FOUND, "view %s has no checkpoint", view);
    } else {
        status = store_failure(store, "cannot be read", ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status checkpoint_remove(struct store *store, const char *view, struct detail *ret_detail)
{
    static const char *const sql[] = {"DELETE FROM weir_checkpoints WHERE view = ?", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK) {
        bind_text(statement, VIEW, view);
        status = store_step(store, statement, ret_detail);
    }
    sqlite3_finalize(statement);
    return status;
}
