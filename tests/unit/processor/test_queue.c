#include "processor/queue.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/lib/seed.h"

enum { CAPACITY = 4, LONG_MS = 60000 };

/* Items are numbers; the queue never looks at what they point to. */
static void *item_of(uintptr_t number)
{
    return (void *)number;
}

static uintptr_t number_of(void *item)
{
    return (uintptr_t)item;
}

static bool is_readable(const struct queue *queue)
{
    struct pollfd polled = {.fd = queue_descriptor(queue), .events = POLLIN};
    return poll(&polled, 1, 0) == 1;
}

static void hands_items_on_in_order(void **test_state)
{
    (void)test_state;
    struct queue *queue = queue_new(CAPACITY, false);
    void *items[CAPACITY];
    for (uintptr_t round = 0; round < 10; round++) {
        for (uintptr_t i = 0; i < 3; i++)
            queue_push(queue, item_of(3 * round + i));
        assert_int_equal(queue_pop(queue, items, 2, 0), 2);
        assert_int_equal(number_of(items[0]), 3 * round);
        assert_int_equal(number_of(items[1]), 3 * round + 1);
        assert_int_equal(queue_pop(queue, items, CAPACITY, 0), 1);
        assert_int_equal(number_of(items[0]), 3 * round + 2);
    }
    queue_destroy(&queue);
    assert_null(queue);
    queue_destroy(&queue);
}

static void refuses_more_than_its_capacity(void **test_state)
{
    (void)test_state;
    struct queue *queue = queue_new(CAPACITY, false);
    void *item;
    for (uintptr_t i = 0; i < CAPACITY; i++)
        assert_int_equal(queue_try_push(queue, item_of(i)), STATUS_OK);
    assert_int_equal(queue_try_push(queue, item_of(9)), STATUS_FULL);
    assert_int_equal(queue_pop(queue, &item, 1, 0), 1);
    assert_int_equal(queue_try_push(queue, item_of(9)), STATUS_OK);
    assert_int_equal(queue_try_push(queue, item_of(10)), STATUS_FULL);
    queue_destroy(&queue);
}

static void gives_nothing_when_it_stays_empty(void **test_state)
{
    (void)test_state;
    struct queue *queue = queue_new(CAPACITY, false);
    void *item;
    assert_int_equal(queue_pop(queue, &item, 1, 0), 0);
    assert_int_equal(queue_pop(queue, &item, 1, 1), 0);
    assert_false(queue_finished(queue));
    assert_int_equal(queue_descriptor(queue), -1);
    queue_destroy(&queue);
}

static void descriptor_is_readable_exactly_while_it_holds_something(void **test_state)
{
    (void)test_state;
    struct rng rng;
    rng_init(&rng, test_seed(1));
    struct queue *queue = queue_new(CAPACITY, true);
    uintptr_t pushed = 0, popped = 0;
    for (int step = 0; step < 5000; step++) {
        void *items[CAPACITY];
        if (rng_below(&rng, 2) == 0) {
            bool full = pushed - popped == CAPACITY;
            assert_int_equal(queue_try_push(queue, item_of(pushed)),
                             full ? STATUS_FULL : STATUS_OK);
            pushed += full ? 0 : 1;
        } else {
            uint32_t max = (uint32_t)rng_below(&rng, CAPACITY + 1);
            uint32_t taken = queue_pop(queue, items, max, 0);
            assert_int_equal(taken, pushed - popped < max ? pushed - popped : max);
            for (uint32_t i = 0; i < taken; i++)
                assert_int_equal(number_of(items[i]), popped++);
        }
        assert_int_equal(is_readable(queue), pushed > popped);
    }
    queue_destroy(&queue);
}

static void gives_what_is_left_after_it_was_closed_and_then_is_finished(void **test_state)
{
    (void)test_state;
    struct queue *queue = queue_new(CAPACITY, false);
    void *items[CAPACITY];
    queue_push(queue, item_of(1));
    queue_push(queue, item_of(2));
    queue_close(queue);
    assert_false(queue_finished(queue));
    assert_int_equal(queue_pop(queue, items, CAPACITY, LONG_MS), 2);
    assert_true(queue_finished(queue));
    assert_int_equal(queue_pop(queue, items, CAPACITY, LONG_MS), 0);
    queue_destroy(&queue);
}

static void *pop_until_finished(void *queue)
{
    void *item;
    while (!queue_finished(queue))
        (void)queue_pop(queue, &item, 1, LONG_MS);
    return NULL;
}

static void closing_wakes_all_who_wait(void **test_state)
{
    (void)test_state;
    struct queue *queue = queue_new(CAPACITY, true);
    pthread_t waiters[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&waiters[i], NULL, pop_until_finished, queue), 0);
    queue_close(queue);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(waiters[i], NULL), 0);
    queue_destroy(&queue);
}

/* ---- many threads -------------------------------------------------------------------------- */

enum { PUSHERS = 3, POPPERS = 2, ITEMS_EACH = 3000 };

struct crowd {
    struct queue *queue;
    atomic_uint names; /* gives each pusher its own */
    atomic_uint seen[PUSHERS * ITEMS_EACH];
    atomic_bool out_of_order;
};

static void *push_mine(void *context)
{
    struct crowd *crowd = context;
    uintptr_t first = (uintptr_t)atomic_fetch_add(&crowd->names, 1) * ITEMS_EACH;
    for (uintptr_t i = 0; i < ITEMS_EACH; i++)
        queue_push(crowd->queue, item_of(first + i));
    return NULL;
}

/* What one popper sees of one pusher is in order. */
static void *pop_and_count(void *context)
{
    struct crowd *crowd = context;
    uintptr_t last[PUSHERS] = {0};
    void *items[CAPACITY];
    while (!queue_finished(crowd->queue)) {
        uint32_t taken = queue_pop(crowd->queue, items, CAPACITY, LONG_MS);
        for (uint32_t i = 0; i < taken; i++) {
            uintptr_t number = number_of(items[i]);
            uintptr_t *before = &last[number / ITEMS_EACH];
            if (*before != 0 && number <= *before)
                atomic_store(&crowd->out_of_order, true);
            *before = number;
            atomic_fetch_add(&crowd->seen[number], 1);
        }
    }
    return NULL;
}

static void pushers_wait_for_room_and_nothing_is_lost_or_doubled(void **test_state)
{
    (void)test_state;
    static struct crowd crowd;
    pthread_t pushers[PUSHERS], poppers[POPPERS];
    crowd.queue = queue_new(CAPACITY, true);
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_create(&pushers[i], NULL, push_mine, &crowd), 0);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(pthread_create(&poppers[i], NULL, pop_and_count, &crowd), 0);
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_join(pushers[i], NULL), 0);
    queue_close(crowd.queue);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(pthread_join(poppers[i], NULL), 0);
    for (int i = 0; i < PUSHERS * ITEMS_EACH; i++)
        assert_int_equal(atomic_load(&crowd.seen[i]), 1);
    assert_false(atomic_load(&crowd.out_of_order));
    assert_false(is_readable(crowd.queue));
    queue_destroy(&crowd.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_items_on_in_order),
        cmocka_unit_test(refuses_more_than_its_capacity),
        cmocka_unit_test(gives_nothing_when_it_stays_empty),
        cmocka_unit_test(descriptor_is_readable_exactly_while_it_holds_something),
        cmocka_unit_test(gives_what_is_left_after_it_was_closed_and_then_is_finished),
        cmocka_unit_test(closing_wakes_all_who_wait),
        cmocka_unit_test(pushers_wait_for_room_and_nothing_is_lost_or_doubled),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
