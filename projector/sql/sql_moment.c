#include "projector/sql/sql_moment.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

struct sql_moment {
    struct sqlite3 *sqlite;
    struct sql_engine *engine;
    struct sql_version *version;
    enum status status; /* the first failure */
    struct detail detail;
};

static enum status open_all(struct sql_moment *moment, const char *view, struct slice text,
                            struct detail *ret_detail)
{
    static const char settings[] = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
                                   "PRAGMA cache_size = -65536";
    struct sql_file *file = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    enum status status = sql_file_read(view, text, &file, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_open_v2("", &moment->sqlite, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(moment->sqlite, settings, NULL, NULL, NULL) != SQLITE_OK)
        status = detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a view in SQL");
    if (status == STATUS_OK)
        status = sql_engine_new(moment->sqlite, &moment->engine, ret_detail);
    if (status == STATUS_OK)
        return sql_version_new(moment->engine, file, "", NULL, &moment->version, ret_detail);
    sql_file_free(&file);
    return status;
}

enum status sql_moment_new(struct slice view, struct slice text, struct sql_moment **ret_moment,
                           struct detail *ret_detail)
{
    char name[SQL_NAME_BYTES_MAX + 1];
    struct sql_moment *moment = calloc(1, sizeof *moment);
    if (moment == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a view in SQL");
    snprintf(name, sizeof name, "%.*s", (int)view.size, (const char *)view.data);
    enum status status = open_all(moment, name, text, ret_detail);
    if (status == STATUS_OK)
        *ret_moment = moment;
    else
        sql_moment_destroy(&moment);
    return status;
}

void sql_moment_destroy(struct sql_moment **moment)
{
    struct sql_moment *old = *moment;
    if (old == NULL)
        return;
    sql_version_destroy(&old->version);
    sql_engine_destroy(&old->engine);
    sqlite3_close_v2(old->sqlite);
    free(old);
    *moment = NULL;
}

static void hear(void *owner, const struct accepted_record *records, uint32_t count)
{
    struct sql_moment *moment = owner;
    if (moment->status == STATUS_OK)
        moment->status = sql_version_apply(moment->version, records, count, &moment->detail);
}

struct fold_guest sql_moment_guest(struct sql_moment *moment)
{
    return (struct fold_guest){.owner = moment, .accepted = hear};
}

enum status sql_moment_status(const struct sql_moment *moment, struct detail *ret_detail)
{
    return moment->status == STATUS_OK
               ? STATUS_OK
               : detail_set(ret_detail, moment->status, "%s", moment->detail.text);
}

struct sql_version *sql_moment_version(struct sql_moment *moment)
{
    return moment->version;
}
