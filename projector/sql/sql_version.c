#include "projector/sql/sql_version.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "projector/sql/sql_parts.h"

/* --- life --- */

static enum status prepare_changes(struct sql_version *version, struct detail *ret_detail)
{
    const struct sql_file *file = version->file;
    enum status status = STATUS_OK;
    sql_engine_enter(version->engine, version, SQL_PHASE_CHANGE);
    for (uint32_t i = 0; i < file->statement_count && status == STATUS_OK; i++) {
        status = sql_statement_prepare(version, &file->statements[i], &version->statements[i],
                                       ret_detail);
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

static enum status build(struct sql_version *version, struct detail *ret_detail)
{
    struct sql_engine *engine = version->engine;
    enum status status = sql_transaction_begin(engine, version->file->view, ret_detail);
    if (status == STATUS_OK && sql_engine_instruct(engine, engine->savepoint) != SQLITE_OK)
        status = sql_database_failed(version, sqlite3_errcode(engine->sqlite), ret_detail);
    if (status != STATUS_OK)
        return status;
    status = sql_version_drop_tables(engine, version->file->view, version->suffix, ret_detail);
    if (status == STATUS_OK)
        status = sql_tables_create(version, ret_detail);
    if (status == STATUS_OK)
        status = sql_tables_look(version, ret_detail);
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
        status = sql_tables_look(version, ret_detail);
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

enum status sql_version_promote(struct sql_version *version, struct detail *ret_detail)
{
    finalize_all(version);
    enum status status = sql_tables_rename(version, ret_detail);
    if (status != STATUS_OK)
        return status;
    version->suffix[0] = '\0';
    status = sql_tables_look(version, ret_detail);
    return status == STATUS_OK ? prepare_changes(version, ret_detail) : status;
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
    enum status status = sql_status_of(code);
    if (status != STATUS_INVALID && status != STATUS_TIMED_OUT)
        return sql_database_failed(version, code, turn->detail);
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
    enum status status = sql_transaction_begin(version->engine, version->file->view, turn->detail);
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
