#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/event/codec.h"
#include "common/event/json.h"
#include "tests/lib/seed.h"

enum { NOW_NS = 7, EVENT_ROOM_BYTES = 2 * 1024 * 1024, TEXT_ROOM_BYTES = 8 * 1024 * 1024 };

static struct buffer event_bytes;
static struct buffer text;
static char source[EVENT_SOURCE_BYTES_MAX + 1];

static int init(void **state)
{
    (void)state;
    buffer_init(&event_bytes, EVENT_ROOM_BYTES);
    buffer_init(&text, TEXT_ROOM_BYTES);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    buffer_fini(&event_bytes);
    buffer_fini(&text);
    return 0;
}

static struct event read_line(const char *line)
{
    struct detail detail = {""};
    buffer_clear(&event_bytes);
    enum status status =
        json_read_event(slice_of_text(line), NOW_NS, &event_bytes, source, &detail);
    assert_string_equal(detail.text, "");
    assert_int_equal(status, STATUS_OK);

    struct mp_reader reader = mp_reader_of(buffer_slice(&event_bytes));
    struct event event;
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    assert_true(mp_at_end(&reader));
    return event;
}

static void assert_bytes(struct slice slice, const char *bytes, size_t size)
{
    assert_int_equal(slice.size, size);
    assert_memory_equal(slice.data, bytes, size);
}

#define BYTES(slice, literal) assert_bytes(slice, literal, sizeof(literal) - 1)

static void reads_a_whole_cloud_event(void **state)
{
    (void)state;
    struct event event = read_line(
        "{\"specversion\":\"1.0\",\"id\":\"A-7\",\"source\":\"/shop/1\",\"type\":\"order.created\","
        "\"subject\":\"order-001\",\"time\":\"2026-01-02T03:04:05.000000006Z\","
        "\"schemaversion\":3,\"traceparent\":\"00-ab\",\"data\":{\"status\":\"pending\"}}");

    assert_string_equal(source, "/shop/1");
    assert_true(slice_equal_text(event.type, "order.created"));
    assert_true(slice_equal_text(event.subject, "order-001"));
    assert_true(event.occurred_at_ns == 1767323045000000006);
    assert_int_equal(event.schema_version, 3);
    BYTES(event.data, "\x81\xa6status\xa7pending");
    BYTES(event.attributes, "\x82\xa2id\xa3"
                            "A-7\xabtraceparent\xa5"
                            "00-ab");
}

static void fills_in_what_a_line_leaves_out(void **state)
{
    (void)state;
    struct event event = read_line("{\"type\":\"t\"}");

    BYTES(event.raw, "\x95\x07\xa1t\xa1-\x01\x80");
    assert_string_equal(source, "");
}

static void null_is_as_if_it_were_not_there(void **state)
{
    (void)state;
    struct event event = read_line("{\"type\":\"t\",\"subject\":null,\"time\":null,\"data\":null,"
                                   "\"schemaversion\":null,\"source\":null,\"id\":null}");

    BYTES(event.raw, "\x95\x07\xa1t\xa1-\x01\x80");
}

static void every_kind_of_value_keeps_its_type_in_data(void **state)
{
    (void)state;
    struct event event = read_line(
        "{\"type\":\"t\",\"data\":{\"a\":1,\"b\":-9223372036854775808,\"c\":1.0,\"d\":true,"
        "\"e\":false,\"f\":null,\"g\":[1,[]],\"h\":{\"i\":\"\\u0000\\u00e9\"}}}");

    BYTES(event.data, "\x88\xa1"
                      "a\x01\xa1"
                      "b\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xa1"
                      "c\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xa1"
                      "d\xc3\xa1"
                      "e\xc2\xa1"
                      "f\xc0\xa1g\x92\x01\x90\xa1h\x81\xa1i\xa3\x00\xc3\xa9");
}

