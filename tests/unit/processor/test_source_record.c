#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "processor/store/source_record.h"

static struct buffer buffer;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&buffer, 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&buffer);
    return 0;
}

static void gives_back_what_was_written(void **state)
{
    (void)state;
    const struct refused_run runs[] = {{3, 1}, {7, 100}, {200, UINT64_MAX - 300}};
    source_record_write(&buffer, slice_of_text("shop/1"), 4, UINT64_MAX - 100, runs, 3);
    source_record_write(&buffer, slice_of_text("shop/2"), 1, 0, NULL, 0);
    struct mp_reader reader = mp_reader_of(buffer_slice(&buffer));
    struct source_record record;
    assert_int_equal(source_record_read(&reader, &record), STATUS_OK);
    assert_true(slice_equal_text(record.source, "shop/1"));
    assert_int_equal(record.epoch, 4);
    assert_int_equal(record.last_sequence, UINT64_MAX - 100);
    assert_int_equal(record.run_count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct refused_run run;
        assert_int_equal(refused_run_read(&record.runs, &run), STATUS_OK);
        assert_int_equal(run.first, runs[i].first);
        assert_int_equal(run.count, runs[i].count);
    }
    assert_true(mp_at_end(&record.runs));
    assert_int_equal(source_record_read(&reader, &record), STATUS_OK);
    assert_true(slice_equal_text(record.source, "shop/2"));
    assert_int_equal(record.run_count, 0);
    assert_true(mp_at_end(&reader));
}

static void has_these_bytes(void **state)
{
    (void)state;
    static const uint8_t golden[] = {0x94, 0xa6, 's',  'h',  'o',  'p',  '/', '1',
                                     0x02, 0x09, 0x94, 0x03, 0x01, 0x07, 0x02};
    const struct refused_run runs[] = {{3, 1}, {7, 2}};
    source_record_write(&buffer, slice_of_text("shop/1"), 2, 9, runs, 2);
    assert_int_equal(buffer.size, sizeof golden);
    assert_memory_equal(buffer.data, golden, sizeof golden);
}

static void refuses_runs_that_cannot_be(void **state)
{
    (void)state;
    static const struct refused_run bad[][2] = {
        {{0, 1}, {7, 1}},              /* sequences begin at 1 */
        {{3, 0}, {7, 1}},              /* empty */
        {{3, 5}, {7, 1}},              /* overlap */
        {{7, 1}, {3, 1}},              /* descend */
        {{3, 1}, {7, 10}},             /* beyond last_sequence */
        {{3, 1}, {7, UINT64_MAX}},     /* overflow */
        {{3, UINT64_MAX - 2}, {9, 1}}, /* ends at 2^64 − 1 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buffer_clear(&buffer);
        source_record_write(&buffer, slice_of_text("shop/1"), 1, 10, bad[i], 2);
        struct mp_reader reader = mp_reader_of(buffer_slice(&buffer));
        struct source_record record;
        assert_int_equal(source_record_read(&reader, &record), STATUS_INVALID);
        assert_ptr_equal(reader.at, buffer.data);
    }
}

static void refuses_every_truncation_and_stays_where_it_was(void **state)
{
    (void)state;
    const struct refused_run runs[] = {{3, 1}, {70000, 2}};
    source_record_write(&buffer, slice_of_text("shop/1"), 2, 90000, runs, 2);
    for (size_t size = 0; size < buffer.size; size++) {
        uint8_t *copy = malloc(size + 1); /* exact, so that a read past the end is seen */
        assert_non_null(copy);
        memcpy(copy, buffer.data, size);
        struct mp_reader reader = {copy, copy + size};
        struct source_record record;
        assert_int_equal(source_record_read(&reader, &record), STATUS_MALFORMED);
        assert_ptr_equal(reader.at, copy);
        free(copy);
    }
}

static void refuses_other_shapes(void **state)
{
    (void)state;
    static const uint8_t odd_numbers[] = {0x94, 0xa1, 's', 1, 9, 0x93, 1, 1, 3};
    static const uint8_t three_items[] = {0x93, 0xa1, 's', 1, 9};
    static const uint8_t no_source[] = {0x94, 0xa0, 1, 9, 0x90};
    static const uint8_t text_epoch[] = {0x94, 0xa1, 's', 0xa1, 'x', 9, 0x90};
    const struct slice all[] = {{odd_numbers, sizeof odd_numbers},
                                {three_items, sizeof three_items},
                                {no_source, sizeof no_source},
                                {text_epoch, sizeof text_epoch}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct mp_reader reader = mp_reader_of(all[i]);
        struct source_record record;
        assert_int_equal(source_record_read(&reader, &record), STATUS_INVALID);
        assert_ptr_equal(reader.at, all[i].data);
    }
}

static void genesis_gives_back_what_was_written(void **state)
{
    (void)state;
    const struct genesis genesis = {.log_id.bytes = {1, 2, 3, 0xff},
                                    .created_at_ns = 1767323045000000006,
                                    .policy_text = slice_of_text("[policy \"a\"]\n")};
    genesis_write(&buffer, &genesis);
    struct genesis back;
    assert_int_equal(genesis_read(buffer_slice(&buffer), &back), STATUS_OK);
    assert_memory_equal(back.log_id.bytes, genesis.log_id.bytes, LOG_ID_BYTES);
    assert_int_equal(back.created_at_ns, genesis.created_at_ns);
    assert_true(slice_equal(back.policy_text, genesis.policy_text));
}

static void genesis_refuses_other_bytes(void **state)
{
    (void)state;
    const struct genesis genesis = {.created_at_ns = 7, .policy_text = slice_of_text("")};
    struct genesis back;
    genesis_write(&buffer, &genesis);
    for (size_t size = 0; size < buffer.size; size++)
        assert_int_not_equal(genesis_read((struct slice){buffer.data, size}, &back), STATUS_OK);
    buffer.data[1] = 2; /* another version */
    assert_int_equal(genesis_read(buffer_slice(&buffer), &back), STATUS_INVALID);
    buffer.data[1] = 1;
    codec_nil(&buffer); /* bytes behind it */
    assert_int_equal(genesis_read(buffer_slice(&buffer), &back), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_these_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_runs_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_every_truncation_and_stays_where_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_other_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(genesis_gives_back_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(genesis_refuses_other_bytes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
