#include "common/base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void keeps_its_items_while_it_grows(void **unused)
{
    (void)unused;
    uint64_t *items = NULL;
    uint32_t capacity = 0;
    for (uint32_t count = 0; count < 1000; count++) {
        uint64_t *reached = array_reach(items, &capacity, count, sizeof *items);
        assert_non_null(reached);
        items = reached;
        assert_in_range(capacity, count + 1, 2000);
        items[count] = count * 7;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i * 7);
    free(items);
}

static void stays_where_it_is_while_there_is_room(void **unused)
{
    (void)unused;
    uint32_t capacity = 0;
    char *items = array_reach(NULL, &capacity, 0, 1);
    assert_non_null(items);
    assert_int_equal(capacity, ARRAY_CAPACITY_FIRST);
    for (uint32_t count = 0; count < ARRAY_CAPACITY_FIRST; count++)
        assert_ptr_equal(array_reach(items, &capacity, count, 1), items);
    assert_int_equal(capacity, ARRAY_CAPACITY_FIRST);
    free(items);
}

static void changes_nothing_when_it_cannot_grow(void **unused)
{
    (void)unused;
    uint32_t capacity = ARRAY_CAPACITY_MAX; /* as far as it knows */
    char *items = malloc(1);
    assert_non_null(items);
    items[0] = 'x';
    assert_null(array_reach(items, &capacity, capacity, 1));
    assert_int_equal(capacity, ARRAY_CAPACITY_MAX);
    assert_int_equal(items[0], 'x');
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_items_while_it_grows),
        cmocka_unit_test(stays_where_it_is_while_there_is_room),
        cmocka_unit_test(changes_nothing_when_it_cannot_grow),
    };
    return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
