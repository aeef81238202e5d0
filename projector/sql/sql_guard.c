/* What the statements of a view may do. The list of functions is of those that give the same
 * result in every process, whatever the clock, the locale and the machine are. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sqlite3.h>

#include "projector/sql/sql_engine.h"
#include "projector/sql/sql_version.h"

/* Sorted by nothing but sense; looked at only when a statement is prepared. */
static const char *const functions[] = {
    /* of the current event: sql_functions.c */
    "subject", "source", "type", "event_id", "accepted_at", "occurred_at", "sequence",
    "schema_version", "field", "data", "attribute", "time_text",
    /* values */
    "abs", "ceil", "ceiling", "char", "coalesce", "floor", "format", "glob", "hex", "ifnull", "iif",
    "instr", "length", "like", "likelihood", "likely", "lower", "ltrim", "max", "min", "mod",
    "nullif", "printf", "quote", "replace", "round", "rtrim", "sign", "sqrt", "substr", "substring",
    "trim", "trunc", "typeof", "unicode", "unlikely", "upper", "zeroblob",
    /* groups and windows of rows */
    "avg", "count", "group_concat", "sum", "total", "cume_dist", "dense_rank", "first_value", "lag",
    "last_value", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number",
    /* JSON, which field() gives for maps and lists */
    "json", "json_array", "json_array_length", "json_extract", "json_group_array",
    "json_group_object", "json_insert", "json_object", "json_patch", "json_quote", "json_remove",
    "json_replace", "json_set", "json_type", "json_valid", "->", "->>"};

static int deny(struct sql_engine *engine, const char *format, ...) PRINTF_LIKE(2, 3);
static int deny(struct sql_engine *engine, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(engine->denied.text, sizeof engine->denied.text, format, arguments);
    va_end(arguments);
    return SQLITE_DENY;
}

static int judge_function(struct sql_engine *engine, const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcasecmp(name, functions[i]) == 0)
            return SQLITE_OK;
    return deny(engine,
                "%s() is not for views: they use only what gives the same in every process "
                "(docs/sql-views.md lists the functions)",
                name);
}

/* `schema` NULL: a table of which no column is read, named without its schema. */
static int judge_table(struct sql_engine *engine, const char *table, const char *schema)
{
    bool is_main = schema == NULL || strcmp(schema, "main") == 0;
    if (is_main && sql_version_has_table(engine->active, table))
        return SQLITE_OK;
    return deny(engine, "table %s is not of this file; a view uses its own tables only",
                table != NULL ? table : "?");
}

/* The two that give the elements of a JSON text; they keep nothing. */
static bool is_table_of_json(const char *table)
{
    return strcmp(table, "json_each") == 0 || strcmp(table, "json_tree") == 0;
}

static bool is_schema_table(const char *table)
{
    return strcmp(table, "sqlite_master") == 0;
}

/* SQLite itself writes sqlite_master while it makes a table. */
static int judge_create(struct sql_engine *engine, int action, const char *first,
                        const char *second, const char *schema)
{
    switch (action) {
    case SQLITE_CREATE_TABLE:
        return judge_table(engine, first, schema);
    case SQLITE_CREATE_INDEX: /* of a primary key or unique */
        return judge_table(engine, second, schema);
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_READ:
        return is_schema_table(first) ? SQLITE_OK : judge_table(engine, first, schema);
    case SQLITE_REINDEX:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return judge_function(engine, second);
    default:
        return deny(engine, "a create table has columns and constraints and nothing else");
    }
}

static int judge_change(struct sql_engine *engine, int action, const char *first,
                        const char *second, const char *schema)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return is_table_of_json(first) ? SQLITE_OK : judge_table(engine, first, schema);
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return judge_table(engine, first, schema);
    case SQLITE_FUNCTION:
        return judge_function(engine, second);
    default:
        return deny(engine, "a view only reads and changes the rows of its own tables");
    }
}

static int authorize(void *owner, int action, const char *first, const char *second,
                     const char *schema, const char *trigger)
{
    struct sql_engine *engine = owner;
    (void)trigger;
    switch (engine->phase) {
    case SQL_PHASE_OWNER:
        return SQLITE_OK;
    case SQL_PHASE_CREATE:
        return judge_create(engine, action, first, second, schema);
    case SQL_PHASE_CHANGE:
        return judge_change(engine, action, first, second, schema);
    }
    return SQLITE_DENY;
}

/* Called every SQL_STEPS_PER_TICK steps; not 0 ends the statement. */
static int tick(void *owner)
{
    struct sql_engine *engine = owner;
    if (engine->phase == SQL_PHASE_OWNER)
        return 0;
    return ++engine->ticks >= SQL_STEPS_MAX / SQL_STEPS_PER_TICK;
}

void sql_guard_install(struct sql_engine *engine)
{
    sqlite3_set_authorizer(engine->sqlite, authorize, engine);
    sqlite3_progress_handler(engine->sqlite, SQL_STEPS_PER_TICK, tick, engine);
}
