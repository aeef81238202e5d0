#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/event/mp.h"
#include "tests/lib/naive_utf8.h"

/* A reader over a literal; the literal's NUL does not count. */
#define READER(literal) reader_of(literal, sizeof(literal) - 1)

static struct mp_reader reader_of(const char *bytes, size_t size)
{
    return mp_reader_of((struct slice){(const uint8_t *)bytes, size});
}

static enum status skip_whole(struct mp_reader reader)
{
    enum status status = mp_skip(&reader);
    return status == STATUS_OK && !mp_at_end(&reader) ? STATUS_END : status;
}

/* One whole item of each of the formats, each with its type. */
static const struct {
    const char *bytes;
    size_t size;
    enum mp_type type;
} items[] = {
#define ITEM(literal, type)                                                                        \
    {                                                                                              \
        literal, sizeof(literal) - 1, type                                                         \
    }
    ITEM("\x00", MP_UINT),
    ITEM("\x7f", MP_UINT),
    ITEM("\x80", MP_MAP),
    ITEM("\x81\xa1k\x01", MP_MAP),
    ITEM("\x90", MP_ARRAY),
    ITEM("\x92\x01\x02", MP_ARRAY),
    ITEM("\xa0", MP_TEXT),
    ITEM("\xa3xyz", MP_TEXT),
    ITEM("\xc0", MP_NIL),
    ITEM("\xc2", MP_BOOL),
    ITEM("\xc3", MP_BOOL),
    ITEM("\xc4\x02\x00\x01", MP_BIN),
    ITEM("\xc5\x00\x01\x00", MP_BIN),
    ITEM("\xc6\x00\x00\x00\x01\x00", MP_BIN),
    ITEM("\xc7\x01\x05\x00", MP_EXT),
    ITEM("\xc8\x00\x01\x05\x00", MP_EXT),
    ITEM("\xc9\x00\x00\x00\x01\x05\x00", MP_EXT),
    ITEM("\xca\x3f\xc0\x00\x00", MP_FLOAT),
    ITEM("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", MP_FLOAT),
    ITEM("\xcc\xff", MP_UINT),
    ITEM("\xcd\xff\xff", MP_UINT),
    ITEM("\xce\xff\xff\xff\xff", MP_UINT),
    ITEM("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", MP_UINT),
    ITEM("\xd0\x80", MP_NEGATIVE),
    ITEM("\xd0\x7f", MP_UINT),
    ITEM("\xd1\x80\x00", MP_NEGATIVE),
    ITEM("\xd1\x7f\xff", MP_UINT),
    ITEM("\xd2\x80\x00\x00\x00", MP_NEGATIVE),
    ITEM("\xd2\x00\x00\x00\x00", MP_UINT),
    ITEM("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", MP_NEGATIVE),
    ITEM("\xd3\x7f\x00\x00\x00\x00\x00\x00\x00", MP_UINT),
    ITEM("\xd4\x01x", MP_EXT),
    ITEM("\xd5\x01xx", MP_EXT),
    ITEM("\xd6\x01xxxx", MP_EXT),
    ITEM("\xd7\x01xxxxxxxx", MP_EXT),
    ITEM("\xd8\x01xxxxxxxxxxxxxxxx", MP_EXT),
    ITEM("\xd9\x03xyz", MP_TEXT),
    ITEM("\xda\x00\x03xyz", MP_TEXT),
    ITEM("\xdb\x00\x00\x00\x03xyz", MP_TEXT),
    ITEM("\xdc\x00\x01\xc0", MP_ARRAY),
    ITEM("\xdd\x00\x00\x00\x01\xc0", MP_ARRAY),
    ITEM("\xde\x00\x01\xa1k\xc0", MP_MAP),
    ITEM("\xdf\x00\x00\x00\x01\xa1k\xc0", MP_MAP),
    ITEM("\xe0", MP_NEGATIVE),
    ITEM("\xff", MP_NEGATIVE),
};
enum { ITEMS = sizeof items / sizeof *items };

static void knows_every_format_and_where_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        struct mp_reader reader = reader_of(items[i].bytes, items[i].size);
        enum mp_type type;
        struct slice raw;
        assert_int_equal(mp_peek(&reader, &type), STATUS_OK);
        assert_int_equal(type, items[i].type);
        assert_int_equal(mp_read_raw(&reader, &raw), STATUS_OK);
        assert_true(mp_at_end(&reader));
        assert_ptr_equal(raw.data, items[i].bytes);
        assert_int_equal(raw.size, items[i].size);
    }
}

