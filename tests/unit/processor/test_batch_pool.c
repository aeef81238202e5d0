#include "processor/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **test_state)
{
    *test_state = batch_pool_new();
    return *test_state == NULL ? 1 : 0;
}

/* The pool asserts that all batches are back. */
static int tear_down(void **test_state)
{
    struct batch_pool *pool = *test_state;
    batch_pool_destroy(&pool);
    return 0;
}

static void a_taken_batch_is_empty(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    assert_true(batch_is_empty(batch));
    assert_false(batch_is_durable_matter(batch));
    assert_int_equal(batch->header.kind, BATCH_ORDINARY);
    assert_true(batch->accepted.capacity >= BATCH_BYTES_MAX);
    batch_release(batch);
}

static void what_was_in_a_batch_is_gone_when_it_is_taken_again(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    batch->header.event_count = 7;
    buffer_append_text(&batch->sources, "s");
    buffer_append_text(&batch->accepted, "a");
    buffer_append_text(&batch->rejected, "r");
    batch_ack_add(batch, slice_of_text("s"), slice_of_text("ack"));
    batch->sources.status = STATUS_FULL;
    batch_release(batch);
    struct batch *again = batch_pool_take(*test_state);
    assert_ptr_equal(again, batch);
    assert_true(batch_is_empty(again));
    assert_int_equal(again->sources.status, STATUS_OK);
    assert_int_equal(again->header.event_count, 0);
    batch_release(again);
}

static void a_batch_lives_until_its_last_reference_is_released(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    buffer_append_text(&batch->accepted, "still there");
    batch_reference(batch);
    batch_release(batch);
    struct batch *other = batch_pool_take(*test_state);
    assert_ptr_not_equal(other, batch);
    assert_memory_equal(batch->accepted.data, "still there", 11);
    batch_release(other);
    batch_release(batch);
}

static void more_batches_than_are_kept_come_and_go(void **test_state)
{
    struct batch *batches[2 * BATCH_POOL_FREE_MAX];
    for (int i = 0; i < 2 * BATCH_POOL_FREE_MAX; i++)
        batches[i] = batch_pool_take(*test_state);
    for (int i = 0; i < 2 * BATCH_POOL_FREE_MAX; i++)
        batch_release(batches[i]);
}

static void only_what_must_be_on_disk_is_durable_matter(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    batch_ack_add(batch, slice_of_text("s"), slice_of_text("ack"));
    assert_false(batch_is_durable_matter(batch));
    assert_false(batch_is_empty(batch));
    buffer_append_text(&batch->sources, "s");
    assert_true(batch_is_durable_matter(batch));
    batch_release(batch);
}

static void the_view_borrows_the_parts(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    batch->header.number = 9;
    buffer_append_text(&batch->sources, "sources");
    buffer_append_text(&batch->accepted, "accepted");
    buffer_append_text(&batch->rejected, "rejected");
    struct batch_view view = batch_view_of(batch);
    assert_int_equal(view.header.number, 9);
    assert_true(slice_equal_text(view.sources, "sources"));
    assert_true(slice_equal_text(view.accepted, "accepted"));
    assert_true(slice_equal_text(view.rejected, "rejected"));
    assert_ptr_equal(view.accepted.data, batch->accepted.data);
    batch_release(batch);
}

static void acks_come_out_as_they_went_in(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    char name[16], frame[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "source-%d", i);
        snprintf(frame, sizeof frame, "the ack of source %d", i);
        batch_ack_add(batch, slice_of_text(name), slice_of_text(frame));
    }
    size_t offset = 0;
    struct slice source, ack;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "source-%d", i);
        snprintf(frame, sizeof frame, "the ack of source %d", i);
        assert_true(batch_ack_next(batch, &offset, &source, &ack));
        assert_true(slice_equal_text(source, name));
        assert_true(slice_equal_text(ack, frame));
    }
    assert_false(batch_ack_next(batch, &offset, &source, &ack));
    batch_release(batch);
}

static void
an_ack_that_does_not_fit_is_left_out_whole_and_the_memory_is_given_back(void **test_state)
{
    enum { FRAME_BYTES = 1024 * 1024 };
    struct batch *batch = batch_pool_take(*test_state);
    uint8_t *frame = calloc(1, FRAME_BYTES);
    assert_non_null(frame);
    for (int i = 0; i < 2 * BATCH_ACKS_BYTES_MAX / FRAME_BYTES; i++)
        batch_ack_add(batch, slice_of_text("s"), (struct slice){frame, FRAME_BYTES});
    size_t offset = 0, whole = 0;
    struct slice source, ack;
    while (batch_ack_next(batch, &offset, &source, &ack)) {
        assert_int_equal(ack.size, FRAME_BYTES);
        whole++;
    }
    assert_int_equal(whole, BATCH_ACKS_BYTES_MAX / FRAME_BYTES - 1);
    assert_int_equal(offset, batch->acks.size);
    batch_release(batch);
    struct batch *again = batch_pool_take(*test_state);
    assert_ptr_equal(again, batch);
    assert_true(again->acks.capacity <= BATCH_ACKS_BYTES_KEPT);
    batch_release(again);
    free(frame);
}

/* The leak checker sees whether they are freed. */
static void a_batch_frees_the_hellos_that_nobody_took(void **test_state)
{
    struct batch *batch = batch_pool_take(*test_state);
    for (int i = 0; i < BATCH_ANSWERS_MAX; i++)
        batch->answers[batch->answer_count++] = calloc(1, sizeof(struct call));
    assert_false(batch_is_empty(batch));
    batch_release(batch);
    batch = batch_pool_take(*test_state);
    assert_int_equal(batch->answer_count, 0);
    batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_batch_is_empty),
        cmocka_unit_test(what_was_in_a_batch_is_gone_when_it_is_taken_again),
        cmocka_unit_test(a_batch_lives_until_its_last_reference_is_released),
        cmocka_unit_test(more_batches_than_are_kept_come_and_go),
        cmocka_unit_test(only_what_must_be_on_disk_is_durable_matter),
        cmocka_unit_test(the_view_borrows_the_parts),
        cmocka_unit_test(acks_come_out_as_they_went_in),
        cmocka_unit_test(an_ack_that_does_not_fit_is_left_out_whole_and_the_memory_is_given_back),
        cmocka_unit_test(a_batch_frees_the_hellos_that_nobody_took),
    };
    return cmocka_run_group_tests_name("batch_pool", tests, set_up, tear_down);
}
