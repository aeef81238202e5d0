#include "tests/unit/projector/records.h"

#include <stdio.h>

#include "projector/http/event_page.h"

enum { TEXT_BYTES_MAX = EVENT_PAGE_BYTES_MAX };

static const struct event_frame json = {.between = ","};
static const struct event_frame sse = {.between = "", .sse = true};

/* Events 1 … count: types a, b, a, …, subjects s-1, s-2, …; the third from source "other". */
static struct buffer accepted_records(uint64_t count)
{
    static const uint8_t none[] = {0x80};
    struct buffer records;
    buffer_init(&records, RECORDS_BYTES_MAX);
    for (uint64_t id = 1; id <= count; id++) {
        char subject[32];
        snprintf(subject, sizeof subject, "s-%ju", (uintmax_t)id);
        struct record_event event = {id % 2 == 1 ? "order.a" : "order.b", subject, {none, 1}};
        append_accepted(&records, id, id == 3 ? "other" : "shop", &event);
    }
    return records;
}

static struct event_page page_of(enum stream stream)
{
    return (struct event_page){
        .stream = stream, .filter = {"", "", "", UINT64_MAX}, .limit = UINT64_MAX, .next_id = 1};
}

/* The text of a page over all of `records`, which end with it; valid until the next call. */
static const char *added(struct event_page *page, const struct event_frame *frame,
                         struct buffer records, uint64_t count)
{
    static char text[64 * 1024];
    struct buffer buffer;
    buffer_init(&buffer, TEXT_BYTES_MAX);
    assert_int_equal(records.status, STATUS_OK);
    assert_int_equal(event_page_add(page, frame, buffer_slice(&records), count, &buffer),
                     STATUS_OK);
    snprintf(text, sizeof text, "%.*s", (int)buffer.size, (const char *)buffer.data);
    buffer_fini(&buffer);
    buffer_fini(&records);
    return text;
}

/* The ids of the events in the text, such as "1 3". */
static const char *ids_in(const char *text)
{
    static char ids[256];
    static const char member[] = "\"eventid\":\"";
    size_t size = 0;
    ids[0] = '\0';
    for (const char *at = strstr(text, member); at != NULL; at = strstr(at + 1, member))
        size +=
            (size_t)snprintf(ids + size, sizeof ids - size, "%s%.*s", size > 0 ? " " : "",
                             (int)strcspn(at + sizeof member - 1, "\""), at + sizeof member - 1);
    return ids;
}

static void all_events_are_shown_with_what_stands_between_them(void **state)
{
    (void)state;
    struct event_page page = page_of(STREAM_ACCEPTED);
    const char *text = added(&page, &json, accepted_records(2), 2);
    assert_string_equal(ids_in(text), "1 2");
    assert_non_null(strstr(text, "},{"));
    assert_non_null(strstr(text, "\"type\":\"order.b\""));
    assert_int_equal(page.count, 2);
    assert_int_equal(page.next_id, 3);
    assert_false(page.full);
}

