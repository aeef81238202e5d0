#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/event/event.h"
#include "tests/lib/seed.h"

/* occurred_at 1000, order.created, order-001, version 1, {status: pending, card: {country: DE}} */
#define GOOD_ENVELOPE                                                                              \
    "\xcd\x03\xe8\xad"                                                                             \
    "order.created\xa9order-001\x01"
#define GOOD_DATA                                                                                  \
    "\x82\xa6status\xa7pending\xa4"                                                                \
    "card\x81\xa7"                                                                                 \
    "country\xa2"                                                                                  \
    "DE"
static const char good[] = "\x95" GOOD_ENVELOPE GOOD_DATA;
static const char good_with_attributes[] = "\x96" GOOD_ENVELOPE GOOD_DATA "\x81\xa2id\xa1"
                                           "7";

enum { ROOM_BYTES = 4 * 1024 * 1024, LARGE_TEXT_BYTES = 1024 * 1024 };

static struct buffer out;

static int init(void **state)
{
    (void)state;
    buffer_init(&out, ROOM_BYTES);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

static struct slice bytes_of(const char *literal, size_t size)
{
    return (struct slice){(const uint8_t *)literal, size};
}

static void reads_a_good_event_in_place(void **state)
{
    (void)state;
    struct mp_reader reader = mp_reader_of(bytes_of(good, sizeof good - 1));
    struct event event;

    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);

    assert_true(mp_at_end(&reader));
    assert_int_equal(event.occurred_at_ns, 1000);
    assert_true(slice_equal_text(event.type, "order.created"));
    assert_true(slice_equal_text(event.subject, "order-001"));
    assert_int_equal(event.schema_version, 1);
    assert_true(slice_equal(event.data, bytes_of(GOOD_DATA, sizeof GOOD_DATA - 1)));
    assert_int_equal(event.attributes.size, 0);
    assert_ptr_equal(event.raw.data, good);
    assert_int_equal(event.raw.size, sizeof good - 1);
}

static void reads_attributes_and_stops_behind_the_event(void **state)
{
    (void)state;
    char bytes[sizeof good_with_attributes + 3];
    memcpy(bytes, good_with_attributes, sizeof good_with_attributes - 1);
    memset(bytes + sizeof good_with_attributes - 1, 0xc1, 4);
    struct mp_reader reader = mp_reader_of(bytes_of(bytes, sizeof bytes));
    struct event event;

    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);

    assert_int_equal(reader.end - reader.at, 4);
    assert_true(slice_equal(event.attributes, bytes_of("\x81\xa2id\xa1"
                                                       "7",
                                                       6)));
}

static void a_stored_event_is_read_alike_without_the_checks(void **state)
{
    (void)state;
    struct mp_reader reader = mp_reader_of(bytes_of(good_with_attributes, sizeof good));
    struct event event, stored;
    assert_int_equal(event_read_stored(&reader, &stored), STATUS_MALFORMED);
    assert_ptr_equal(reader.at, good_with_attributes);

    struct mp_reader whole =
        mp_reader_of(bytes_of(good_with_attributes, sizeof good_with_attributes - 1));
    struct mp_reader again = whole;
    assert_int_equal(event_read(&whole, &event, NULL, NULL), STATUS_OK);
    assert_int_equal(event_read_stored(&again, &stored), STATUS_OK);

    assert_ptr_equal(whole.at, again.at);
    assert_int_equal(stored.occurred_at_ns, event.occurred_at_ns);
    assert_int_equal(stored.schema_version, event.schema_version);
    assert_true(slice_equal(stored.type, event.type));
    assert_true(slice_equal(stored.subject, event.subject));
    assert_true(slice_equal(stored.data, event.data));
    assert_true(slice_equal(stored.attributes, event.attributes));
    assert_true(slice_equal(stored.raw, event.raw));
}

static void a_stored_event_may_be_one_of_ours(void **state)
{
    (void)state;
    static const char bytes[] = "\x95\x00\xa6weir.x\xa6policy\x01\x80";
    struct mp_reader reader = mp_reader_of(bytes_of(bytes, sizeof bytes - 1));
    struct mp_reader again = reader;
    struct event event;

    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_INVALID);
    assert_int_equal(event_read_stored(&again, &event), STATUS_OK);
    assert_true(slice_equal_text(event.type, "weir.x"));
}

static void an_event_cut_off_at_any_byte_is_malformed(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof good_with_attributes - 1; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1); /* no slack, for AddressSanitizer */
        assert_non_null(copy);
        memcpy(copy, good_with_attributes, size);
        struct mp_reader reader = {copy, copy + size}, again = reader;
        struct event event;
        struct slice raw = {NULL, 0};
        struct detail detail = {""};
        assert_int_equal(event_read(&reader, &event, &raw, &detail), STATUS_MALFORMED);
        assert_ptr_equal(reader.at, copy);
        assert_null(raw.data);
        assert_memory_equal(detail.text, "malformed: ", 11);
        assert_int_equal(event_read_stored(&again, &event), STATUS_MALFORMED);
        free(copy);
    }
}

