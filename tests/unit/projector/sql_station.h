/* sql_station: the views in SQL of a projector over a database of the test's own, fed by a log of
 * events whose types are letters. */
#ifndef WEIR_TESTS_UNIT_PROJECTOR_SQL_STATION_H
#define WEIR_TESTS_UNIT_PROJECTOR_SQL_STATION_H

#include "tests/unit/projector/store_fixture.h"

#include "common/event/codec.h"
#include "common/event/json.h"
#include "projector/core/answer.h"
#include "projector/sql_views.h"
#include "tests/unit/projector/records.h"

enum { TEXT_BYTES_MAX = 64 * 1024 };

struct station {
    struct store *store;
    struct sql_views *views;
    struct log_id log_id;
    uint64_t event_id; /* of the log */
    uint64_t since;    /* that the views begin with; 0: the first */
    char types[64];    /* types[i]: the letter that is the type of event i + 1 */
    struct control_request asked;
    char text[TEXT_BYTES_MAX];
};

static inline enum status try_open(struct station *s, struct detail *ret_detail)
{
    s->store = store_of_test();
    struct sql_views_options options = {
        .store = s->store, .log_id = s->log_id, .last_event_id = s->event_id, .since = s->since};
    return sql_views_open(&options, &s->views, ret_detail);
}

static inline void open_views(struct station *s)
{
    struct detail detail = {.text = ""};
    if (try_open(s, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
}

static inline void close_views(struct station *s)
{
    sql_views_close(&s->views);
    store_close(&s->store);
}

static inline void reopen(struct station *s)
{
    close_views(s);
    open_views(s);
}

static inline void commit(struct station *s)
{
    struct detail detail = {.text = ""};
    assert_int_equal(store_begin(s->store, &detail), STATUS_OK);
    if (sql_views_write(s->views, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    assert_int_equal(store_commit(s->store, &detail), STATUS_OK);
    sql_views_committed(s->views);
    assert_false(sql_views_have_news(s->views));
}

static inline void offer(struct station *s, const char *name, const char *text)
{
    sql_views_offer(s->views, name, slice_of_text(text));
}

/* Feeds the events from `from` to `to` as they are in the log. */
static inline void feed(struct station *s, uint64_t from, uint64_t to)
{
    struct buffer bytes, data;
    struct accepted_record records[64];
    buffer_init(&bytes, RECORDS_BYTES_MAX);
    buffer_init(&data, 16);
    codec_map(&data, 0);
    for (uint64_t id = from; id <= to; id++) {
        char type[] = {s->types[id - 1], '\0'};
        struct record_event event = {type, "subject", buffer_slice(&data)};
        append_accepted(&bytes, id, "test", &event);
    }
    struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
    for (uint64_t id = from; id <= to; id++)
        assert_int_equal(accepted_record_read(&reader, &records[id - from]), STATUS_OK);
    sql_views_apply(s->views, records, (uint32_t)(to + 1 - from));
    buffer_fini(&bytes);
    buffer_fini(&data);
}

/* New events of the log, one letter each, fed in one piece. */
static inline void live(struct station *s, const char *letters)
{
    uint64_t from = s->event_id + 1;
    for (; *letters != '\0'; letters++)
        s->types[s->event_id++] = *letters;
    feed(s, from, s->event_id);
}

/* Feeds what is missing, as a replay would. */
static inline void catch_up(struct station *s)
{
    for (int i = 0; i < 10; i++) {
        uint64_t from = sql_views_behind(s->views, s->event_id);
        if (from == 0)
            return;
        feed(s, from, s->event_id);
    }
    fail_msg("it does not catch up");
}

/* The reply to the view as JSON. */
static inline const char *reply_of(struct station *s, const char *name)
{
    struct buffer reply, text;
    struct fold_position position = {s->event_id, 7, RECORD_TIME + s->event_id};
    uint32_t view = sql_views_find(s->views, slice_of_text(name));
    assert_int_not_equal(view, sql_views_count(s->views));
    buffer_init(&reply, ANSWER_BYTES_MAX);
    buffer_init(&text, TEXT_BYTES_MAX);
    sql_views_answer(s->views, view, &s->asked, &position, &reply);
    assert_int_equal(json_write_item(buffer_slice(&reply), &text), STATUS_OK);
    snprintf(s->text, sizeof s->text, "%.*s", (int)text.size, (const char *)text.data);
    buffer_fini(&reply);
    buffer_fini(&text);
    return s->text;
}

static inline void expect_in_reply(struct station *s, const char *name, const char *part)
{
    if (strstr(reply_of(s, name), part) == NULL)
        fail_msg("%s is not in %s", part, s->text);
}

static inline void expect_not_in_reply(struct station *s, const char *name, const char *part)
{
    if (strstr(reply_of(s, name), part) != NULL)
        fail_msg("%s is in %s", part, s->text);
}

/* What a tool reads: how many tables there are with names like that. */
static inline int tables_like(struct station *s, const char *pattern)
{
    char command[512];
    snprintf(command, sizeof command,
             "test \"$(sqlite3 -readonly '%s' \"select count(*) from sqlite_master "
             "where type='table' and name glob '%s'\")\" -gt 0",
             store_path(s->store), pattern);
    return system(command) == 0;
}

#endif
