#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/event/json.h"
#include "common/event/upcast/upcast.h"

static enum status add_one(struct slice data, struct buffer *ret_data, struct detail *ret_detail)
{
    (void)ret_detail;
    struct mp_reader value;
    uint64_t n = 0;
    if (event_field(data, slice_of_text("n"), &value) != STATUS_OK ||
        mp_read_uint(&value, &n) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "n: missing");
    codec_map(ret_data, 1);
    codec_text(ret_data, "n");
    codec_uint(ret_data, n + 1);
    return ret_data->status;
}

static const struct upcast a1 = {"a_1", "a", 1, add_one}, a2 = {"a_2", "a", 2, add_one},
                           a3 = {"a_3", "a", 3, add_one}, again = {"again", "a", 2, add_one},
                           b2 = {"b_2", "b", 2, add_one}, zero = {"zero", "z", 0, add_one};

static void checks_for_gaps_and_doubles(void **unused)
{
    (void)unused;
    struct detail detail = {""};
    const struct upcast *const good[] = {&a3, &b2, &a1, &a2};
    const struct upcast *const gap[] = {&a1, &b2, &a3};
    const struct upcast *const doubled[] = {&a1, &a2, &again};
    const struct upcast *const nothing[] = {&zero};
    assert_int_equal(upcast_check(upcasts, upcast_count, &detail), STATUS_OK);
    assert_int_equal(upcast_check(good, 4, &detail), STATUS_OK);
    assert_int_equal(upcast_check(gap, 3, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "a_3"));
    assert_int_equal(upcast_check(doubled, 3, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "a_2"));
    assert_non_null(strstr(detail.text, "again"));
    assert_int_equal(upcast_check(nothing, 1, &detail), STATUS_CONFIG);
}

struct fixture {
    struct buffer bytes, scratch, text;
    struct event event;
};

static int set_up(void **state)
{
    static struct fixture f;
    buffer_init(&f.bytes, EVENT_BYTES_MAX);
    buffer_init(&f.scratch, 16 * UPCAST_DATA_BYTES_MAX);
    buffer_init(&f.text, EVENT_BYTES_MAX);
    assert_int_equal(buffer_reserve(&f.scratch, f.scratch.bytes_max), STATUS_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buffer_fini(&f->bytes);
    buffer_fini(&f->scratch);
    buffer_fini(&f->text);
    return 0;
}

static void read_line(struct fixture *f, const char *line)
{
    char source[EVENT_SOURCE_BYTES_MAX + 1];
    struct detail detail;
    buffer_clear(&f->bytes);
    buffer_clear(&f->scratch);
    if (json_read_event(slice_of_text(line), 1, &f->bytes, source, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(event_read_stored(&reader, &f->event), STATUS_OK);
}

static const char *data_text(struct fixture *f)
{
    buffer_clear(&f->text);
    assert_int_equal(json_write_item(f->event.data, &f->text), STATUS_OK);
    buffer_append(&f->text, "", 1);
    return (const char *)f->text.data;
}

static void leads_through_all_versions_and_leaves_others_alone(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    const struct upcast *const table[] = {&a3, &b2, &a1, &a2};
    read_line(f, "{\"type\":\"a\",\"data\":{\"n\":5}}");
    assert_int_equal(upcast_event_with(table, 4, &f->event, &f->scratch, &detail), STATUS_OK);
    assert_int_equal(f->event.schema_version, 4);
    assert_string_equal(data_text(f), "{\"n\":8}");
    assert_true(upcast_was(&f->event));
    f->event = upcast_original(&f->event);
    assert_string_equal(data_text(f), "{\"n\":5}");
    assert_int_equal(f->event.schema_version, 1);

    read_line(f, "{\"type\":\"b\",\"data\":{\"n\":5}}");
    assert_int_equal(upcast_event_with(table, 4, &f->event, &f->scratch, &detail), STATUS_OK);
    assert_false(upcast_was(&f->event));
    assert_int_equal(f->event.schema_version, 1);
}

static void leaves_an_event_that_is_not_as_it_should_be(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    const struct upcast *const table[] = {&a1};
    read_line(f, "{\"type\":\"a\",\"data\":{\"m\":5}}");
    assert_int_equal(upcast_event_with(table, 1, &f->event, &f->scratch, &detail), STATUS_INVALID);
    assert_non_null(strstr(detail.text, "n: missing"));
    assert_false(upcast_was(&f->event));
    assert_string_equal(data_text(f), "{\"m\":5}");
    assert_int_equal(f->scratch.size, 0);
}

static void an_order_gets_minor_units_and_a_currency(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"{\"amount\":49.99,\"currency\":\"EUR\"}", "{\"amount_minor\":4999,\"currency\":\"EUR\"}"},
        {"{\"amount\":7}", "{\"amount_minor\":700,\"currency\":\"XXX\"}"},
        {"{\"amount\":0.125,\"x\":1}", "{\"amount_minor\":13,\"x\":1,\"currency\":\"XXX\"}"},
        {"{\"amount\":1.115,\"currency\":\"EUR\"}", "{\"amount_minor\":111,\"currency\":\"EUR\"}"},
        {"{\"amount_minor\":5,\"currency\":\"EUR\"}", "{\"amount_minor\":5,\"currency\":\"EUR\"}"},
        {"{\"status\":\"confirmed\"}", "{\"status\":\"confirmed\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        struct detail detail;
        snprintf(line, sizeof line, "{\"type\":\"order.confirmed\",\"data\":%s}", cases[i][0]);
        read_line(f, line);
        assert_int_equal(upcast_event(&f->event, &f->scratch, &detail), STATUS_OK);
        assert_int_equal(f->event.schema_version, 2);
        assert_string_equal(data_text(f), cases[i][1]);
        assert_int_equal(upcast_was(&f->event), strcmp(cases[i][0], cases[i][1]) != 0);
    }
}

static void an_amount_that_is_none_stays(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[] = {"{\"amount\":\"5\"}", "{\"amount\":1e300}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        struct detail detail;
        snprintf(line, sizeof line, "{\"type\":\"order.confirmed\",\"data\":%s}", cases[i]);
        read_line(f, line);
        assert_int_equal(upcast_event(&f->event, &f->scratch, &detail), STATUS_INVALID);
        assert_int_equal(f->event.schema_version, 1);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_for_gaps_and_doubles),
        TEST(leads_through_all_versions_and_leaves_others_alone),
        TEST(leaves_an_event_that_is_not_as_it_should_be),
        TEST(an_order_gets_minor_units_and_a_currency),
        TEST(an_amount_that_is_none_stays),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
