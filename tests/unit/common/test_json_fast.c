/* Whatever line comes, the fast way gives up or gives the bytes that jansson's tree gives. */
#include "common/event/json_fast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/lib/seed.h"

enum { ROOM_BYTES = 4 * 1024 * 1024, TEXT_BYTES_MAX = 64 * 1024 };

static struct buffer fast, tree;
static char fast_source[EVENT_SOURCE_BYTES_MAX + 1], tree_source[EVENT_SOURCE_BYTES_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    buffer_init(&fast, ROOM_BYTES);
    buffer_init(&tree, ROOM_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&fast);
    buffer_fini(&tree);
    return 0;
}

/* Reads both ways; true when the fast one did. */
static bool compare(struct slice line, uint64_t now_ns)
{
    struct detail detail;
    buffer_clear(&fast);
    buffer_clear(&tree);
    bool read = json_fast_read(line, now_ns, &fast, fast_source);
    enum status status = json_tree_read(line, now_ns, &tree, tree_source, &detail);
    if (!read) {
        assert_int_equal(fast.size, 0);
        return false;
    }
    if (status != STATUS_OK)
        fail_msg("read fast, but %s: %.*s", detail.text, (int)line.size, (const char *)line.data);
    if (!slice_equal(buffer_slice(&fast), buffer_slice(&tree)))
        fail_msg("not the same bytes: %.*s", (int)line.size, (const char *)line.data);
    assert_string_equal(fast_source, tree_source);
    return true;
}

static bool compare_text(const char *text)
{
    return compare(slice_of_text(text), 7);
}

static void reads_lines_of_the_usual_shape(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"type\":\"t\"}",
        " { \"type\" : \"t\" , \"source\" : \"s\" } \r\n\t",
        "{\"type\":\"t\",\"source\":\"s\",\"subject\":\"K\xc3\xb6ln\",\"data\":{}}",
        "{\"time\":\"2026-01-02T03:04:05.5+01:00\",\"type\":\"t\",\"schemaversion\":300}",
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"a\",\"n\":-12,\"yes\":true,\"no\":false}",
        "{\"sequence\":\"1\",\"eventid\":\"2\",\"acceptedat\":\"x\",\"type\":\"t\"}",
        "{\"type\":\"t\",\"data\":{\"a\":[],\"b\":{},\"c\":null,\"d\":true,\"e\":false,\"f\":\"\"}"
        "}",
        "{\"type\":\"t\",\"data\":{\"a\":[0,-1,-32,-33,127,128,255,256,65535,65536,4294967295,"
        "4294967296]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[-128,-129,-32768,-32769,-2147483648,-2147483649]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[999999999999999999,-999999999999999999,-0]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[1.5,-0.0,1e5,1E+5,1e-400,0.1,49.99,1."
        "7976931348623157e308]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[[[[[[[1]]]]]]]}}",
        "{\"type\":\"t\",\"data\":{\"a\":[\"0123456789012345678901234567890\","
        "\"01234567890123456789012345678901\"]}}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!compare_text(lines[i]))
            fail_msg("gave up on %s", lines[i]);
}

static void gives_up_on_the_rest(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "{",
        "{}",
        "[]",
        "{\"type\":\"t\"}x",
        "{\"type\":\"t\",}",
        "{\"type\":\"t\"",
        "{\"type\":\"t\\n\"}",
        "{\"type\":\"t\",\"type\":\"t\"}",
        "{\"type\":\"t\",\"a\":1,\"a\":1}",
        "{\"type\":\"t\",\"a\":1.5}",
        "{\"type\":\"t\",\"a\":-0}",
        "{\"type\":\"t\",\"a\":null}",
        "{\"type\":\"t\",\"a\":tru}",
        "{\"type\":\"t\",\"data\":{\"a\":1,\"a\":2}}",
        "{\"type\":\"t\",\"data\":{\"a\":01}}",
        "{\"type\":\"t\",\"data\":{\"a\":1.}}",
        "{\"type\":\"t\",\"data\":{\"a\":1e}}",
        "{\"type\":\"t\",\"data\":{\"a\":1e999}}",
        "{\"type\":\"t\",\"data\":{\"a\":-}}",
        "{\"type\":\"t\",\"data\":{\"a\":[1,]}}",
        "{\"type\":\"t\",\"data\":{\"a\":1,}}",
        "{\"type\":\"t\",\"data\":{\"a\":truex}}",
        "{\"type\":\"t\",\"data\":{\"a\":\"\xff\"}}",
        "{\"type\":\"t\",\"data\":{\"a\":\"\x01\"}}",
        "{\"type\":\"t\",\"data\":{\"a\":1234567890123456789}}",
        "{\"type\":\"t\",\"data\":[1]}",
        "{\"type\":\"t\",\"data_base64\":\"AA==\"}",
        "{\"type\":\"T\"}",
        "{\"type\":\"weir.x\"}",
        "{\"type\":\"t\",\"source\":\"\"}",
        "{\"type\":\"t\",\"time\":\"noon\"}",
        "{\"type\":\"t\",\"sequence\":\"\xff\"}",
        "{\"type\":\"t\",\"schemaversion\":1.0}",
        "{\"type\":\"t\",\"specversion\":\"2.0\"}",
        "{\"type\":\"t\",\"data\":{\"a\":[[[[[[[[1]]]]]]]]}}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (compare_text(lines[i]))
            fail_msg("read %s", lines[i]);
}

