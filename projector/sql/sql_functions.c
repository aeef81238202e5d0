/* The functions by which a view's statements read the current event, straight from its bytes. */
#include <string.h>

#include <sqlite3.h>

#include "common/base/clock.h"
#include "common/event/json.h"
#include "projector/sql/sql_engine.h"

typedef struct sqlite3_context context; /* where a function's result goes */

/* NULL, and an error for the statement: there is no event, as in a default value. */
static const struct accepted_record *record_of(context *to)
{
    const struct sql_engine *engine = sqlite3_user_data(to);
    if (engine->record == NULL)
        sqlite3_result_error(to, "there is no event here", -1);
    return engine->record;
}

/* The bytes outlive the statement: they are the record's. */
static void give_text(context *to, struct slice text)
{
    sqlite3_result_text64(to, (const char *)text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

/* What is above 2^63 − 1 becomes a real number, as everywhere in SQLite. */
static void give_uint(context *to, uint64_t value)
{
    if (value <= INT64_MAX)
        sqlite3_result_int64(to, (sqlite3_int64)value);
    else
        sqlite3_result_double(to, (double)value);
}

static void give_subject(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_text(to, record->event.subject);
}

static void give_source(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_text(to, record->source);
}

static void give_type(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_text(to, record->event.type);
}

static void give_event_id(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_uint(to, record->event_id);
}

static void give_accepted_at(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_uint(to, record->accepted_at_ns);
}

static void give_occurred_at(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_uint(to, record->event.occurred_at_ns);
}

static void give_sequence(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_uint(to, record->sequence);
}

static void give_schema_version(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record != NULL)
        give_uint(to, record->event.schema_version);
}

/* --- what an event carries --- */

static struct slice argument_text(sqlite3_value *argument)
{
    const unsigned char *text = sqlite3_value_text(argument);
    return (struct slice){text, text != NULL ? (size_t)sqlite3_value_bytes(argument) : 0};
}

/* A map or a list, as JSON text. */
static void give_json(context *to, struct mp_reader *reader)
{
    struct sql_engine *engine = sqlite3_user_data(to);
    struct slice item;
    buffer_clear(&engine->scratch);
    if (mp_read_raw(reader, &item) == STATUS_OK &&
        json_write_data(item, &engine->scratch) == STATUS_OK)
        sqlite3_result_text64(to, (const char *)engine->scratch.data, engine->scratch.size,
                              SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_result_error_nomem(to);
}

/* The item at the reader; what cannot be read is NULL, the result when nothing is said. */
static void give_item(context *to, struct mp_reader *reader)
{
    enum mp_type type = MP_NIL;
    struct slice text;
    uint64_t natural;
    int64_t negative;
    double real;
    bool truth;
    if (mp_read_uint(reader, &natural) == STATUS_OK)
        give_uint(to, natural);
    else if (mp_read_text(reader, &text) == STATUS_OK)
        give_text(to, text);
    else if (mp_peek(reader, &type) != STATUS_OK)
        return;
    else if (type == MP_NEGATIVE && mp_read_int(reader, &negative) == STATUS_OK)
        sqlite3_result_int64(to, negative);
    else if (type == MP_FLOAT && mp_read_float(reader, &real) == STATUS_OK)
        sqlite3_result_double(to, real);
    else if (type == MP_BOOL && mp_read_bool(reader, &truth) == STATUS_OK)
        sqlite3_result_int(to, truth);
    else if (type == MP_MAP || type == MP_ARRAY)
        give_json(to, reader);
}

static void give_field(context *to, int count, sqlite3_value **arguments)
{
    (void)count;
    struct mp_reader value;
    const struct accepted_record *record = record_of(to);
    if (record != NULL &&
        event_field(record->event.data, argument_text(arguments[0]), &value) == STATUS_OK)
        give_item(to, &value);
}

static void give_data(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct accepted_record *record = record_of(to);
    if (record == NULL)
        return;
    struct mp_reader reader = mp_reader_of(record->event.data);
    give_json(to, &reader);
}

/* Attributes are a flat map of texts; a dot in a name is just a dot. */
static void give_attribute(context *to, int count, sqlite3_value **arguments)
{
    (void)count;
    const struct accepted_record *record = record_of(to);
    struct slice wanted = argument_text(arguments[0]), name, value;
    uint32_t pairs = 0;
    if (record == NULL || record->event.attributes.size == 0)
        return;
    struct mp_reader reader = mp_reader_of(record->event.attributes);
    if (mp_read_map(&reader, &pairs) != STATUS_OK)
        return;
    for (uint32_t i = 0; i < pairs; i++) {
        if (mp_read_text(&reader, &name) != STATUS_OK || mp_read_text(&reader, &value) != STATUS_OK)
            return;
        if (slice_equal(name, wanted)) {
            give_text(to, value);
            return;
        }
    }
}

/* A time in ns, as event_id and the like give it, in RFC 3339; NULL for anything else. */
static void give_time_text(context *to, int count, sqlite3_value **arguments)
{
    (void)count;
    char text[CLOCK_TEXT_BYTES];
    if (sqlite3_value_type(arguments[0]) != SQLITE_INTEGER || sqlite3_value_int64(arguments[0]) < 0)
        return;
    clock_format((uint64_t)sqlite3_value_int64(arguments[0]), text);
    sqlite3_result_text(to, text, -1, SQLITE_TRANSIENT);
}

/* --- what a default value could reach although the authorizer does not see it --- */

static void refuse(context *to, int count, sqlite3_value **arguments)
{
    (void)count, (void)arguments;
    const struct sql_engine *engine = sqlite3_user_data(to);
    (void)engine;
    sqlite3_result_error(to, "a function that gives something else in every process", -1);
}

static const char *const refused[] = {"random",        "randomblob",        "date",
                                      "time",          "datetime",          "julianday",
                                      "unixepoch",     "strftime",          "current_date",
                                      "current_time",  "current_timestamp", "changes",
                                      "total_changes", "last_insert_rowid"};

int sql_functions_install(struct sql_engine *engine)
{
    static const struct {
        const char *name;
        int arguments;
        void (*give)(context *, int, sqlite3_value **);
    } functions[] = {{"subject", 0, give_subject},
                     {"source", 0, give_source},
                     {"type", 0, give_type},
                     {"event_id", 0, give_event_id},
                     {"accepted_at", 0, give_accepted_at},
                     {"occurred_at", 0, give_occurred_at},
                     {"sequence", 0, give_sequence},
                     {"schema_version", 0, give_schema_version},
                     {"field", 1, give_field},
                     {"data", 0, give_data},
                     {"attribute", 1, give_attribute},
                     {"time_text", 1, give_time_text}};
    /* Not in schemas: everyday tools, which do not know them, could not read such tables. */
    const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && code == SQLITE_OK; i++)
        code = sqlite3_create_function_v2(engine->sqlite, functions[i].name, functions[i].arguments,
                                          flags, engine, functions[i].give, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof refused / sizeof *refused && code == SQLITE_OK; i++)
        code = sqlite3_create_function_v2(engine->sqlite, refused[i], -1, SQLITE_UTF8, engine,
                                          refuse, NULL, NULL, NULL);
    return code;
}