static void assert_refused(struct slice bytes, enum status status, const char *text)
{
    struct mp_reader reader = mp_reader_of(bytes);
    struct event event;
    struct slice raw = {NULL, 0};
    struct detail detail = {""};
    assert_int_equal(event_read(&reader, &event, &raw, &detail), status);
    assert_string_equal(detail.text, text);
    if (status == STATUS_MALFORMED) {
        assert_ptr_equal(reader.at, bytes.data);
        assert_null(raw.data);
    } else {
        assert_true(mp_at_end(&reader));
        assert_true(slice_equal(raw, bytes));
    }
}

#define REFUSED(bytes, text)                                                                       \
    assert_refused(bytes_of(bytes, sizeof(bytes) - 1), STATUS_INVALID, text)

static void says_which_element_is_wrong_and_where(void **state)
{
    (void)state;
    REFUSED("\x05", "event: not an array of 5 or 6 elements, at byte 0");
    REFUSED("\x80", "event: not an array of 5 or 6 elements, at byte 0");
    REFUSED("\x90", "event: not an array of 5 or 6 elements, at byte 0");
    REFUSED("\x94\x00\xa1t\xa1s\x01", "event: not an array of 5 or 6 elements, at byte 0");
    REFUSED("\x97\x00\xa1t\xa1s\x01\x80\x80\x80",
            "event: not an array of 5 or 6 elements, at byte 0");
    REFUSED("\x95\xff\xa1t\xa1s\x01\x80",
            "occurred_at: not an integer from 0 to 2^63 - 1, at byte 1");
    REFUSED("\x95\xcf\x80\x00\x00\x00\x00\x00\x00\x00\xa1t\xa1s\x01\x80",
            "occurred_at: not an integer from 0 to 2^63 - 1, at byte 1");
    REFUSED("\x95\xca\x00\x00\x00\x00\xa1t\xa1s\x01\x80",
            "occurred_at: not an integer from 0 to 2^63 - 1, at byte 1");
    REFUSED("\x95\x00\x01\xa1s\x01\x80", "type: not a string, at byte 2");
    REFUSED("\x95\x00\xc4\x01t\xa1s\x01\x80", "type: not a string, at byte 2");
    REFUSED("\x95\x00\xa0\xa1s\x01\x80", "type: 0 bytes, not 1 to 64");
    REFUSED("\x95\x00\xa2tA\xa1s\x01\x80", "type: byte 0x41 at 4 is outside [a-z0-9_.-]");
    REFUSED("\x95\x00\xa2t\x00\xa1s\x01\x80", "type: byte 0x00 at 4 is outside [a-z0-9_.-]");
    REFUSED("\x95\x00\xa2t\xff\xa1s\x01\x80", "type: byte 0xff at 4 is outside [a-z0-9_.-]");
    REFUSED("\x95\x00\xa4weir\xa1s\x01\x80", "type: begins with 'weir', which is reserved");
    REFUSED("\x95\x00\xa5weird\xa1s\x01\x80", "type: begins with 'weir', which is reserved");
    REFUSED("\x95\x00\xa1t\xc0\x01\x80", "subject: not a string, at byte 4");
    REFUSED("\x95\x00\xa1t\xa0\x01\x80", "subject: 0 bytes, not 1 to 128");
    REFUSED("\x95\x00\xa1t\xa1\xc3\x01\x80", "subject: not UTF-8");
    REFUSED("\x95\x00\xa1t\xa1s\x00\x80",
            "schema_version: not an integer from 1 to 65535, at byte 6");
    REFUSED("\x95\x00\xa1t\xa1s\xce\x00\x01\x00\x00\x80",
            "schema_version: not an integer from 1 to 65535, at byte 6");
    REFUSED("\x95\x00\xa1t\xa1s\xa1x\x80",
            "schema_version: not an integer from 1 to 65535, at byte 6");
    REFUSED("\x95\x00\xa1t\xa1s\x01\x90", "data: not a map at byte 7");
    REFUSED("\x95\x00\xa1t\xa1s\x01\xc0", "data: not a map at byte 7");
    REFUSED("\x95\x00\xa1t\xa1s\x01\x81\xa1k\xc4\x00",
            "data: a bin, which is not allowed, at byte 10");
    REFUSED("\x96\x00\xa1t\xa1s\x01\x80\xc0", "attributes: not a map at byte 8");
    REFUSED("\x96\x00\xa1t\xa1s\x01\x80\x81\xa1k\x01",
            "attributes: a value that is not a string at byte 11");
    REFUSED("\x96\x00\xa1t\xa1s\x01\x80\x82\xa1k\xa0\xa1k\xa0",
            "attributes: key 'k' appears twice at byte 13");
}

