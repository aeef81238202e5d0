#include "processor/tools/roll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct roll *roll;
static struct buffer bytes;
static struct source_record record;

static int set_up(void **state)
{
    (void)state;
    roll = roll_new();
    buffer_init(&bytes, 1024);
    return roll == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    roll_destroy(&roll);
    buffer_fini(&bytes);
    return 0;
}

static void enter(uint32_t source, uint64_t last, const struct refused_run *runs, uint32_t count)
{
    buffer_clear(&bytes);
    source_record_write(&bytes, slice_of_text("s"), 1, last, runs, count);
    struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
    assert_int_equal(source_record_read(&reader, &record), STATUS_OK);
    assert_int_equal(roll_enter(roll, source, &record), STATUS_OK);
}

static void a_source_is_entered_once_a_batch(void **state)
{
    (void)state;
    enter(1000, 5, NULL, 0);
    assert_true(roll_has(roll, 1000));
    assert_false(roll_has(roll, 999));
    assert_false(roll_has(roll, 100000));
    assert_int_equal(roll_enter(roll, 1000, &record), STATUS_OUT_OF_ORDER);
    assert_int_equal(roll_count(roll), 1);
    assert_int_equal(roll_at(roll, 0).last_sequence, 5);
    roll_clear(roll);
    assert_false(roll_has(roll, 1000));
    enter(1000, 6, NULL, 0);
}

static void records_take_the_next_refused_sequences(void **state)
{
    (void)state;
    const struct refused_run runs[] = {{3, 4}, {9, 1}};
    enter(2, 9, runs, 2);
    assert_false(roll_take(roll, 2, 4, 1));
    assert_false(roll_take(roll, 2, 3, 5));
    assert_true(roll_take(roll, 2, 3, 1));
    assert_true(roll_take(roll, 2, 4, 3));
    assert_true(roll_take(roll, 2, 9, 1));
    assert_false(roll_take(roll, 2, 10, 1));
    assert_int_equal(roll_at(roll, 0).left, 0);
    assert_int_equal(roll_untold(roll), 0);
}

static void what_was_summed_up_is_taken_up_to_the_next_record(void **state)
{
    (void)state;
    const struct refused_run runs[] = {{3, 4}, {8, 2}};
    struct refused_run run;
    enter(2, 9, runs, 2);
    assert_false(roll_take_before(roll, 2, 2, 5, &run));
    assert_true(roll_take_before(roll, 2, 3, 5, &run));
    assert_int_equal(run.first, 3);
    assert_int_equal(run.count, 2);
    assert_false(roll_take_before(roll, 2, 5, 5, &run));
    assert_true(roll_take(roll, 2, 5, 1));
    assert_true(roll_take_before(roll, 2, 6, 100, &run));
    assert_int_equal(run.count, 1);
    assert_false(roll_take_before(roll, 2, 7, 100, &run));
    assert_true(roll_take_before(roll, 2, 8, 100, &run));
    assert_int_equal(run.count, 2);
    assert_int_equal(roll_untold(roll), 5);
}

int main(void)
{
#define with_roll(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_roll(a_source_is_entered_once_a_batch),
        with_roll(records_take_the_next_refused_sequences),
        with_roll(what_was_summed_up_is_taken_up_to_the_next_record),
    };
    return cmocka_run_group_tests_name("roll", tests, NULL, NULL);
}
