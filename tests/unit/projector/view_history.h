/* view_history: events for one view, a naive list of the rows that they should give, and the
 * comparison of both. */
#ifndef WEIR_TESTS_UNIT_PROJECTOR_VIEW_HISTORY_H
#define WEIR_TESTS_UNIT_PROJECTOR_VIEW_HISTORY_H

#include "tests/unit/projector/records.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/seed.h"

enum {
    HISTORY_TEXT_MAX = 160,
    HISTORY_ROWS_MAX = 100,
    HISTORY_DATA_BYTES_MAX = 1024,
    HISTORY_ROUNDS = 100, /* of a random test */
};

/* A row of any of the views with one text as its key. */
struct naive_row {
    char key[HISTORY_TEXT_MAX];
    uint64_t number;
    char text[HISTORY_TEXT_MAX];
};

struct view_history {
    struct fold *fold;
    struct buffer records, data; /* not applied yet; of the event being made */
    uint64_t event_id, applied_id;
    struct naive_row rows[HISTORY_ROWS_MAX];
    uint32_t row_count;
};

/* Writes the map of one row. */
typedef void write_row_fn(struct buffer *buffer, const struct naive_row *row);

static inline void history_begin(struct view_history *history, const char *view)
{
    *history = (struct view_history){.fold = fold_of_views(view, "")};
    assert_int_equal(fold_view_count(history->fold), 1);
    buffer_init(&history->records, RECORDS_BYTES_MAX);
    buffer_init(&history->data, HISTORY_DATA_BYTES_MAX);
}

static inline void history_end(struct view_history *history)
{
    fold_destroy(&history->fold);
    buffer_fini(&history->records);
    buffer_fini(&history->data);
}

/* An event whose data is what the test has written into history->data. */
static inline void history_add(struct view_history *history, const char *type, const char *subject)
{
    struct record_event event = {type, subject, buffer_slice(&history->data)};
    assert_int_equal(history->data.status, STATUS_OK);
    append_accepted(&history->records, ++history->event_id, "test", &event);
    buffer_clear(&history->data);
}

static inline void history_add_empty(struct view_history *history, const char *type,
                                     const char *subject)
{
    codec_map(&history->data, 0);
    history_add(history, type, subject);
}

static inline void history_apply(struct view_history *history)
{
    uint64_t count = history->event_id - history->applied_id;
    if (count == 0)
        return;
    expect_applied(history->fold, STREAM_ACCEPTED, &history->records, count);
    history->applied_id = history->event_id;
    buffer_clear(&history->records);
}

/* The row with this key, found by looking at each; a new one begins with 0 and "". */
static inline struct naive_row *naive_row_at(struct view_history *history, const char *key)
{
    for (uint32_t i = 0; i < history->row_count; i++)
        if (strcmp(history->rows[i].key, key) == 0)
            return &history->rows[i];
    assert_true(history->row_count < HISTORY_ROWS_MAX);
    struct naive_row *row = &history->rows[history->row_count++];
    snprintf(row->key, sizeof row->key, "%s", key);
    return row;
}

static inline int compare_naive_rows(const void *left, const void *right)
{
    const struct naive_row *a = left, *b = right;
    return strcmp(a->key, b->key);
}

/* Applies what was added; the view then has the naive rows, in their order and no others. */
static inline void history_expect(struct view_history *history, write_row_fn *write_row)
{
    struct buffer expected, found;
    buffer_init(&expected, RECORDS_BYTES_MAX);
    buffer_init(&found, RECORDS_BYTES_MAX);
    history_apply(history);
    qsort(history->rows, history->row_count, sizeof history->rows[0], compare_naive_rows);
    for (uint32_t i = 0; i < history->row_count; i++)
        write_row(&expected, &history->rows[i]);
    struct rows *rows = fold_view_rows(history->fold, 0);
    assert_int_equal(rows_sort(rows), STATUS_OK);
    assert_int_equal(rows_count(rows), history->row_count);
    for (uint32_t i = 0; i < rows_count(rows); i++)
        rows_write(rows, i, &found);
    assert_int_equal(expected.status, STATUS_OK);
    assert_int_equal(found.status, STATUS_OK);
    assert_int_equal(found.size, expected.size);
    if (found.size > 0)
        assert_memory_equal(found.data, expected.data, found.size);
    buffer_fini(&expected);
    buffer_fini(&found);
}

#endif
