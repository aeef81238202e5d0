#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"

static void gives_the_same_numbers_for_ever(void **state)
{
    (void)state;
    struct rng rng;

    rng_init(&rng, 0);

    /* splitmix64 (0), then xoshiro256** */
    assert_true(rng.state[0] == 0xe220a8397b1dcdafULL);
    assert_true(rng.state[3] == 0xf88bb8a8724c81ecULL);
    assert_true(rng_next(&rng) == 0x99ec5f36cb75f2b4ULL);
    assert_true(rng_next(&rng) == 0xbf6e1f784956452aULL);
}

static void stays_below_its_bound_and_reaches_every_number(void **state)
{
    (void)state;
    struct rng rng;
    unsigned seen[6] = {0};
    rng_init(&rng, 7);

    for (unsigned i = 0; i < 6000; i++) {
        uint64_t number = rng_below(&rng, 6);
        assert_true(number < 6);
        seen[number]++;
    }

    for (unsigned i = 0; i < 6; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_int_equal(rng_below(&rng, 1), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(rng_below(&rng, UINT64_C(1) << 40) < UINT64_C(1) << 40);
}

static void seeds_from_the_kernel_differ(void **state)
{
    (void)state;
    assert_true(rng_seed_random() != rng_seed_random());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_numbers_for_ever),
        cmocka_unit_test(stays_below_its_bound_and_reaches_every_number),
        cmocka_unit_test(seeds_from_the_kernel_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
