#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "processor/core/window.h"
#include "tests/lib/seed.h"

enum { ENTRIES_MAX = 4000, LENGTH_NS = 1000 };

struct fixture {
    struct pool pool;
    struct window window;
};

static struct fixture fixture(void)
{
    struct fixture f;
    pool_init(&f.pool);
    window_init(&f.window);
    return f;
}

static void add(struct fixture *f, uint64_t stamp_ns, uint64_t cost)
{
    assert_int_equal(window_add(&f->window, &f->pool, stamp_ns, cost, LENGTH_NS), STATUS_OK);
}

static uint64_t wait(const struct fixture *f, uint64_t room, uint64_t now_ns)
{
    return window_wait_ns(&f->window, &f->pool, room, now_ns, LENGTH_NS);
}

static void a_stamp_counts_until_exactly_one_length_later(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    add(&f, 500, 1);
    assert_int_equal(wait(&f, 0, 500), 1000);
    assert_int_equal(wait(&f, 0, 1499), 1);
    assert_int_equal(wait(&f, 0, 1500), 0);
    assert_int_equal(wait(&f, 1, 500), 0);
    pool_fini(&f.pool);
}

static void waits_for_as_many_of_the_oldest_as_it_must(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    add(&f, 100, 2);
    add(&f, 200, 1);
    add(&f, 300, 3);
    assert_int_equal(wait(&f, 6, 300), 0);
    assert_int_equal(wait(&f, 5, 300), 800);
    assert_int_equal(wait(&f, 4, 300), 800);
    assert_int_equal(wait(&f, 3, 300), 900);
    assert_int_equal(wait(&f, 2, 300), 1000);
    assert_int_equal(wait(&f, 0, 300), 1000);
    pool_fini(&f.pool);
}

static void trimming_drops_what_ended_and_nothing_else(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    add(&f, 100, 2);
    add(&f, 200, 1);
    add(&f, 300, 3);
    window_trim(&f.window, &f.pool, 1199, LENGTH_NS);
    assert_int_equal(f.window.units, 4);
    window_trim(&f.window, &f.pool, 1200, LENGTH_NS);
    assert_int_equal(f.window.units, 3);
    assert_int_equal(window_newest_ns(&f.window, &f.pool), 300);
    window_trim(&f.window, &f.pool, 1300, LENGTH_NS);
    assert_int_equal(f.window.units, 0);
    assert_int_equal(f.window.head, POOL_NONE);
    assert_int_equal(f.window.tail, POOL_NONE);
    pool_fini(&f.pool);
}

static void stamps_further_apart_than_32_bits_stay_exact(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    uint64_t length_ns = 1ULL << 40, far_ns = 7ULL + UINT32_MAX;
    assert_int_equal(window_add(&f.window, &f.pool, 7, 1, length_ns), STATUS_OK);
    assert_int_equal(window_add(&f.window, &f.pool, far_ns, 1, length_ns), STATUS_OK);
    assert_int_equal(f.window.head, f.window.tail);
    assert_int_equal(window_add(&f.window, &f.pool, far_ns + 1, 1, length_ns), STATUS_OK);
    assert_int_not_equal(f.window.head, f.window.tail);
    uint64_t now_ns = far_ns + 1;
    assert_true(window_wait_ns(&f.window, &f.pool, 2, now_ns, length_ns) == 7 + length_ns - now_ns);
    assert_true(window_wait_ns(&f.window, &f.pool, 1, now_ns, length_ns) == length_ns - 1);
    assert_true(window_wait_ns(&f.window, &f.pool, 0, now_ns, length_ns) == length_ns);
    window_clear(&f.window, &f.pool);
    pool_fini(&f.pool);
}

static void twelve_units_take_one_chunk(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    for (uint64_t i = 0; i < 12; i++)
        add(&f, 100 + i, 1);
    assert_int_equal(f.window.head, f.window.tail);
    add(&f, 112, 1);
    assert_int_not_equal(f.window.head, f.window.tail);
    pool_fini(&f.pool);
}

static void a_burst_with_one_stamp_takes_two_chunks(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    for (uint64_t i = 0; i < 100000; i++)
        add(&f, 100, 1);
    assert_int_equal(f.window.units, 100000);
    assert_int_equal(f.pool.cell_count, 2);
    assert_int_equal(wait(&f, 0, 1099), 1);
    pool_fini(&f.pool);
}

static void a_window_that_is_only_added_to_does_not_outgrow_what_counts(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    for (uint64_t i = 0; i < 100000; i++)
        add(&f, i * 10, 1);
    assert_in_range(f.window.units, 100, 112);
    assert_true(f.pool.cell_count < 12);
    pool_fini(&f.pool);
}

static void a_sum_past_64_bits_is_refused_and_changes_nothing(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    add(&f, 1, UINT64_MAX - 1);
    add(&f, 2, 1);
    assert_int_equal(window_add(&f.window, &f.pool, 3, 1, LENGTH_NS), STATUS_TOO_LARGE);
    assert_true(f.window.units == UINT64_MAX);
    assert_int_equal(wait(&f, 1, 3), 998);
    pool_fini(&f.pool);
}

