#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/lib/seed.h"

static struct buffer out;

static int init(void **state)
{
    (void)state;
    buffer_init(&out, 200000);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

/* What was written since the last call. */
static void assert_written(const char *bytes, size_t size)
{
    assert_int_equal(out.status, STATUS_OK);
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, bytes, size);
    buffer_clear(&out);
}

#define WRITTEN(bytes) assert_written(bytes, sizeof(bytes) - 1)

static void writes_the_shortest_form_of_integers(void **state)
{
    (void)state;
    codec_uint(&out, 0x7f);
    WRITTEN("\x7f");
    codec_uint(&out, 0x80);
    WRITTEN("\xcc\x80");
    codec_uint(&out, 0x100);
    WRITTEN("\xcd\x01\x00");
    codec_uint(&out, 0x10000);
    WRITTEN("\xce\x00\x01\x00\x00");
    codec_uint(&out, 0x100000000);
    WRITTEN("\xcf\x00\x00\x00\x01\x00\x00\x00\x00");
    codec_int(&out, 5);
    WRITTEN("\x05");
    codec_int(&out, 200);
    WRITTEN("\xcc\xc8");
    codec_int(&out, -32);
    WRITTEN("\xe0");
    codec_int(&out, -33);
    WRITTEN("\xd0\xdf");
    codec_int(&out, -129);
    WRITTEN("\xd1\xff\x7f");
    codec_int(&out, -32769);
    WRITTEN("\xd2\xff\xff\x7f\xff");
    codec_int(&out, INT64_MIN);
    WRITTEN("\xd3\x80\x00\x00\x00\x00\x00\x00\x00");
}

static void writes_the_other_scalars(void **state)
{
    (void)state;
    codec_nil(&out);
    codec_bool(&out, false);
    codec_bool(&out, true);
    WRITTEN("\xc0\xc2\xc3");
    codec_float(&out, 1.5);
    WRITTEN("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00");
    codec_bin(&out, (struct slice){(const uint8_t *)"\x00\x01", 2});
    WRITTEN("\xc4\x02\x00\x01");
    codec_text(&out, "abc");
    WRITTEN("\xa3"
            "abc");
    codec_text_slice(&out, (struct slice){NULL, 0});
    WRITTEN("\xa0");
}

static void writes_the_shortest_header_of_containers(void **state)
{
    (void)state;
    codec_array(&out, 15);
    codec_array(&out, 16);
    codec_array(&out, 65536);
    WRITTEN("\x9f\xdc\x00\x10\xdd\x00\x01\x00\x00");
    codec_map(&out, 15);
    codec_map(&out, 16);
    codec_map(&out, 65536);
    WRITTEN("\x8f\xde\x00\x10\xdf\x00\x01\x00\x00");
}

static void writes_nothing_after_a_failure(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 4);

    codec_text(&small, "too long for it");
    codec_nil(&small);

    assert_int_equal(small.status, STATUS_FULL);
    assert_true(small.size <= 1);
    buffer_fini(&small);
}

static void a_number_written_at_a_pointer_has_the_packers_bytes(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t value = rng_next(&rng) >> rng_below(&rng, 64);
        uint8_t at[CODEC_UINT_BYTES_MAX];
        size_t size = (size_t)(codec_put_uint(at, value) - at);
        codec_uint(&out, value);
        assert_written((const char *)at, size);
        int64_t negative = (int64_t) ~(value >> 1);
        size = (size_t)(codec_put_int(at, negative) - at);
        codec_int(&out, negative);
        assert_written((const char *)at, size);
    }
}

static void a_text_written_at_a_pointer_has_the_packers_bytes(void **state)
{
    (void)state;
    static uint8_t text[65535], at[65535 + CODEC_TEXT_HEADER_BYTES_MAX];
    const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535};
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct slice slice = {text, sizes[i]};
        size_t size = (size_t)(codec_put_text(at, slice) - at);
        codec_text_slice(&out, slice);
        assert_written((const char *)at, size);
    }
}

static void a_uint64_at_a_pointer_is_always_nine_bytes(void **state)
{
    (void)state;
    uint8_t at[CODEC_UINT_BYTES_MAX];

    assert_ptr_equal(codec_put_uint64(at, 1), at + 9);
    assert_memory_equal(at, "\xcf\x00\x00\x00\x00\x00\x00\x00\x01", 9);
    assert_ptr_equal(codec_put_array(at, 15), at + 1);
    assert_int_equal(at[0], 0x9f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_shortest_form_of_integers),
        cmocka_unit_test(writes_the_other_scalars),
        cmocka_unit_test(writes_the_shortest_header_of_containers),
        cmocka_unit_test(writes_nothing_after_a_failure),
        cmocka_unit_test(a_number_written_at_a_pointer_has_the_packers_bytes),
        cmocka_unit_test(a_text_written_at_a_pointer_has_the_packers_bytes),
        cmocka_unit_test(a_uint64_at_a_pointer_is_always_nine_bytes),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