/* An event with a type and a subject of so many bytes and so much in its data. */
static struct slice event_of_sizes(size_t type, size_t subject, size_t data_text)
{
    static char letters[2 * 1024 * 1024];
    memset(letters, 'a', sizeof letters);
    buffer_clear(&out);
    codec_array(&out, 5);
    codec_uint(&out, INT64_MAX);
    codec_text_slice(&out, bytes_of(letters, type));
    codec_text_slice(&out, bytes_of(letters, subject));
    codec_uint(&out, 65535);
    codec_map(&out, 1);
    codec_text(&out, "text");
    codec_text_slice(&out, bytes_of(letters, data_text));
    assert_int_equal(out.status, STATUS_OK);
    return buffer_slice(&out);
}

static enum status read_of(struct slice bytes)
{
    struct mp_reader reader = mp_reader_of(bytes);
    struct event event;
    return event_read(&reader, &event, NULL, NULL);
}

static void every_range_includes_its_ends(void **state)
{
    (void)state;
    assert_int_equal(read_of(event_of_sizes(1, 1, 0)), STATUS_OK);
    assert_int_equal(read_of(event_of_sizes(64, 128, 0)), STATUS_OK);
    assert_refused(event_of_sizes(65, 128, 0), STATUS_INVALID, "type: 65 bytes, not 1 to 64");
    assert_refused(event_of_sizes(64, 129, 0), STATUS_INVALID, "subject: 129 bytes, not 1 to 128");
}

static void an_event_may_have_exactly_64_kib(void **state)
{
    (void)state;
    size_t overhead = event_of_sizes(1, 1, 65000).size - 65000;

    assert_int_equal(read_of(event_of_sizes(1, 1, EVENT_BYTES_MAX - overhead)), STATUS_OK);
    assert_refused(event_of_sizes(1, 1, EVENT_BYTES_MAX - overhead + 1), STATUS_TOO_LARGE,
                   "event: 65537 bytes, more than 65536");
}

static void malformed_stands_before_too_large_and_that_before_invalid(void **state)
{
    (void)state;
    struct slice large_and_invalid = event_of_sizes(65, 1, LARGE_TEXT_BYTES);
    assert_refused(large_and_invalid, STATUS_TOO_LARGE, "event: 1048669 bytes, more than 65536");

    struct slice torn = {large_and_invalid.data, large_and_invalid.size - 1};
    assert_refused(torn, STATUS_MALFORMED, "malformed: a length or count past the end at byte 88");

    /* The type is wrong before the byte that is never used. */
    assert_refused(bytes_of("\x95\x00\xa1T\xa1s\x01\x81\xa1k\xc1", 11), STATUS_MALFORMED,
                   "malformed: 0xc1, which is never used, at byte 10");
}

static void nesting_is_invalid_beyond_8_and_malformed_beyond_64(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= 70; depth++) {
        buffer_clear(&out);
        buffer_append(&out, "\x95\x00\xa1t\xa1s\x01", 7);
        for (unsigned i = 0; i < depth; i++)
            buffer_append(&out, "\x81\xa1k", 3);
        codec_nil(&out);
        enum status expected = depth <= 8    ? STATUS_OK
                               : depth <= 63 ? STATUS_INVALID /* the event's array is one more */
                                             : STATUS_MALFORMED;
        assert_int_equal(read_of(buffer_slice(&out)), expected);
    }
}

static void other_forms_of_the_same_values_are_read_too(void **state)
{
    (void)state;
    static const char bytes[] =
        "\xdd\x00\x00\x00\x05\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xdb\x00\x00"
        "\x00\x01t\xda\x00\x01s\xd0\x01\xdf\x00\x00\x00\x00";
    struct mp_reader reader = mp_reader_of(bytes_of(bytes, sizeof bytes - 1));
    struct event event;

    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    assert_int_equal(event.occurred_at_ns, 1);
    assert_true(slice_equal_text(event.subject, "s"));
    assert_int_equal(event.schema_version, 1);
}

