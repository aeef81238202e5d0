/* sql_fixture: a view in SQL over an in-memory database, and events for it. */
#ifndef WEIR_TESTS_UNIT_PROJECTOR_SQL_FIXTURE_H
#define WEIR_TESTS_UNIT_PROJECTOR_SQL_FIXTURE_H

#include "tests/unit/projector/records.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "common/event/json.h"
#include "projector/sql/sql_version.h"

enum { SQL_RECORDS_MAX = 64, SQL_TEXT_BYTES_MAX = 1024 * 1024 };

struct sql_fixture {
    struct sqlite3 *sqlite;
    struct sql_engine *engine;
    struct sql_version *version;
    uint64_t event_id; /* of the last event made */
    struct detail detail;
    struct buffer text; /* scratch */
};

static inline void sql_begin(struct sql_fixture *f)
{
    *f = (struct sql_fixture){0};
    buffer_init(&f->text, SQL_TEXT_BYTES_MAX);
    assert_int_equal(sqlite3_open(":memory:", &f->sqlite), SQLITE_OK);
    assert_int_equal(sql_engine_new(f->sqlite, &f->engine, &f->detail), STATUS_OK);
}

static inline void sql_end(struct sql_fixture *f)
{
    sql_version_destroy(&f->version);
    sql_engine_destroy(&f->engine);
    buffer_fini(&f->text);
    assert_int_equal(sqlite3_close(f->sqlite), SQLITE_OK); /* no statement is left */
}

/* Makes a view named `v` of a text. */
static inline enum status sql_try(struct sql_fixture *f, const char *text)
{
    struct sql_file *file = NULL;
    f->detail.text[0] = '\0';
    enum status status = sql_file_read("v", slice_of_text(text), &file, &f->detail);
    if (status == STATUS_OK)
        status = sql_version_new(f->engine, file, "", NULL, &f->version, &f->detail);
    return status;
}

static inline void sql_load(struct sql_fixture *f, const char *text)
{
    if (sql_try(f, text) != STATUS_OK)
        fail_msg("%s", f->detail.text);
}

/* Reads `json` as an event's line. */
static inline void sql_append(struct sql_fixture *f, const char *json, struct buffer *records)
{
    struct buffer event;
    char source[EVENT_SOURCE_BYTES_MAX + 1];
    buffer_init(&event, EVENT_BYTES_MAX);
    if (json_read_event(slice_of_text(json), 77, &event, source, &f->detail) != STATUS_OK)
        fail_msg("%s", f->detail.text);
    f->event_id++;
    assert_int_equal(buffer_reserve(records, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event.size),
                     STATUS_OK);
    uint8_t *at = records->data + records->size;
    uint8_t *end = accepted_record_put(at, f->event_id, RECORD_TIME + f->event_id,
                                       slice_of_text(source[0] != '\0' ? source : "test"),
                                       f->event_id, buffer_slice(&event));
    records->size += (size_t)(end - at);
    buffer_fini(&event);
}

/* Applies events that are lines of JSON, NULL-terminated, in one call. */
static inline enum status sql_apply_all(struct sql_fixture *f, const char *const *lines)
{
    struct buffer bytes;
    struct accepted_record records[SQL_RECORDS_MAX];
    uint32_t count = 0;
    buffer_init(&bytes, RECORDS_BYTES_MAX);
    for (; lines[count] != NULL; count++)
        sql_append(f, lines[count], &bytes);
    struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(accepted_record_read(&reader, &records[i]), STATUS_OK);
    enum status status = sql_version_apply(f->version, records, count, &f->detail);
    buffer_fini(&bytes);
    return status;
}

static inline enum status sql_apply(struct sql_fixture *f, const char *line)
{
    const char *lines[] = {line, NULL};
    return sql_apply_all(f, lines);
}

static inline void sql_expect_applied(struct sql_fixture *f, const char *line)
{
    if (sql_apply(f, line) != STATUS_OK)
        fail_msg("%s", f->detail.text);
}

/* The rows as JSON; valid until the next call. */
static inline const char *sql_rows(struct sql_fixture *f)
{
    struct buffer rows;
    buffer_init(&rows, SQL_TEXT_BYTES_MAX);
    if (sql_version_write_rows(f->version, 0, 1000, &rows, &f->detail) != STATUS_OK)
        fail_msg("%s", f->detail.text);
    buffer_clear(&f->text);
    assert_int_equal(json_write_item(buffer_slice(&rows), &f->text), STATUS_OK);
    buffer_append(&f->text, "", 1);
    assert_int_equal(f->text.status, STATUS_OK);
    buffer_fini(&rows);
    return (const char *)f->text.data;
}

static inline void sql_expect_counted(struct sql_fixture *f)
{
    if (sql_version_check(f->version, &f->detail) != STATUS_OK)
        fail_msg("%s", f->detail.text);
}

#endif