static void a_line_without_a_time_may_be_bad(void **state)
{
    (void)state;
    struct detail detail;
    struct slice line = slice_of_text("{\"type\":\"t\",\"source\":\"s\"}");
    assert_false(compare(line, JSON_TIME_REQUIRED));
    assert_int_equal(json_read_event(line, JSON_TIME_REQUIRED, &fast, fast_source, &detail),
                     STATUS_BAD_INPUT);
    assert_string_equal(detail.text, "time: is missing");
}

static void gives_up_where_the_buffer_is_small(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 16);
    assert_false(json_fast_read(slice_of_text("{\"type\":\"t\"}"), 7, &small, fast_source));
    assert_int_equal(small.status, STATUS_OK);
    buffer_fini(&small);
}

/* ---- random lines --------------------------------------------------------------------------- */

static struct rng rng;
static char text[TEXT_BYTES_MAX];
static size_t size;

static void put(const char *piece)
{
    size_t more = strlen(piece);
    if (size + more < sizeof text) {
        memcpy(text + size, piece, more);
        size += more;
    }
}

static const char *any_of(const char *const *pieces, size_t count)
{
    return pieces[rng_below(&rng, count)];
}
#define ANY(...)                                                                                   \
    any_of((const char *const[]){__VA_ARGS__},                                                     \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put_space(void)
{
    if (rng_below(&rng, 8) == 0)
        put(ANY(" ", "\t", "\r", "\n", "  "));
}

static void put_string(void)
{
    put("\"");
    uint64_t pieces = rng_below(&rng, 20) == 0 ? 100 : rng_below(&rng, 4);
    for (uint64_t i = 0; i < pieces; i++)
        put(ANY("a", "B", "7", ".", "-", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "\x7f",
                "'"));
    if (rng_below(&rng, 60) == 0)
        put(ANY("\\n", "\\u0041", "\\\"", "\xc0\x80", "\xed\xa0\x80", "\x80", "\n"));
    put("\"");
}

static void put_number(void)
{
    char number[64];
    int64_t value = (int64_t)(rng_next(&rng) >> rng_below(&rng, 64));
    if (rng_below(&rng, 2) == 0)
        value = -(value / 2);
    if (rng_below(&rng, 3) == 0)
        snprintf(number, sizeof number, "%.*g", (int)rng_below(&rng, 18), (double)value / 977.0);
    else
        snprintf(number, sizeof number, "%lld", (long long)value);
    put(number);
    if (rng_below(&rng, 20) == 0)
        put(ANY(".0", "e2", "E-3", ".", "e", "0"));
}

static void put_value(unsigned depth);

static void put_container(unsigned depth)
{
    bool map = rng_below(&rng, 2) == 0;
    uint64_t count = rng_below(&rng, 30) == 0 ? 20 : rng_below(&rng, 4);
    put(map ? "{" : "[");
    for (uint64_t i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key,
                 "\"k%llu\":", (unsigned long long)(rng_below(&rng, 50) == 0 ? 0 : i));
        put_space();
        if (map)
            put(key);
        put_value(depth + 1);
        put_space();
        if (i + 1 < count)
            put(",");
    }
    put(map ? "}" : "]");
}

static void put_value(unsigned depth)
{
    put_space();
    uint64_t kind = rng_below(&rng, depth < 10 ? 8 : 6);
    if (kind < 2)
        put_string();
    else if (kind < 4)
        put_number();
    else if (kind < 6)
        put(ANY("true", "false", "null"));
    else
        put_container(depth);
}

static void put_member(void)
{
    const char *name =
        ANY("\"type\":\"order.created\"", "\"subject\":\"s\"", "\"source\":\"shop\"",
            "\"time\":\"2026-01-02T03:04:05Z\"", "\"schemaversion\":2", "\"specversion\":\"1.0\"",
            "\"data\":{}",
            "\"id\":", "\"ext\":", "\"data\":", "\"subject\":", "\"sequence\":", "\"time\":");
    put(name);
    if (name[strlen(name) - 1] == ':')
        put_value(0);
}

static void put_line(void)
{
    size = 0;
    put("{\"type\":\"order.created\"");
    uint64_t count = rng_below(&rng, 5);
    for (uint64_t i = 0; i < count; i++) {
        put(",");
        put_space();
        put_member();
    }
    if (rng_below(&rng, 2) == 0) {
        put(",\"payload\":7,\"data\":{\"v\":");
        put_value(1);
        put("}");
    }
    put("}");
    if (rng_below(&rng, 10) == 0) /* one byte of it becomes another */
        text[rng_below(&rng, size)] = (char)rng_below(&rng, 256);
}

static void random_lines_have_one_meaning(void **state)
{
    (void)state;
    uint64_t read = 0, lines = test_number("WEIR_LINES", 200000);
    rng = test_rng();
    for (uint64_t i = 0; i < lines; i++) {
        put_line();
        if (compare((struct slice){(const uint8_t *)text, size}, 7))
            read++;
    }
    assert_true(read > lines / 10); /* else nothing was compared */
    assert_true(read < lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines_of_the_usual_shape),
        cmocka_unit_test(gives_up_on_the_rest),
        cmocka_unit_test(a_line_without_a_time_may_be_bad),
        cmocka_unit_test(gives_up_where_the_buffer_is_small),
        cmocka_unit_test(random_lines_have_one_meaning),
    };
    return cmocka_run_group_tests_name("json_fast", tests, set_up, tear_down);
}
