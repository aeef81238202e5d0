#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "projector/query_print.h"

#define TIME 1767323045000000006ULL

static void append_position(struct buffer *map, uint32_t pairs)
{
    codec_map(map, pairs);
    codec_text(map, "view");
    codec_text(map, "limits");
    codec_text(map, "log_id");
    codec_bin(map, (struct slice){(const uint8_t *)"\x01\xff", 2});
    codec_text(map, "event_id");
    codec_uint(map, 12);
    codec_text(map, "rejection_id");
    codec_uint(map, 3);
    codec_text(map, "time");
    codec_uint(map, TIME);
    codec_text(map, "digest");
    codec_text(map, "00ff");
    codec_text(map, "rows");
}

static void append_row(struct buffer *map, const char *key, uint64_t accepted, uint64_t refused_at)
{
    codec_map(map, 3);
    codec_text(map, "key");
    codec_text(map, key);
    codec_text(map, "accepted");
    codec_uint(map, accepted);
    codec_text(map, "last_refused_at");
    if (refused_at == 0)
        codec_nil(map);
    else
        codec_uint(map, refused_at);
}

static struct buffer reply_of_two_rows(void)
{
    struct buffer map;
    buffer_init(&map, 4096);
    append_position(&map, 7);
    codec_array(&map, 2);
    append_row(&map, "é", 5, 0);
    append_row(&map, "user\n\x1b[2Jx", 1234, TIME);
    assert_int_equal(map.status, STATUS_OK);
    return map;
}

static void expect_text(struct buffer *text, const char *expected)
{
    buffer_append(text, "", 1);
    assert_int_equal(text->status, STATUS_OK);
    assert_string_equal((const char *)text->data, expected);
    buffer_fini(text);
}

static void prints_rows_in_aligned_columns_without_control_characters(void **state)
{
    (void)state;
    struct buffer map = reply_of_two_rows(), text;
    buffer_init(&text, 4096);
    assert_int_equal(query_print_table(buffer_slice(&map), &text), STATUS_OK);
    expect_text(&text, "key               accepted  last_refused_at\n"
                       "é                        5  -\n"
                       "user\\x0a\\x1b[2Jx      1234  2026-01-02T03:04:05.000000006Z\n");
    buffer_fini(&map);
}

static void prints_nothing_for_a_view_without_rows(void **state)
{
    (void)state;
    struct buffer map, text;
    buffer_init(&map, 4096);
    buffer_init(&text, 4096);
    append_position(&map, 7);
    codec_array(&map, 0);
    assert_int_equal(query_print_table(buffer_slice(&map), &text), STATUS_OK);
    assert_int_equal(text.size, 0);
    buffer_fini(&map);
    buffer_fini(&text);
}

static void says_at_which_position_the_rows_are(void **state)
{
    (void)state;
    struct buffer map = reply_of_two_rows(), text;
    buffer_init(&text, 4096);
    assert_int_equal(query_print_position(buffer_slice(&map), &text), STATUS_OK);
    expect_text(&text, "limits as of event 12, rejection 3, 2026-01-02T03:04:05.000000006Z, digest "
                       "00ff\n");
    buffer_fini(&map);
}

static void says_when_there_are_more_rows(void **state)
{
    (void)state;
    struct buffer map, text;
    buffer_init(&map, 4096);
    buffer_init(&text, 4096);
    append_position(&map, 8);
    codec_array(&map, 0);
    codec_text(&map, "next");
    codec_uint(&map, 10000);
    assert_int_equal(query_print_position(buffer_slice(&map), &text), STATUS_OK);
    expect_text(&text, "limits as of event 12, rejection 3, 2026-01-02T03:04:05.000000006Z, digest "
                       "00ff; only the first 10000 rows\n");
    buffer_fini(&map);
}

static void prints_json_with_ids_and_times_as_strings(void **state)
{
    (void)state;
    struct buffer map = reply_of_two_rows(), text;
    buffer_init(&text, 4096);
    assert_int_equal(query_print_json(buffer_slice(&map), &text), STATUS_OK);
    expect_text(&text,
                "{\"view\":\"limits\",\"log_id\":\"01ff\",\"event_id\":\"12\",\"rejection_id\":"
                "\"3\",\"time\":\"1767323045000000006\",\"digest\":\"00ff\",\"rows\":[{\"key\":"
                "\"é\",\"accepted\":5,\"last_refused_at\":null},{\"key\":"
                "\"user\\u000a\\u001b[2Jx\",\"accepted\":1234,\"last_refused_at\":"
                "\"1767323045000000006\"}]}\n");
    buffer_fini(&map);
}

static void refuses_a_map_that_is_no_view_wherever_it_breaks(void **state)
{
    (void)state;
    struct buffer map = reply_of_two_rows(), text;
    buffer_init(&text, 65536);
    for (size_t size = 0; size < map.size; size++) {
        struct slice torn = {map.data, size};
        buffer_clear(&text);
        assert_int_not_equal(query_print_table(torn, &text), STATUS_OK);
        buffer_clear(&text);
        assert_int_not_equal(query_print_json(torn, &text), STATUS_OK);
        buffer_clear(&text);
        (void)!query_print_position(torn, &text);
    }
    buffer_fini(&map);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_rows_in_aligned_columns_without_control_characters),
        cmocka_unit_test(prints_nothing_for_a_view_without_rows),
        cmocka_unit_test(says_at_which_position_the_rows_are),
        cmocka_unit_test(says_when_there_are_more_rows),
        cmocka_unit_test(prints_json_with_ids_and_times_as_strings),
        cmocka_unit_test(refuses_a_map_that_is_no_view_wherever_it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