static void extensions_become_attributes_as_text(void **state)
{
    (void)state;
    struct event event =
        read_line("{\"type\":\"t\",\"tenant\":\"a\",\"n\":-5,\"x\":0.5,\"ok\":true,\"no\":false}");

    BYTES(event.attributes, "\x85\xa6tenant\xa1"
                            "a\xa1n\xa2-5\xa1x\xa3"
                            "0.5\xa2ok\xa4true\xa2no\xa5"
                            "false");
}

static void what_another_log_gave_is_left_out(void **state)
{
    (void)state;
    struct event event = read_line("{\"type\":\"t\",\"sequence\":\"00000000000000000009\","
                                   "\"eventid\":\"12\",\"acceptedat\":\"2026-01-02T03:04:05Z\"}");

    assert_int_equal(event.attributes.size, 0);
}

static void says_which_member_or_column_is_wrong(void **state)
{
    (void)state;
    const struct {
        const char *line;
        const char *text;
    } cases[] = {
        {"", "line: empty"},
        {"[]", "line: not a JSON object"},
        {"{\"type\":\"t\"", "column 11: '}' expected near end of file"},
        {"{\"type\":\"t\"} x", "column 14: end of file expected near 'x'"},
        {"{\"type\":\"t\",\"type\":\"u\"}", "column 18: duplicate object key near '\"type\"'"},
        {"{}", "type: is missing"},
        {"{\"type\":5}", "type: must be a string"},
        {"{\"type\":\"T\"}", "type: byte 0x54 at 3 is outside [a-z0-9_.-]"},
        {"{\"type\":\"weir.x\"}", "type: begins with 'weir', which is reserved"},
        {"{\"type\":\"t\",\"specversion\":\"0.3\"}", "specversion: must be \"1.0\""},
        {"{\"type\":\"t\",\"specversion\":1.0}", "specversion: must be a string"},
        {"{\"type\":\"t\",\"subject\":\"\"}", "subject: 0 bytes, not 1 to 128"},
        {"{\"type\":\"t\",\"subject\":5}", "subject: must be a string"},
        {"{\"type\":\"t\",\"source\":\"a b\"}", "source: byte 0x20 at 1 is outside [!-~]"},
        {"{\"type\":\"t\",\"source\":\"\"}", "source: 0 bytes, not 1 to 128"},
        {"{\"type\":\"t\",\"source\":7}", "source: must be a string"},
        {"{\"type\":\"t\",\"time\":\"yesterday\"}",
         "time: must be an RFC 3339 time with a zone, from 1970 to 2262"},
        {"{\"type\":\"t\",\"time\":\"2026-01-02T03:04:05Z\\u0000\"}",
         "time: must be an RFC 3339 time with a zone, from 1970 to 2262"},
        {"{\"type\":\"t\",\"time\":5}", "time: must be a string"},
        {"{\"type\":\"t\",\"time\":\"2400-01-01T00:00:00Z\"}",
         "occurred_at: not an integer from 0 to 2^63 - 1, at byte 1"},
        {"{\"type\":\"t\",\"schemaversion\":\"1\"}", "schemaversion: must be an integer"},
        {"{\"type\":\"t\",\"schemaversion\":0}",
         "schema_version: not an integer from 1 to 65535, at byte 6"},
        {"{\"type\":\"t\",\"data\":[]}", "data: must be an object"},
        {"{\"type\":\"t\",\"data\":\"x\"}", "data: must be an object"},
        {"{\"type\":\"t\",\"data_base64\":\"eA==\"}",
         "data_base64: is not supported: use data with an object"},
        {"{\"type\":\"t\",\"ext\":{}}", "ext: must be a string, a number or a boolean"},
        {"{\"type\":\"t\",\"data\":{\"a\":[[[[[[[[]]]]]]]]}}", "data: nested deeper than 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct detail detail = {""};
        buffer_clear(&event_bytes);
        buffer_append_text(&event_bytes, "kept");
        memcpy(source, "kept", 5);
        enum status status =
            json_read_event(slice_of_text(cases[i].line), NOW_NS, &event_bytes, source, &detail);
        assert_string_equal(detail.text, cases[i].text);
        assert_int_equal(status, STATUS_BAD_INPUT);
        assert_true(slice_equal_text(buffer_slice(&event_bytes), "kept"));
        assert_string_equal(source, "kept");
    }
}

static void refuses_a_line_or_an_event_that_is_too_large(void **state)
{
    (void)state;
    static char line[JSON_LINE_BYTES_MAX + 2];
    struct detail detail;
    memset(line, ' ', sizeof line - 1);
    memcpy(line, "{\"type\":\"t\"}", 12);
    buffer_clear(&event_bytes);
    assert_int_equal(json_read_event(slice_of_text(line), NOW_NS, &event_bytes, source, &detail),
                     STATUS_BAD_INPUT);
    assert_string_equal(detail.text, "line: 1048577 bytes, more than 1048576");
    line[JSON_LINE_BYTES_MAX] = '\0';
    assert_int_equal(json_read_event(slice_of_text(line), NOW_NS, &event_bytes, source, &detail),
                     STATUS_OK);

    memset(line, 'x', 70000);
    memcpy(line, "{\"type\":\"t\",\"data\":{\"a\":\"", 25);
    memcpy(line + 70000, "\"}}", 4);
    assert_int_equal(json_read_event(slice_of_text(line), NOW_NS, &event_bytes, source, &detail),
                     STATUS_BAD_INPUT);
    assert_string_equal(detail.text, "event: 69990 bytes, more than 65536");
}

static void tells_when_the_buffer_is_full(void **state)
{
    (void)state;
    struct buffer small;
    struct detail detail;
    buffer_init(&small, 6);

    assert_int_equal(
        json_read_event(slice_of_text("{\"type\":\"t\"}"), NOW_NS, &small, source, &detail),
        STATUS_FULL);
    assert_int_equal(small.size, 0);
    buffer_fini(&small);
}

static const char *item_text(struct slice item)
{
    buffer_clear(&text);
    assert_int_equal(json_write_item(item, &text), STATUS_OK);
    buffer_append(&text, "", 1);
    return (const char *)text.data;
}

#define ITEM_TEXT(literal)                                                                         \
    item_text((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static void writes_every_type_of_item(void **state)
{
    (void)state;
    assert_string_equal(ITEM_TEXT("\xc0"), "null");
    assert_string_equal(ITEM_TEXT("\x92\xc2\xc3"), "[false,true]");
    assert_string_equal(ITEM_TEXT("\x93\x00\x05\xff"), "[0,5,-1]");
    assert_string_equal(ITEM_TEXT("\xcf\x00\x20\x00\x00\x00\x00\x00\x00"), "9007199254740992");
    assert_string_equal(ITEM_TEXT("\xcf\x00\x20\x00\x00\x00\x00\x00\x01"), "\"9007199254740993\"");
    assert_string_equal(ITEM_TEXT("\xd3\xff\xe0\x00\x00\x00\x00\x00\x00"), "-9007199254740992");
    assert_string_equal(ITEM_TEXT("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
                        "\"-9223372036854775808\"");
    assert_string_equal(ITEM_TEXT("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), "1.0");
    assert_string_equal(ITEM_TEXT("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1");
    assert_string_equal(ITEM_TEXT("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c"), "1e+300");
    assert_string_equal(ITEM_TEXT("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "null");
    assert_string_equal(ITEM_TEXT("\xa6\"\\\n\x01\xc3\xa9"), "\"\\\"\\\\\\u000a\\u0001\xc3\xa9\"");
    assert_string_equal(ITEM_TEXT("\xa2\xff\x61"), "\"\xef\xbf\xbd"
                                                   "a\"");
    assert_string_equal(ITEM_TEXT("\xc4\x02\x0f\xa0"), "\"0fa0\"");
    assert_string_equal(ITEM_TEXT("\xd4\x01\x02"), "\"d40102\"");
    assert_string_equal(ITEM_TEXT("\x80"), "{}");
    assert_string_equal(ITEM_TEXT("\x82\xa1"
                                  "a\x91\x01\xa1"
                                  "b\x80"),
                        "{\"a\":[1],\"b\":{}}");
    assert_string_equal(ITEM_TEXT("\x83\x05\x01\xff\x02\xc0\x03"), "{\"5\":1,\"-1\":2,\"c0\":3}");
}

/* Whoever reads a line again must have the integers that were stored, not texts of their digits. */
static void integers_in_data_and_keys_are_numbers_as_far_as_they_can_be_read_again(void **state)
{
    (void)state;
    static const char line[] =
        "{\"type\":\"t\",\"data\":{\"a\":[9007199254740993,9223372036854775807],"
        "\"b\":{\"c\":-9223372036854775808}}}";
    struct event event = read_line(line);
    buffer_clear(&text);

    assert_int_equal(json_write_accepted(1, 2, slice_of_text("s"), 3, &event, &text), STATUS_OK);

    buffer_append(&text, "", 1);
    assert_non_null(strstr((const char *)text.data, strstr(line, "\"data\":")));
    buffer_clear(&text);
    assert_int_equal(
        json_write_data((struct slice){(const uint8_t *)"\xcf\x80\0\0\0\0\0\0\0", 9}, &text),
        STATUS_OK);
    buffer_append(&text, "", 1);
    assert_string_equal((const char *)text.data, "\"9223372036854775808\"");
    buffer_clear(&text);
    struct json_rejection rejection = {.reason = REASON_RATE_LIMITED,
                                       .key = {(const uint8_t *)"\xcf\x7f\0\0\0\0\0\0\x01", 9}};
    assert_int_equal(json_write_rejected(&rejection, &text), STATUS_OK);
    buffer_append(&text, "", 1);
    assert_non_null(strstr((const char *)text.data, "\"key\":9151314442816847873"));
}

static void a_byte_order_mark_before_a_line_is_passed_over(void **state)
{
    (void)state;
    struct event event = read_line("\xef\xbb\xbf{\"type\":\"t\"}");
    assert_int_equal(event.type.size, 1);
}

static void malformed_bytes_and_a_full_buffer_are_told(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 5);

    assert_int_equal(json_write_item(slice_of_text("\x92\x01"), &small), STATUS_MALFORMED);
    assert_int_equal(json_write_item((struct slice){NULL, 0}, &small), STATUS_MALFORMED);
    assert_int_equal(json_write_item(slice_of_text("\xa5hello"), &small), STATUS_FULL);
    buffer_fini(&small);
}

static void writes_an_accepted_event_as_a_cloud_event(void **state)
{
    (void)state;
    struct event event = read_line(
        "{\"id\":\"A-7\",\"type\":\"order.created\",\"subject\":\"o\",\"schemaversion\":2,"
        "\"tenant\":\"x\",\"time\":\"2026-01-02T03:04:05Z\",\"data\":{\"n\":1}}");
    buffer_clear(&text);

    assert_int_equal(
        json_write_accepted(12, 1767323046000000000, slice_of_text("/shop"), 34, &event, &text),
        STATUS_OK);

    buffer_append(&text, "", 1);
    assert_string_equal(
        (const char *)text.data,
        "{\"specversion\":\"1.0\",\"id\":\"A-7\",\"source\":\"/shop\",\"type\":\"order.created\","
        "\"subject\":\"o\",\"time\":\"2026-01-02T03:04:05.000000000Z\",\"schemaversion\":2,"
        "\"sequence\":\"00000000000000000034\",\"eventid\":\"12\","
        "\"acceptedat\":\"2026-01-02T03:04:06.000000000Z\",\"tenant\":\"x\",\"data\":{\"n\":1}}");
}

static void the_event_id_stands_in_for_a_missing_id(void **state)
{
    (void)state;
    struct event event = read_line("{\"type\":\"t\"}");
    buffer_clear(&text);

    assert_int_equal(json_write_accepted(UINT64_MAX, 0, slice_of_text("s"), 0, &event, &text),
                     STATUS_OK);

    buffer_append(&text, "", 1);
    assert_non_null(strstr((const char *)text.data, "\"id\":\"18446744073709551615\""));
    assert_non_null(strstr((const char *)text.data, "\"sequence\":\"00000000000000000000\""));
}

static void a_written_line_reads_back_as_the_same_event(void **state)
{
    (void)state;
    struct event event =
        read_line("{\"id\":\"A-7\",\"type\":\"t\",\"subject\":\"\xc3\xa9\\\"\",\"tenant\":\"x\","
                  "\"time\":\"2026-01-02T03:04:05.123456789Z\",\"schemaversion\":9,"
                  "\"data\":{\"a\":[1,2.5,\"\\u0000\\n\",{\"b\":null}],\"c\":-7}}");
    struct buffer before;
    buffer_init(&before, 1000);
    buffer_append(&before, event.raw.data, event.raw.size);
    buffer_clear(&text);
    assert_int_equal(json_write_accepted(1, 2, slice_of_text("s"), 3, &event, &text), STATUS_OK);
    buffer_append(&text, "", 1);

    event = read_line((const char *)text.data);

    assert_true(slice_equal(event.raw, buffer_slice(&before)));
    assert_string_equal(source, "s");
    buffer_fini(&before);
}

/* Whatever the bytes are, what is written is JSON. */
static void random_items_become_valid_json(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 50000), written = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t bytes[40];
        bytes[0] = (uint8_t)(0x81 + rng_below(&rng, 30));
        for (size_t j = 1; j < sizeof bytes; j++)
            bytes[j] =
                (uint8_t)(rng_below(&rng, 3) == 0 ? rng_next(&rng) : 0x80 + rng_below(&rng, 0x60));
        struct mp_reader reader = {bytes, bytes + sizeof bytes};
        struct slice item;
        if (mp_read_raw(&reader, &item) != STATUS_OK)
            continue;
        const char *line = item_text(item);
        written++;
        json_error_t error;
        json_t *parsed = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (parsed == NULL && strstr(line, "\\u0000") == NULL) /* jansson wants no NUL in keys */
            fail_msg("%s: %s", error.text, line);
        json_decref(parsed);
    }
    assert_true(rounds < 1000 || written > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_cloud_event),
        cmocka_unit_test(fills_in_what_a_line_leaves_out),
        cmocka_unit_test(null_is_as_if_it_were_not_there),
        cmocka_unit_test(every_kind_of_value_keeps_its_type_in_data),
        cmocka_unit_test(extensions_become_attributes_as_text),
        cmocka_unit_test(what_another_log_gave_is_left_out),
        cmocka_unit_test(says_which_member_or_column_is_wrong),
        cmocka_unit_test(refuses_a_line_or_an_event_that_is_too_large),
        cmocka_unit_test(tells_when_the_buffer_is_full),
        cmocka_unit_test(writes_every_type_of_item),
        cmocka_unit_test(integers_in_data_and_keys_are_numbers_as_far_as_they_can_be_read_again),
        cmocka_unit_test(a_byte_order_mark_before_a_line_is_passed_over),
        cmocka_unit_test(malformed_bytes_and_a_full_buffer_are_told),
        cmocka_unit_test(writes_an_accepted_event_as_a_cloud_event),
        cmocka_unit_test(the_event_id_stands_in_for_a_missing_id),
        cmocka_unit_test(a_written_line_reads_back_as_the_same_event),
        cmocka_unit_test(random_items_become_valid_json),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
