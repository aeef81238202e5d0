#include "projector/core/asof_search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/seed.h"

enum { REJECTIONS_MAX = 200 };

/* Asks until it is found; gives the result and counts the looks. */
static uint64_t found(const uint64_t *after_event_ids, uint64_t last, uint64_t event_id,
                      uint32_t *ret_looks)
{
    struct asof_search search;
    uint64_t id;
    *ret_looks = 0;
    asof_search_init(&search, event_id, 1, last);
    while (asof_search_next(&search, &id)) {
        assert_true(id >= 1 && id <= last);
        asof_search_learn(&search, after_event_ids[id - 1]);
        ++*ret_looks;
    }
    return asof_search_result(&search);
}

static void of_none_there_is_none(void **state)
{
    (void)state;
    uint32_t looks;
    assert_int_equal(found(NULL, 0, 7, &looks), 0);
    assert_int_equal(looks, 0);
}

static void a_rejection_behind_the_event_itself_does_not_belong(void **state)
{
    (void)state;
    static const uint64_t after[] = {0, 6, 7, 8};
    uint32_t looks;
    assert_int_equal(found(after, 4, 7, &looks), 2);
    assert_int_equal(found(after, 4, 8, &looks), 3);
    assert_int_equal(found(after, 4, 0, &looks), 0);
}

static void finds_what_counting_finds(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    for (int round = 0; round < 500; round++) {
        uint64_t after[REJECTIONS_MAX], at = 0, count = rng_below(&rng, REJECTIONS_MAX), wanted = 0;
        for (uint64_t i = 0; i < count; i++)
            after[i] = at += rng_below(&rng, 3);
        uint64_t event_id = rng_below(&rng, at + 3);
        while (wanted < count && after[wanted] < event_id)
            wanted++;
        uint32_t looks;
        assert_int_equal(found(after, count, event_id, &looks), wanted);
        assert_true(looks <= 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_none_there_is_none),
        cmocka_unit_test(a_rejection_behind_the_event_itself_does_not_belong),
        cmocka_unit_test(finds_what_counting_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