/* Whatever bytes change, the answer is one of the four and the cursor stands where it says. */
static void any_change_of_bytes_gives_a_clear_answer(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 200000), seen[STATUS_USAGE + 1] = {0};
    for (uint64_t i = 0; i < rounds; i++) {
        char bytes[sizeof good_with_attributes - 1];
        memcpy(bytes, good_with_attributes, sizeof bytes);
        for (uint64_t j = rng_below(&rng, 4); j > 0; j--)
            bytes[rng_below(&rng, sizeof bytes)] = (char)rng_next(&rng);
        struct mp_reader reader = mp_reader_of(bytes_of(bytes, sizeof bytes)), whole = reader;
        struct event event;
        struct slice raw = {NULL, 0};
        enum status skipped = mp_skip(&whole);
        enum status status = event_read(&reader, &event, &raw, NULL);

        seen[status]++;
        assert_true(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_MALFORMED);
        assert_true((status == STATUS_MALFORMED) == (skipped == STATUS_MALFORMED));
        assert_ptr_equal(reader.at, whole.at);
        assert_true((raw.data != NULL) == (status == STATUS_INVALID));
    }
    assert_true(rounds < 1000 ||
                (seen[STATUS_OK] > 0 && seen[STATUS_INVALID] > 0 && seen[STATUS_MALFORMED] > 0));
}

static void a_source_is_printable_ascii_and_not_ours(void **state)
{
    (void)state;
    const struct {
        const char *source;
        const char *text; /* NULL: good */
    } cases[] = {
        {"a", NULL},
        {"https://shop.example/till/7?x=%20~", NULL},
        {"Weir", NULL},
        {"", "source: 0 bytes, not 1 to 128"},
        {"a b", "source: byte 0x20 at 1 is outside [!-~]"},
        {"ab\x7f", "source: byte 0x7f at 2 is outside [!-~]"},
        {"\xc3\xa9", "source: byte 0xc3 at 0 is outside [!-~]"},
        {"weir", "source: begins with 'weir', which is reserved"},
        {"weir-x", "source: begins with 'weir', which is reserved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct detail detail = {""};
        bool good_source = cases[i].text == NULL;
        assert_int_equal(event_source_check(slice_of_text(cases[i].source), &detail),
                         good_source ? STATUS_OK : STATUS_INVALID);
        assert_string_equal(detail.text, good_source ? "" : cases[i].text);
    }
    char longest[130];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(event_source_check(bytes_of(longest, 128), NULL), STATUS_OK);
    assert_int_equal(event_source_check(bytes_of(longest, 129), NULL), STATUS_INVALID);
}

static void finds_a_field_by_its_dotted_path(void **state)
{
    (void)state;
    struct slice data = bytes_of(GOOD_DATA, sizeof GOOD_DATA - 1);
    struct mp_reader value;
    struct slice text;

    assert_int_equal(event_field(data, slice_of_text("status"), &value), STATUS_OK);
    assert_int_equal(mp_read_text(&value, &text), STATUS_OK);
    assert_true(slice_equal_text(text, "pending"));
    assert_int_equal(event_field(data, slice_of_text("card.country"), &value), STATUS_OK);
    assert_int_equal(mp_read_text(&value, &text), STATUS_OK);
    assert_true(slice_equal_text(text, "DE"));
}

static void a_step_that_is_missing_or_no_map_is_not_found(void **state)
{
    (void)state;
    struct slice data = bytes_of(GOOD_DATA, sizeof GOOD_DATA - 1);
    const char *const paths[] = {
        "",         "x",      "statu",         "status2",       ".", "card.", ".card",
        "status.x", "card.x", "card..country", "card.country.x"};
    struct mp_reader value = {NULL, NULL};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(event_field(data, slice_of_text(paths[i]), &value), STATUS_NOT_FOUND);
    assert_int_equal(event_field((struct slice){NULL, 0}, slice_of_text("x"), &value),
                     STATUS_NOT_FOUND);
    assert_int_equal(event_field(data, (struct slice){NULL, 0}, &value), STATUS_NOT_FOUND);
    assert_null(value.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_good_event_in_place),
        cmocka_unit_test(reads_attributes_and_stops_behind_the_event),
        cmocka_unit_test(a_stored_event_is_read_alike_without_the_checks),
        cmocka_unit_test(a_stored_event_may_be_one_of_ours),
        cmocka_unit_test(an_event_cut_off_at_any_byte_is_malformed),
        cmocka_unit_test(says_which_element_is_wrong_and_where),
        cmocka_unit_test(every_range_includes_its_ends),
        cmocka_unit_test(an_event_may_have_exactly_64_kib),
        cmocka_unit_test(malformed_stands_before_too_large_and_that_before_invalid),
        cmocka_unit_test(nesting_is_invalid_beyond_8_and_malformed_beyond_64),
        cmocka_unit_test(other_forms_of_the_same_values_are_read_too),
        cmocka_unit_test(any_change_of_bytes_gives_a_clear_answer),
        cmocka_unit_test(a_source_is_printable_ascii_and_not_ours),
        cmocka_unit_test(finds_a_field_by_its_dotted_path),
        cmocka_unit_test(a_step_that_is_missing_or_no_map_is_not_found),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