static void every_item_that_is_cut_off_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        for (size_t size = 0; size < items[i].size; size++)
            assert_int_equal(skip_whole(reader_of(items[i].bytes, size)), STATUS_MALFORMED);
    }
}

/* Calls every typed reader; gives how many said OK and checks that the others did not move. */
static unsigned readers_that_accept(struct mp_reader start, enum status otherwise)
{
    enum status status[8];
    struct mp_reader reader[8];
    uint64_t whole;
    int64_t number;
    bool boolean;
    double real;
    struct slice bytes;
    uint32_t count;
    unsigned accepted = 0;
    for (unsigned i = 0; i < 8; i++)
        reader[i] = start;

    status[0] = mp_read_uint(&reader[0], &whole);
    status[1] = mp_read_int(&reader[1], &number);
    status[2] = mp_read_bool(&reader[2], &boolean);
    status[3] = mp_read_float(&reader[3], &real);
    status[4] = mp_read_text(&reader[4], &bytes);
    status[5] = mp_read_bin(&reader[5], &bytes);
    status[6] = mp_read_array(&reader[6], &count);
    status[7] = mp_read_map(&reader[7], &count);

    for (unsigned i = 0; i < 8; i++) {
        if (status[i] == STATUS_OK) {
            accepted++;
            assert_true(reader[i].at > start.at && reader[i].at <= start.end);
        } else {
            assert_int_equal(status[i], otherwise);
            assert_ptr_equal(reader[i].at, start.at);
        }
    }
    return accepted;
}

static void a_reader_of_another_type_says_invalid_and_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        bool small = items[i].type == MP_UINT && (uint8_t)items[i].bytes[0] != 0xcf;
        bool big = (uint8_t)items[i].bytes[0] == 0xcf;
        bool none = items[i].type == MP_NIL || items[i].type == MP_EXT;
        unsigned accepted =
            readers_that_accept(reader_of(items[i].bytes, items[i].size), STATUS_INVALID);
        assert_int_equal(accepted, none ? 0 : small ? 2 : 1);
        assert_true(!big || accepted == 1);
    }
}

static void a_reader_before_torn_bytes_says_malformed_and_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        if (items[i].type == MP_ARRAY || items[i].type == MP_MAP)
            continue; /* their headers may be whole */
        for (size_t size = 0; size < items[i].size; size++)
            assert_int_equal(readers_that_accept(reader_of(items[i].bytes, size), STATUS_MALFORMED),
                             0);
    }
    assert_int_equal(readers_that_accept(READER("\xc1\x00\x00"), STATUS_MALFORMED), 0);
}