static void a_filter_lets_through_what_fits_all_of_it(void **state)
{
    (void)state;
    static const struct {
        struct event_filter filter;
        const char *ids;
    } cases[] = {
        {{"order.a", "", "", UINT64_MAX}, "1 3 5"},
        {{"order.?", "", "", 4}, "1 2 3"},
        {{"", "s-4", "", UINT64_MAX}, "4"},
        {{"", "", "other", UINT64_MAX}, "3"},
        {{"*.b", "s-4", "shop", UINT64_MAX}, "4"},
        {{"*.a", "s-4", "shop", UINT64_MAX}, ""},
        {{"order", "", "", UINT64_MAX}, ""},
        {{"", "s-", "", UINT64_MAX}, ""},
        {{"", "", "", 1}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct event_page page = page_of(STREAM_ACCEPTED);
        page.filter = cases[i].filter;
        const char *ids = ids_in(added(&page, &json, accepted_records(5), 5));
        if (strcmp(ids, cases[i].ids) != 0)
            fail_msg("case %zu: %s", i, ids);
    }
}

static void a_page_ends_at_its_limit_and_goes_on_behind_it(void **state)
{
    (void)state;
    struct event_page page = page_of(STREAM_ACCEPTED);
    page.limit = 2;
    page.filter.type = "order.a";
    assert_string_equal(ids_in(added(&page, &json, accepted_records(5), 5)), "1 3");
    assert_true(page.full);
    assert_int_equal(page.next_id, 4);
    page = page_of(STREAM_ACCEPTED);
    page.filter.end_id = 3;
    assert_string_equal(ids_in(added(&page, &json, accepted_records(5), 5)), "1 2");
    assert_true(page.full);
    assert_int_equal(page.next_id, 3);
}

static void a_page_ends_before_it_is_too_large(void **state)
{
    (void)state;
    enum { BYTES = 60000, EVENTS = 40 };
    struct buffer data, records, text;
    struct event_page page = page_of(STREAM_ACCEPTED);
    char letters[BYTES + 1];
    memset(letters, 'x', BYTES);
    letters[BYTES] = '\0';
    buffer_init(&data, EVENT_BYTES_MAX);
    buffer_init(&records, RECORDS_BYTES_MAX);
    buffer_init(&text, TEXT_BYTES_MAX);
    codec_map(&data, 1);
    codec_text(&data, "x");
    codec_text(&data, letters);
    struct record_event event = {"t", "s", buffer_slice(&data)};
    for (uint64_t id = 1; id <= EVENTS; id++)
        append_accepted(&records, id, "a", &event);
    uint64_t rounds = 0;
    while (!page.full) { /* the same bytes again: only their number counts */
        assert_int_equal(event_page_add(&page, &json, buffer_slice(&records), EVENTS, &text),
                         STATUS_OK);
        assert_true(++rounds < 10);
    }
    assert_true(text.size >= EVENT_PAGE_BYTES_MAX / 2 && text.size < EVENT_PAGE_BYTES_MAX);
    assert_int_equal(page.next_id, page.count + 1);
    buffer_fini(&data);
    buffer_fini(&records);
    buffer_fini(&text);
}

static void a_stream_frames_each_event_with_its_id(void **state)
{
    (void)state;
    struct event_page page = page_of(STREAM_ACCEPTED);
    page.filter.subject = "s-2";
    const char *text = added(&page, &sse, accepted_records(3), 3);
    assert_int_equal(strncmp(text, "id: 2\nevent: accepted\ndata: {", 29), 0);
    assert_string_equal(text + strlen(text) - 3, "}\n\n");
    assert_null(strstr(text, "id: 1"));
}

static void an_event_of_an_old_version_is_shown_as_the_newest(void **state)
{
    (void)state;
    struct buffer data, records;
    struct event_page page = page_of(STREAM_ACCEPTED);
    buffer_init(&data, 64);
    buffer_init(&records, RECORDS_BYTES_MAX);
    codec_map(&data, 2);
    codec_text(&data, "amount");
    codec_float(&data, 49.99);
    codec_text(&data, "currency");
    codec_text(&data, "EUR");
    struct record_event event = {"order.confirmed", "o", buffer_slice(&data)};
    append_accepted(&records, 1, "shop", &event);
    buffer_fini(&data);
    const char *text = added(&page, &json, records, 1);
    assert_non_null(strstr(text, "\"amount_minor\":4999"));
    assert_non_null(strstr(text, "\"schemaversion\":2"));
}

static void a_refusal_is_the_refused_event_and_why(void **state)
{
    (void)state;
    static const uint8_t raw[] = {0xc1, 0x00};
    static const uint8_t event[] = "\x95\x07\xa7order.a\xa1s\x01\x81\xa1n\x02";
    struct buffer records;
    struct event_page page = page_of(STREAM_REJECTED);
    struct rejection whole = {.rejection_id = 1,
                              .rejected_at_ns = 5000000000,
                              .after_event_id = 7,
                              .reason = REASON_RATE_LIMITED,
                              .source = slice_of_text("shop"),
                              .has_sequence = true,
                              .sequence = 9,
                              .count = 1,
                              .type = slice_of_text("order.a"),
                              .subject = slice_of_text("s"),
                              .policy = slice_of_text("p"),
                              .retry_after_ns = 1500,
                              .evidence = {event, sizeof event - 1},
                              .evidence_is_event = true};
    struct rejection bare = {.rejection_id = 2,
                             .reason = REASON_MALFORMED,
                             .count = 1,
                             .retry_after_ns = RECORD_NEVER,
                             .evidence = {raw, sizeof raw}};
    buffer_init(&records, RECORDS_BYTES_MAX);
    rejection_write(&records, &whole);
    rejection_write(&records, &bare);
    const char *text = added(&page, &json, records, 2);
    assert_string_equal(
        text,
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"shop\",\"type\":\"order.a\","
        "\"subject\":\"s\",\"time\":\"1970-01-01T00:00:00.000000007Z\",\"schemaversion\":1,"
        "\"data\":{\"n\":2},\"rejectionid\":\"1\","
        "\"rejectedat\":\"1970-01-01T00:00:05.000000000Z\",\"aftereventid\":\"7\","
        "\"reason\":\"rate_limited\",\"sequence\":\"00000000000000000009\",\"count\":\"1\","
        "\"policy\":\"p\",\"retryafter\":\"1500\"},"
        "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"weir\",\"type\":\"weir.rejected\","
        "\"subject\":\"-\",\"time\":\"1970-01-01T00:00:00.000000000Z\",\"rejectionid\":\"2\","
        "\"rejectedat\":\"1970-01-01T00:00:00.000000000Z\",\"aftereventid\":\"0\","
        "\"reason\":\"malformed\",\"count\":\"1\",\"evidence\":\"c100\"}");
}

static void bytes_that_are_no_records_are_refused(void **state)
{
    (void)state;
    struct buffer records = accepted_records(2), text;
    buffer_init(&text, TEXT_BYTES_MAX);
    for (size_t size = 0; size < records.size; size++) {
        struct event_page page = page_of(STREAM_ACCEPTED);
        assert_int_not_equal(
            event_page_add(&page, &json, (struct slice){records.data, size}, 2, &text), STATUS_OK);
        buffer_clear(&text);
    }
    struct event_page page = page_of(STREAM_REJECTED);
    assert_int_not_equal(event_page_add(&page, &json, buffer_slice(&records), 1, &text), STATUS_OK);
    buffer_fini(&text);
    buffer_fini(&records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_events_are_shown_with_what_stands_between_them),
        cmocka_unit_test(a_filter_lets_through_what_fits_all_of_it),
        cmocka_unit_test(a_page_ends_at_its_limit_and_goes_on_behind_it),
        cmocka_unit_test(a_page_ends_before_it_is_too_large),
        cmocka_unit_test(a_stream_frames_each_event_with_its_id),
        cmocka_unit_test(an_event_of_an_old_version_is_shown_as_the_newest),
        cmocka_unit_test(a_refusal_is_the_refused_event_and_why),
        cmocka_unit_test(bytes_that_are_no_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
