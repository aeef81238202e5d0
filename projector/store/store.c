#include "projector/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/wire/endpoint.h"

enum {
    APPLICATION_ID = 0x57454952, /* "WEIR" in the file's header */
    SCHEMA_VERSION = 1,
    BUSY_WAIT_MS = 200, /* for a tool that holds the write lock */
    HEADER_BYTES = 72,  /* of the file's header, as far as it matters here */
    APPLICATION_ID_AT = 68,
};

static const char magic[] = "SQLite format 3"; /* with its NUL */

struct store {
    char path[STORE_PATH_BYTES_MAX];
    int lock_fd;
    struct sqlite3 *sqlite;
};

/* --- failures --- */

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
    default:
        return STATUS_IO;
    }
}

enum status store_failure(const struct store *store, const char *what, struct detail *ret_detail)
{
    enum status status = status_of(sqlite3_errcode(store->sqlite));
    const char *way_out =
        status == STATUS_DAMAGED ? "; start with --rebuild to make it anew from the log" : "";
    return detail_set(ret_detail, status, "database %s: %s: %s%s", store->path, what,
                      sqlite3_errmsg(store->sqlite), way_out);
}

/* --- statements --- */

enum status store_run(const struct store *store, const char *sql, struct detail *ret_detail)
{
    if (sqlite3_exec(store->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_failure(store, "cannot be written", ret_detail);
    return STATUS_OK;
}

enum status store_prepare(const struct store *store, const char *const *parts,
                          struct sqlite3_stmt **ret_statement, struct detail *ret_detail)
{
    char sql[STORE_SQL_BYTES_MAX];
    size_t size = 0;
    for (; *parts != NULL; parts++) {
        size_t more = strlen(*parts);
        if (size + more >= sizeof sql)
            return detail_set(ret_detail, STATUS_CONFIG,
                              "database %s: a statement of more than %d bytes", store->path,
                              STORE_SQL_BYTES_MAX);
        memcpy(sql + size, *parts, more);
        size += more;
    }
    sql[size] = '\0';
    if (sqlite3_prepare_v2(store->sqlite, sql, (int)size, ret_statement, NULL) != SQLITE_OK)
        return store_failure(store, "cannot be used", ret_detail);
    return STATUS_OK;
}

enum status store_step(const struct store *store, struct sqlite3_stmt *statement,
                       struct detail *ret_detail)
{
    int code = sqlite3_step(statement);
    enum status status = STATUS_OK;
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        status = store_failure(store, "cannot be written", ret_detail);
    (void)sqlite3_reset(statement); /* repeats the failure of the step */
    return status;
}

/* --- transactions --- */

bool store_in_transaction(const struct store *store)
{
    return sqlite3_get_autocommit(store->sqlite) == 0;
}

enum status store_begin(struct store *store, struct detail *ret_detail)
{
    return store_in_transaction(store) ? STATUS_OK
                                       : store_run(store, "BEGIN IMMEDIATE", ret_detail);
}

enum status store_commit(struct store *store, struct detail *ret_detail)
{
    enum status status = store_run(store, "COMMIT", ret_detail);
    if (status != STATUS_OK)
        store_roll_back(store);
    return status;
}

void store_roll_back(struct store *store)
{
    if (store_in_transaction(store))
        (void)sqlite3_exec(store->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* --- opening --- */

/* Locks PATH.lock: two writers would each believe in a checkpoint of their own. */
static enum status take_lock(struct store *store, struct detail *ret_detail)
{
    char folder[STORE_PATH_BYTES_MAX];
    snprintf(folder, sizeof folder, "%s", store->path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return lock_file_take(".", store->path, &store->lock_fd, ret_detail);
    *slash = '\0';
    const char *name = store->path + (slash + 1 - folder);
    return lock_file_take(slash == folder ? "/" : folder, name, &store->lock_fd, ret_detail);
}

static enum status not_ours(const struct store *store, const char *what, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_CONFIG,
                      "%s is %s and no projector's database; it is not touched: name another --db",
                      store->path, what);
}

/* Is there nothing, or a database that a projector made? SQLite itself would only say so later, and
 * --rebuild would remove whatever a slip of the hand named. */
static enum status check_file(const struct store *store, struct detail *ret_detail)
{
    uint8_t header[HEADER_BYTES];
    int fd = open(store->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return STATUS_OK;
    if (fd < 0)
        return detail_set(ret_detail, STATUS_IO, "cannot read %s: %s", store->path,
                          strerror(errno));
    ssize_t size = pread(fd, header, sizeof header, 0);
    int error = errno;
    close(fd);
    if (size < 0)
        return detail_set(ret_detail, STATUS_IO, "cannot read %s: %s", store->path,
                          strerror(error));
    if (size == 0)
        return STATUS_OK;
    if (size < HEADER_BYTES || memcmp(header, magic, sizeof magic) != 0)
        return not_ours(store, "a file of another kind", ret_detail);
    uint32_t id = (uint32_t)header[APPLICATION_ID_AT] << 24 |
                  (uint32_t)header[APPLICATION_ID_AT + 1] << 16 |
                  (uint32_t)header[APPLICATION_ID_AT + 2] << 8 | header[APPLICATION_ID_AT + 3];
    return id == APPLICATION_ID ? STATUS_OK
                                : not_ours(store, "another program's database", ret_detail);
}

static enum status remove_files(const struct store *store, struct detail *ret_detail)
{
    static const char *const endings[] = {"-journal", "-wal", "-shm", ""};
    for (unsigned i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[STORE_PATH_BYTES_MAX + 16];
        snprintf(path, sizeof path, "%s%s", store->path, endings[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return detail_set(ret_detail, STATUS_IO, "cannot remove %s: %s", path, strerror(errno));
    }
    return STATUS_OK;
}

static enum status read_version(const struct store *store, int *ret_version,
                                struct detail *ret_detail)
{
    static const char *const sql[] = {"PRAGMA user_version", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK && sqlite3_step(statement) == SQLITE_ROW)
        *ret_version = sqlite3_column_int(statement, 0);
    else if (status == STATUS_OK)
        status = store_failure(store, "cannot be read", ret_detail);
    sqlite3_finalize(statement);
    return status;
}

/* The application id is there before anything else, so that a start that was killed halfway is not
 * taken for somebody else's file. */
static enum status make_schema(struct store *store, struct detail *ret_detail)
{
    static const char schema[] =
        "CREATE TABLE weir_checkpoints ("
        " view TEXT PRIMARY KEY, kind TEXT, format TEXT, log_id TEXT,"
        " event_id INTEGER, rejection_id INTEGER, time INTEGER,"
        " accepted_anchor INTEGER, rejected_anchor INTEGER,"
        " since INTEGER, left_out INTEGER, digest TEXT, policy TEXT, checksum INTEGER);"
        "CREATE TABLE weir_snapshots ("
        " view TEXT, event_id INTEGER, rejection_id INTEGER, time INTEGER, format TEXT,"
        " policy TEXT, checksum INTEGER, rows BLOB, PRIMARY KEY (view, event_id));"
        "PRAGMA user_version = 1";
    enum status status = store_begin(store, ret_detail);
    if (status == STATUS_OK)
        status = store_run(store, schema, ret_detail);
    if (status == STATUS_OK)
        status = store_commit(store, ret_detail);
    return status;
}

static enum status open_sqlite(struct store *store, struct detail *ret_detail)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int version = 0;
    if (sqlite3_open_v2(store->path, &store->sqlite, flags, NULL) != SQLITE_OK) {
        if (store->sqlite == NULL)
            return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the database");
        return store_failure(store, "cannot be opened", ret_detail);
    }
    if (sqlite3_db_readonly(store->sqlite, "main") != 0)
        return detail_set(ret_detail, STATUS_IO, "database %s: this user may not write it",
                          store->path);
    sqlite3_busy_timeout(store->sqlite, BUSY_WAIT_MS);
    enum status status = read_version(store, &version, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (version > SCHEMA_VERSION)
        return detail_set(ret_detail, STATUS_CONFIG,
                          "database %s: made by a newer version of Weir; start with --rebuild, or "
                          "name another --db",
                          store->path);
    if (version == 0)
        status = store_run(store, "PRAGMA application_id = 0x57454952", ret_detail);
    if (status == STATUS_OK)
        status = store_run(store,
                           "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                           "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
                           "PRAGMA cell_size_check = ON",
                           ret_detail);
    return status == STATUS_OK && version == 0 ? make_schema(store, ret_detail) : status;
}

void store_set_up_process(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum status store_open(const struct store_options *options, struct store **ret_store,
                       struct detail *ret_detail)
{
    if (strlen(options->path) >= STORE_PATH_BYTES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "the path of the database is too long");
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the database");
    store->lock_fd = -1;
    memcpy(store->path, options->path, strlen(options->path));
    enum status status = take_lock(store, ret_detail);
    if (status == STATUS_OK)
        status = check_file(store, ret_detail);
    if (status == STATUS_OK && options->rebuild)
        status = remove_files(store, ret_detail);
    if (status == STATUS_OK)
        status = open_sqlite(store, ret_detail);
    if (status == STATUS_OK)
        *ret_store = store;
    else
        store_close(&store);
    return status;
}

enum status store_open_reader(const char *path, struct store **ret_store, struct detail *ret_detail)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the database");
    store->lock_fd = -1;
    snprintf(store->path, sizeof store->path, "%s", path);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    enum status status = STATUS_OK;
    if (sqlite3_open_v2(path, &store->sqlite, flags, NULL) != SQLITE_OK)
        status = store->sqlite != NULL
                     ? store_failure(store, "cannot be opened", ret_detail)
                     : detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the database");
    if (status == STATUS_OK)
        sqlite3_busy_timeout(store->sqlite, BUSY_WAIT_MS);
    if (status == STATUS_OK)
        *ret_store = store;
    else
        store_close(&store);
    return status;
}

void store_close(struct store **store)
{
    struct store *old = *store;
    if (old == NULL)
        return;
    if (old->sqlite != NULL) {
        store_roll_back(old);
        (void)sqlite3_close_v2(old->sqlite);
    }
    if (old->lock_fd >= 0)
        close(old->lock_fd);
    free(old);
    *store = NULL;
}

const char *store_path(const struct store *store)
{
    return store->path;
}

struct sqlite3 *store_sqlite(const struct store *store)
{
    return store->sqlite;
}
