#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/event/json.h"
#include "projector/http/view_page.h"

enum { MAP_BYTES_MAX = 4096 };

/* {"view":"v","rows":[{"n":0},…],"digest":"d"}, with `next` in the middle unless it is 0. */
static struct buffer map_of(uint32_t rows, uint64_t next)
{
    struct buffer map;
    buffer_init(&map, MAP_BYTES_MAX);
    codec_map(&map, next > 0 ? 4 : 3);
    codec_text(&map, "view");
    codec_text(&map, "v");
    if (next > 0) {
        codec_text(&map, "next");
        codec_uint(&map, next);
    }
    codec_text(&map, "rows");
    codec_array(&map, rows);
    for (uint32_t i = 0; i < rows; i++) {
        codec_map(&map, 1);
        codec_text(&map, "n");
        codec_uint(&map, i);
    }
    codec_text(&map, "digest");
    codec_text(&map, "d");
    assert_int_equal(map.status, STATUS_OK);
    return map;
}

static void expect_page(struct buffer map, uint64_t offset, uint64_t limit, const char *expected)
{
    struct buffer page, text;
    buffer_init(&page, MAP_BYTES_MAX);
    buffer_init(&text, MAP_BYTES_MAX);
    assert_int_equal(view_page_cut(buffer_slice(&map), offset, limit, &page), STATUS_OK);
    assert_int_equal(json_write_item(buffer_slice(&page), &text), STATUS_OK);
    buffer_append(&text, "", 1);
    assert_string_equal((const char *)text.data, expected);
    buffer_fini(&page);
    buffer_fini(&text);
    buffer_fini(&map);
}

static void a_page_is_cut_out_of_the_rows_and_says_what_is_next(void **state)
{
    (void)state;
    expect_page(map_of(4, 0), 1, 2,
                "{\"view\":\"v\",\"rows\":[{\"n\":1},{\"n\":2}],\"digest\":\"d\",\"next\":3}");
    expect_page(map_of(4, 0), 0, 1,
                "{\"view\":\"v\",\"rows\":[{\"n\":0}],\"digest\":\"d\",\"next\":1}");
}

static void the_last_page_has_no_next(void **state)
{
    (void)state;
    expect_page(map_of(4, 0), 2, 2,
                "{\"view\":\"v\",\"rows\":[{\"n\":2},{\"n\":3}],\"digest\":\"d\"}");
    expect_page(map_of(4, 0), 3, 100, "{\"view\":\"v\",\"rows\":[{\"n\":3}],\"digest\":\"d\"}");
    expect_page(map_of(2, 0), 0, 0,
                "{\"view\":\"v\",\"rows\":[{\"n\":0},{\"n\":1}],\"digest\":\"d\"}");
}

static void a_page_behind_the_last_row_is_empty(void **state)
{
    (void)state;
    expect_page(map_of(4, 0), 4, 1, "{\"view\":\"v\",\"rows\":[],\"digest\":\"d\"}");
    expect_page(map_of(4, 0), UINT64_MAX, UINT64_MAX,
                "{\"view\":\"v\",\"rows\":[],\"digest\":\"d\"}");
    expect_page(map_of(0, 0), 0, 5, "{\"view\":\"v\",\"rows\":[],\"digest\":\"d\"}");
}

static void rows_that_the_reply_left_out_stay_next(void **state)
{
    (void)state;
    expect_page(map_of(3, 3), 1, 0,
                "{\"view\":\"v\",\"rows\":[{\"n\":1},{\"n\":2}],\"digest\":\"d\",\"next\":3}");
    expect_page(map_of(3, 3), 0, 1,
                "{\"view\":\"v\",\"rows\":[{\"n\":0}],\"digest\":\"d\",\"next\":1}");
}

static void what_is_no_view_is_refused(void **state)
{
    (void)state;
    struct buffer map = map_of(3, 3), page;
    for (size_t size = 0; size < map.size; size++) {
        buffer_init(&page, MAP_BYTES_MAX);
        assert_int_not_equal(view_page_cut((struct slice){map.data, size}, 0, 1, &page), STATUS_OK);
        buffer_fini(&page);
    }
    buffer_fini(&map);
    static const uint8_t list[] = "\x91\x01", texts[] = "\x81\xa4rows\xa1x";
    buffer_init(&page, MAP_BYTES_MAX);
    assert_int_not_equal(view_page_cut((struct slice){list, 2}, 0, 1, &page), STATUS_OK);
    assert_int_not_equal(view_page_cut((struct slice){texts, sizeof texts - 1}, 0, 1, &page),
                         STATUS_OK);
    buffer_fini(&page);
}

static void a_page_that_does_not_fit_is_a_status(void **state)
{
    (void)state;
    struct buffer map = map_of(3, 0), page;
    buffer_init(&page, 8);
    assert_int_equal(view_page_cut(buffer_slice(&map), 0, 0, &page), STATUS_FULL);
    buffer_fini(&page);
    buffer_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_cut_out_of_the_rows_and_says_what_is_next),
        cmocka_unit_test(the_last_page_has_no_next),
        cmocka_unit_test(a_page_behind_the_last_row_is_empty),
        cmocka_unit_test(rows_that_the_reply_left_out_stay_next),
        cmocka_unit_test(what_is_no_view_is_refused),
        cmocka_unit_test(a_page_that_does_not_fit_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