static void reads_integers_of_every_width(void **state)
{
    (void)state;
    const struct {
        struct mp_reader reader;
        int64_t value;
    } cases[] = {
        {READER("\x00"), 0},
        {READER("\x7f"), 127},
        {READER("\xff"), -1},
        {READER("\xe0"), -32},
        {READER("\xcc\xff"), 255},
        {READER("\xcd\x01\x02"), 0x102},
        {READER("\xcd\x01\x02xxxxxxxx"), 0x102},
        {READER("\xce\x01\x02\x03\x04"), 0x1020304},
        {READER("\xcf\x01\x02\x03\x04\x05\x06\x07\x08"), 0x102030405060708},
        {READER("\xd0\x80"), -128},
        {READER("\xd0\xff"), -1},
        {READER("\xd0\x7f"), 127},
        {READER("\xd1\x80\x00"), -32768},
        {READER("\xd2\x80\x00\x00\x00"), -2147483648LL},
        {READER("\xd2\xff\xff\xff\xff"), -1},
        {READER("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN},
        {READER("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mp_reader reader = cases[i].reader, again = cases[i].reader;
        int64_t value = 0;
        uint64_t whole = 0;
        assert_int_equal(mp_read_int(&reader, &value), STATUS_OK);
        assert_true(value == cases[i].value);
        assert_int_equal(mp_read_uint(&again, &whole), value < 0 ? STATUS_INVALID : STATUS_OK);
        assert_true(value < 0 || whole == (uint64_t)value);
    }
}

static void a_uint_above_the_signed_range_is_no_int(void **state)
{
    (void)state;
    struct mp_reader reader = READER("\xcf\x80\x00\x00\x00\x00\x00\x00\x00");
    int64_t value;
    uint64_t whole;

    assert_int_equal(mp_read_int(&reader, &value), STATUS_INVALID);
    assert_int_equal(mp_read_uint(&reader, &whole), STATUS_OK);
    assert_true(whole == UINT64_C(1) << 63);
}

static void reads_the_other_scalars(void **state)
{
    (void)state;
    struct mp_reader reader = READER("\xca\x3f\xc0\x00\x00\xcb\xc0\x09\x21\xfb\x54\x44\x2d\x18"
                                     "\xc3\xc2\xc0\xa2hi\xc4\x01z");
    double real;
    bool boolean;
    struct slice bytes;

    assert_int_equal(mp_read_float(&reader, &real), STATUS_OK);
    assert_true(real == 1.5);
    assert_int_equal(mp_read_float(&reader, &real), STATUS_OK);
    assert_true(fabs(real + 3.14159265358979) < 1e-13);
    assert_int_equal(mp_read_bool(&reader, &boolean), STATUS_OK);
    assert_true(boolean);
    assert_int_equal(mp_read_bool(&reader, &boolean), STATUS_OK);
    assert_false(boolean);
    assert_true(mp_read_nil(&reader));
    assert_false(mp_read_nil(&reader));
    assert_int_equal(mp_read_text(&reader, &bytes), STATUS_OK);
    assert_true(slice_equal_text(bytes, "hi"));
    assert_int_equal(mp_read_bin(&reader, &bytes), STATUS_OK);
    assert_true(slice_equal_text(bytes, "z"));
    assert_true(mp_at_end(&reader));
    assert_false(mp_read_nil(&reader));
}

static void a_count_larger_than_the_bytes_left_is_malformed_at_once(void **state)
{
    (void)state;
    uint32_t count;
    struct mp_reader cases[] = {
        READER("\x93\x01\x02"),
        READER("\xdc\x00\x03\x01\x02"),
        READER("\xdd\xff\xff\xff\xff"),
        READER("\xdd\xff\xff\xff\xff\x01\x02\x03"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(mp_read_array(&cases[i], &count), STATUS_MALFORMED);

    struct mp_reader maps[] = {
        READER("\x82\x01\x02\x03"),
        READER("\xde\x00\x02\x01\x02\x03"),
        READER("\xdf\xff\xff\xff\xff\x01\x02"),
        READER("\xdf\x80\x00\x00\x00\x01\x02"),
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        assert_int_equal(mp_read_map(&maps[i], &count), STATUS_MALFORMED);
    struct mp_reader whole = READER("\x82\x01\x02\x03\x04");
    assert_int_equal(mp_read_map(&whole, &count), STATUS_OK);
    assert_int_equal(count, 2);
}

static void nesting_is_whole_to_its_limit_and_malformed_beyond(void **state)
{
    (void)state;
    char bytes[MP_DEPTH_MAX + 1];
    memset(bytes, 0x91, sizeof bytes);
    bytes[MP_DEPTH_MAX - 1] = (char)0x90;
    assert_int_equal(skip_whole(reader_of(bytes, MP_DEPTH_MAX)), STATUS_OK);

    bytes[MP_DEPTH_MAX - 1] = (char)0x91;
    bytes[MP_DEPTH_MAX] = (char)0x90;
    assert_int_equal(skip_whole(reader_of(bytes, sizeof bytes)), STATUS_MALFORMED);
    bytes[MP_DEPTH_MAX] = 0x01;
    assert_int_equal(skip_whole(reader_of(bytes, sizeof bytes)), STATUS_OK);
}

static void the_bombs_that_break_tree_parsers_are_malformed(void **state)
{
    (void)state;
    static char bytes[1024 * 1024];
    memset(bytes, 0xdd, sizeof bytes);
    assert_int_equal(skip_whole(reader_of(bytes, sizeof bytes)), STATUS_MALFORMED);
    memset(bytes, 0x91, sizeof bytes);
    assert_int_equal(skip_whole(reader_of(bytes, sizeof bytes)), STATUS_MALFORMED);
    memset(bytes, 0x81, sizeof bytes);
    assert_int_equal(skip_whole(reader_of(bytes, sizeof bytes)), STATUS_MALFORMED);
    assert_int_equal(skip_whole(READER("\xdb\xff\xff\xff\xff")), STATUS_MALFORMED);
    assert_int_equal(skip_whole(READER("\xc9\xff\xff\xff\xff\x01")), STATUS_MALFORMED);
}

static void explains_why_bytes_are_malformed(void **state)
{
    (void)state;
    const struct {
        struct mp_reader reader;
        const char *text;
    } cases[] = {
        {READER("\x92\x01"), "malformed: a length or count past the end at byte 0"},
        {READER("\x92\x92\x01\x02"), "malformed: cut off at byte 4"},
        {READER("\x92\x01\xc1"), "malformed: 0xc1, which is never used, at byte 2"},
        {READER("\x92\x01\xa5x"), "malformed: a length or count past the end at byte 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mp_reader reader = cases[i].reader;
        struct detail detail = {""};
        assert_int_equal(mp_skip_explain(&reader, reader.at, &detail), STATUS_MALFORMED);
        assert_string_equal(detail.text, cases[i].text);
        assert_ptr_equal(reader.at, cases[i].reader.at);
    }
}

static void an_empty_slice_has_nothing_to_read(void **state)
{
    (void)state;
    struct mp_reader reader = mp_reader_of((struct slice){NULL, 0});

    assert_true(mp_at_end(&reader));
    assert_int_equal(mp_skip(&reader), STATUS_MALFORMED);
}

static void utf8_agrees_with_the_definition_on_all_short_sequences(void **state)
{
    (void)state;
    uint8_t bytes[3];
    for (uint32_t i = 0; i < 1u << 24; i++) {
        bytes[0] = (uint8_t)(i >> 16);
        bytes[1] = (uint8_t)(i >> 8);
        bytes[2] = (uint8_t)i;
        if (utf8_valid((struct slice){bytes, 3}) != naive_utf8(bytes, 3))
            fail_msg("%06x", (unsigned)i);
    }
    for (uint32_t i = 0; i < 1u << 16; i++) {
        bytes[0] = (uint8_t)(i >> 8);
        bytes[1] = (uint8_t)i;
        if (utf8_valid((struct slice){bytes, 2}) != naive_utf8(bytes, 2))
            fail_msg("%04x", (unsigned)i);
    }
}

static void utf8_agrees_with_the_definition_on_four_bytes_behind_text(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    uint8_t bytes[32];
    for (unsigned prefix = 0; prefix < 20; prefix++) {
        memset(bytes, 'a', sizeof bytes);
        for (unsigned first = 0xec; first <= 0xf8; first++) {
            for (unsigned i = 0; i < 1000; i++) {
                bytes[prefix] = (uint8_t)first;
                bytes[prefix + 1] = edges[i / 100];
                bytes[prefix + 2] = edges[i / 10 % 10];
                bytes[prefix + 3] = edges[i % 10];
                for (unsigned size = prefix + 1; size < prefix + 10; size++)
                    assert_true(utf8_valid((struct slice){bytes, size}) == naive_utf8(bytes, size));
            }
        }
    }
    assert_true(utf8_valid((struct slice){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_format_and_where_it_ends),
        cmocka_unit_test(every_item_that_is_cut_off_is_malformed),
        cmocka_unit_test(a_reader_of_another_type_says_invalid_and_stays),
        cmocka_unit_test(a_reader_before_torn_bytes_says_malformed_and_stays),
        cmocka_unit_test(reads_integers_of_every_width),
        cmocka_unit_test(a_uint_above_the_signed_range_is_no_int),
        cmocka_unit_test(reads_the_other_scalars),
        cmocka_unit_test(a_count_larger_than_the_bytes_left_is_malformed_at_once),
        cmocka_unit_test(nesting_is_whole_to_its_limit_and_malformed_beyond),
        cmocka_unit_test(the_bombs_that_break_tree_parsers_are_malformed),
        cmocka_unit_test(explains_why_bytes_are_malformed),
        cmocka_unit_test(an_empty_slice_has_nothing_to_read),
        cmocka_unit_test(utf8_agrees_with_the_definition_on_all_short_sequences),
        cmocka_unit_test(utf8_agrees_with_the_definition_on_four_bytes_behind_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