static void chunks_are_used_again(void **unused)
{
    (void)unused;
    struct fixture f = fixture();
    for (unsigned round = 0; round < 100; round++) {
        for (uint64_t i = 0; i < 50; i++)
            add(&f, round * 100000 + i, 1 + i % 3);
        window_clear(&f.window, &f.pool);
        assert_int_equal(f.window.units, 0);
    }
    assert_true(f.pool.cell_count < 60);
    pool_fini(&f.pool);
}

/* ---- against plain lists ---- */

struct plain {
    uint32_t count;
    uint64_t stamps_ns[ENTRIES_MAX];
    uint64_t costs[ENTRIES_MAX];
};

static uint64_t plain_sum(const struct plain *plain, uint64_t now_ns)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plain->count; i++)
        sum += plain->stamps_ns[i] + LENGTH_NS > now_ns ? plain->costs[i] : 0;
    return sum;
}

static uint64_t plain_wait(const struct plain *plain, uint64_t room, uint64_t now_ns)
{
    uint64_t left = plain_sum(plain, now_ns);
    for (uint32_t i = 0; left > room; i++) {
        uint64_t end_ns = plain->stamps_ns[i] + LENGTH_NS;
        if (end_ns <= now_ns)
            continue;
        left -= plain->costs[i];
        if (left <= room)
            return end_ns - now_ns;
    }
    return 0;
}

/* `count` entries: now and then a new time up to `step` later, seldom one that leaves but the last
 * few chunks, costs up to `weight`. */
static void compare(struct rng *rng, struct plain *plain, uint32_t count, uint64_t step,
                    uint64_t weight)
{
    struct fixture f = fixture();
    uint64_t now_ns = 0;
    plain->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        now_ns += rng_below(rng, 3) == 0 ? rng_below(rng, step) : 0;
        now_ns += rng_below(rng, 500) == 0 ? LENGTH_NS - 1 - rng_below(rng, 50) : 0;
        uint64_t cost = 1 + rng_below(rng, weight);
        add(&f, now_ns, cost);
        plain->stamps_ns[plain->count] = now_ns;
        plain->costs[plain->count++] = cost;
        if (rng_below(rng, 8) == 0)
            window_trim(&f.window, &f.pool, now_ns, LENGTH_NS);
        uint64_t room = rng_below(rng, plain_sum(plain, now_ns) + 1);
        assert_int_equal(wait(&f, room, now_ns), plain_wait(plain, room, now_ns));
    }
    window_trim(&f.window, &f.pool, now_ns, LENGTH_NS);
    assert_true(f.window.units == plain_sum(plain, now_ns));
    window_clear(&f.window, &f.pool);
    pool_fini(&f.pool);
}

static void answers_as_a_plain_list_does(void **unused)
{
    (void)unused;
    struct rng rng;
    rng_init(&rng, test_seed(rng_seed_random() >> 32));
    struct plain *plain = malloc(sizeof *plain);
    assert_non_null(plain);
    for (unsigned round = 0; round < 60; round++)
        compare(&rng, plain, 100, 1 + rng_below(&rng, 300), 1 + rng_below(&rng, 3));
    for (unsigned round = 0; round < 9; round++)
        compare(&rng, plain, ENTRIES_MAX, 2 + round % 3, 1 + round % 2 * 20);
    free(plain);
}

static void a_long_walk_is_cut_short_and_as_exact(void **unused)
{
    (void)unused;
    enum { UNITS = 3000000 };
    struct fixture f = fixture();
    for (uint64_t i = 0; i < UNITS; i++)
        assert_int_equal(window_add(&f.window, &f.pool, i, 1, UNITS), STATUS_OK);
    assert_int_not_equal(f.window.express, POOL_NONE);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t room = UNITS / 2 + i;
        uint64_t wait_ns = window_wait_ns(&f.window, &f.pool, room, UNITS - 1, UNITS);
        assert_int_equal(wait_ns, UNITS - room);
    }
    window_trim(&f.window, &f.pool, UNITS + UNITS / 2, UNITS);
    assert_int_equal(window_wait_ns(&f.window, &f.pool, 0, UNITS + UNITS / 2, UNITS),
                     UNITS / 2 - 1);
    window_clear(&f.window, &f.pool);
    pool_fini(&f.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_counts_until_exactly_one_length_later),
        cmocka_unit_test(waits_for_as_many_of_the_oldest_as_it_must),
        cmocka_unit_test(trimming_drops_what_ended_and_nothing_else),
        cmocka_unit_test(stamps_further_apart_than_32_bits_stay_exact),
        cmocka_unit_test(twelve_units_take_one_chunk),
        cmocka_unit_test(a_burst_with_one_stamp_takes_two_chunks),
        cmocka_unit_test(a_window_that_is_only_added_to_does_not_outgrow_what_counts),
        cmocka_unit_test(a_sum_past_64_bits_is_refused_and_changes_nothing),
        cmocka_unit_test(chunks_are_used_again),
        cmocka_unit_test(answers_as_a_plain_list_does),
        cmocka_unit_test(a_long_walk_is_cut_short_and_as_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
