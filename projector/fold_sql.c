#include "projector/fold_sql.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "projector/sql/sql_moment.h"
#include "projector/store/store.h"
#include "projector/views_files.h"

struct fold_sql {
    char *const *names;
    int name_count;
    uint64_t next_id; /* 0: as the fold counts */
    struct sql_moment *moments[FOLD_SQL_VIEWS_MAX];
    uint32_t count;
};

/* --- life --- */

static bool is_wanted(const struct fold_sql *sql, const char *name)
{
    for (int i = 0; i < sql->name_count; i++)
        if (strcmp(sql->names[i], name) == 0)
            return true;
    return sql->name_count == 0;
}

static enum status make_view(struct fold_sql *sql, const char *name, const char *path,
                             struct detail *ret_detail)
{
    struct buffer text;
    struct detail why = {.text = ""};
    buffer_init(&text, SQL_FILE_BYTES_MAX + 4096);
    enum status status = views_name_check(name, ret_detail);
    if (status == STATUS_OK && views_file_read(path, &text, &why) != STATUS_OK)
        status = detail_set(ret_detail, STATUS_CONFIG, "%s.sql: %s", name, why.text);
    if (status == STATUS_OK)
        status = sql_moment_new(slice_of_text(name), buffer_slice(&text), &sql->moments[sql->count],
                                ret_detail);
    sql->count += status == STATUS_OK;
    buffer_fini(&text);
    return status;
}

static enum status take_file(void *owner, const char *name, const char *path, const char *why,
                             struct detail *ret_detail)
{
    struct fold_sql *sql = owner;
    if (why != NULL)
        log_warn("a file that is no view", "file=%s why=\"%s\"", name, why);
    if (why != NULL || !is_wanted(sql, name))
        return STATUS_OK;
    if (sql->count == FOLD_SQL_VIEWS_MAX)
        return detail_set(ret_detail, STATUS_FULL, "more than %d views in SQL", FOLD_SQL_VIEWS_MAX);
    return make_view(sql, name, path, ret_detail);
}

enum status fold_sql_open(const char *folder, char *const *names, int count,
                          struct fold_sql **ret_sql, struct detail *ret_detail)
{
    struct detail why = {.text = ""};
    struct fold_sql *sql = calloc(1, sizeof *sql);
    if (sql == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for views in SQL");
    store_set_up_process();
    sql->names = names;
    sql->name_count = count;
    enum status status = views_files_each(folder, take_file, sql, &why);
    if (status == STATUS_IO)
        status = detail_set(ret_detail, STATUS_CONFIG, "the folder of views in SQL, %s: %s", folder,
                            why.text);
    else if (status != STATUS_OK)
        status = detail_set(ret_detail, status, "%s", why.text);
    if (status == STATUS_OK)
        *ret_sql = sql;
    else
        fold_sql_close(&sql);
    return status;
}

void fold_sql_close(struct fold_sql **sql)
{
    if (*sql == NULL)
        return;
    for (uint32_t i = 0; i < (*sql)->count; i++)
        sql_moment_destroy(&(*sql)->moments[i]);
    free(*sql);
    *sql = NULL;
}

uint32_t fold_sql_count(const struct fold_sql *sql)
{
    return sql->count;
}

bool fold_sql_has(const struct fold_sql *sql, const char *name)
{
    for (uint32_t i = 0; i < sql->count; i++)
        if (strcmp(sql_version_file(sql_moment_version(sql->moments[i]))->view, name) == 0)
            return true;
    return false;
}

struct sql_version *fold_sql_version(struct fold_sql *sql, uint32_t view)
{
    return sql_moment_version(sql->moments[view]);
}

/* --- events --- */

static void hear_one(const struct fold_sql *sql, const struct accepted_record *record)
{
    for (uint32_t i = 0; i < sql->count; i++) {
        struct fold_guest guest = sql_moment_guest(sql->moments[i]);
        guest.accepted(guest.owner, record, 1);
    }
}

static void hear(void *owner, const struct accepted_record *records, uint32_t count)
{
    struct fold_sql *sql = owner;
    for (uint32_t i = 0; i < count; i++) {
        struct accepted_record record = records[i];
        if (sql->next_id > 0)
            record.event_id = sql->next_id++;
        hear_one(sql, &record);
    }
}

struct fold_guest fold_sql_guest(struct fold_sql *sql)
{
    return (struct fold_guest){.owner = sql, .accepted = hear};
}

void fold_sql_number(struct fold_sql *sql, uint64_t event_id)
{
    sql->next_id = event_id;
}

enum status fold_sql_status(const struct fold_sql *sql, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < sql->count && status == STATUS_OK; i++)
        status = sql_moment_status(sql->moments[i], ret_detail);
    return status;
}
