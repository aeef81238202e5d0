/* The ledger: what is said of what was decided before, and to sources that stand elsewhere. */
#include "common/base/clock.h"
#include "tests/unit/processor/ledger_support.h"

static void redirect(struct fixture *f, int i, enum ack_status status, uint64_t now_ns)
{
    struct redirect redirect = {.name = state_source(f->state, f->sources[i]).name,
                                .source = f->sources[i],
                                .status = status};
    ledger_redirect(f->ledger, f->batch, f->state, &redirect, now_ns);
}

/* ---- resends -------------------------------------------------------------------------------- */

static void a_resend_is_answered_with_the_verdicts_it_had(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < 50; i++) {
        accept(f, 0);
        refuse(f, 0, 1 + (uint64_t)i % 3);
    }
    close_batch(f);
    next_batch(f);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 7, 93);
    close_batch(f);
    struct ack ack = only_ack(f);
    assert_int_equal(ack.status, ACK_OK);
    assert_int_equal(ack.first_sequence, 7);
    assert_int_equal(ack.last_sequence, 93);
    ack_check(&ack, &f->histories[0]);
    assert_false(batch_is_durable_matter(f->batch));
}

/* Reasons are known only until the batch is closed, so its own ack is the better answer. */
static void a_resend_of_the_open_batch_is_answered_by_its_ack(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 0);
    refuse(f, 0, 1);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, 2);
    accept(f, 0);
    close_batch(f);
    struct ack ack = only_ack(f);
    struct refusal refusal;
    assert_int_equal(ack.first_sequence, 1);
    assert_int_equal(ack.last_sequence, 3);
    struct mp_reader reader = mp_reader_of(ack.refusals);
    assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
    assert_true(refusal.has_reason);
}

/* A sender whose acks were lost takes only what joins on to the last one it has. */
static void acks_of_a_source_go_up_whatever_is_asked_for_when(void **test_state)
{
    struct fixture *f = *test_state;
    refuse(f, 0, 4);
    close_batch(f);
    next_batch(f);
    accept(f, 0);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, 5);
    refuse(f, 0, ACK_REFUSALS_MAX); /* its ack is full before the batch is closed */
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, 4);
    accept(f, 0);
    close_batch(f);
    const uint64_t bounds[][2] = {
        {1, 4}, {5, 5 + ACK_REFUSALS_MAX}, {1, 4}, {6 + ACK_REFUSALS_MAX, 6 + ACK_REFUSALS_MAX}};
    struct ack_cursor cursor = {0};
    for (int i = 0; i < 4; i++) {
        assert_true(next_ack(f, &cursor));
        assert_int_equal(cursor.ack.first_sequence, bounds[i][0]);
        assert_int_equal(cursor.ack.last_sequence, bounds[i][1]);
        ack_check(&cursor.ack, &f->histories[0]);
    }
    assert_false(next_ack(f, &cursor));
}

static void resends_that_join_are_answered_together(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < 100; i++) {
        accept(f, 0);
        refuse(f, 0, 1);
    }
    close_batch(f);
    next_batch(f);
    const uint64_t ranges[][2] = {{50, 60}, {61, 70}, {45, 49}, {55, 58}, {40, 80}, {81, 81}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        ledger_resend(f->ledger, f->batch, f->state, f->sources[0], ranges[i][0], ranges[i][1]);
    assert_false(ledger_is_empty(f->ledger));
    close_batch(f);
    assert_true(ledger_is_empty(f->ledger));
    struct ack ack = only_ack(f);
    assert_int_equal(ack.first_sequence, 40);
    assert_int_equal(ack.last_sequence, 81);
    ack_check(&ack, &f->histories[0]);
}

static void resends_that_do_not_join_are_answered_apart_and_in_order(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < 100; i++)
        accept(f, 0);
    accept(f, 1);
    close_batch(f);
    next_batch(f);
    const uint64_t ranges[][2] = {{50, 60}, {1, 48}, {100, 100}};
    for (size_t i = 0; i < 3; i++)
        ledger_resend(f->ledger, f->batch, f->state, f->sources[0], ranges[i][0], ranges[i][1]);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[1], 1, 1);
    close_batch(f);
    struct ack_cursor cursor = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_true(next_ack(f, &cursor));
        assert_int_equal(cursor.ack.first_sequence, ranges[i][0]);
        assert_int_equal(cursor.ack.last_sequence, ranges[i][1]);
    }
    assert_true(next_ack(f, &cursor));
    assert_true(slice_equal_text(cursor.ack.source, "source-1"));
    assert_false(next_ack(f, &cursor));
}

static void a_redirect_comes_behind_the_answers_to_resends(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 0);
    accept(f, 0);
    close_batch(f);
    next_batch(f);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, 2);
    redirect(f, 0, ACK_GAP, NOW_NS);
    close_batch(f);
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.last_sequence, 2);
    assert_int_equal(cursor.ack.status, ACK_OK);
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.status, ACK_GAP);
    assert_false(next_ack(f, &cursor));
}

static void a_resend_is_split_where_an_ack_has_all_the_refusals_it_may_hold(void **test_state)
{
    struct fixture *f = *test_state;
    refuse(f, 0, ACK_REFUSALS_MAX + 10);
    close_batch(f);
    next_batch(f);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, ACK_REFUSALS_MAX + 10);
    close_batch(f);
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.refusal_count, ACK_REFUSALS_MAX);
    assert_int_equal(cursor.ack.last_sequence, ACK_REFUSALS_MAX);
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.first_sequence, ACK_REFUSALS_MAX + 1);
    assert_int_equal(cursor.ack.last_sequence, ACK_REFUSALS_MAX + 10);
    assert_int_equal(cursor.ack.refusal_count, 10);
    assert_false(next_ack(f, &cursor));
}

static void what_is_forgotten_is_said_apart_from_what_is_known(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 0);
    refuse(f, 0, 99);
    for (int i = 0; i < 5; i++)
        refuse(f, 0, VERDICTS_KEPT / 4);
    close_batch(f);
    next_batch(f);
    uint64_t last = 100 + 5 * (uint64_t)VERDICTS_KEPT / 4;
    uint64_t forgotten = last - VERDICTS_KEPT; /* the newest of them */
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], forgotten - 9, forgotten + 20);
    close_batch(f);
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.status, ACK_FORGOTTEN);
    assert_int_equal(cursor.ack.first_sequence, forgotten - 9);
    assert_int_equal(cursor.ack.last_sequence, forgotten);
    assert_int_equal(cursor.ack.refusal_count, 0);
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.status, ACK_OK);
    assert_int_equal(cursor.ack.first_sequence, forgotten + 1);
    assert_int_equal(cursor.ack.last_sequence, forgotten + 20);
    assert_int_equal(cursor.ack.refusal_count, 20);
    assert_false(next_ack(f, &cursor));
}

static void a_resend_of_nothing_but_what_is_forgotten_is_one_ack(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < 5; i++)
        refuse(f, 0, VERDICTS_KEPT / 4);
    close_batch(f);
    next_batch(f);
    ledger_resend(f->ledger, f->batch, f->state, f->sources[0], 1, VERDICTS_KEPT / 4);
    close_batch(f);
    struct ack ack = only_ack(f);
    assert_int_equal(ack.status, ACK_FORGOTTEN);
    assert_int_equal(ack.first_sequence, 1);
    assert_int_equal(ack.last_sequence, VERDICTS_KEPT / 4);
}

/* ---- redirects ------------------------------------------------------------------------------ */

static void stranger_redirect(struct fixture *f, const char *name, uint64_t now_ns)
{
    struct redirect redirect = {
        .name = slice_of_text(name), .source = SOURCE_NONE, .status = ACK_FENCED};
    ledger_redirect(f->ledger, f->batch, f->state, &redirect, now_ns);
}

static void a_redirect_says_where_the_source_stands(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 1);
    accept(f, 1);
    close_batch(f);
    next_batch(f);
    redirect(f, 1, ACK_GAP, NOW_NS);
    struct ack ack = only_ack(f);
    assert_int_equal(ack.status, ACK_GAP);
    assert_int_equal(ack.epoch, 1);
    assert_int_equal(ack.first_sequence, 3);
    assert_int_equal(ack.last_sequence, 2);
    assert_int_equal(ack.refusal_count, 0);
    assert_false(batch_is_durable_matter(f->batch));
}

static void a_redirect_comes_behind_what_the_batch_decided(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 1);
    redirect(f, 1, ACK_GAP, NOW_NS);
    accept(f, 1);
    close_batch(f);
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.status, ACK_OK);
    assert_int_equal(cursor.ack.last_sequence, 1);
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.status, ACK_GAP);
    assert_int_equal(cursor.ack.last_sequence, 1);
    assert_true(next_ack(f, &cursor));
    assert_int_equal(cursor.ack.first_sequence, 2);
    assert_false(next_ack(f, &cursor));
}

static void a_source_is_redirected_once_in_100_ms(void **test_state)
{
    struct fixture *f = *test_state;
    redirect(f, 0, ACK_GAP, NOW_NS);
    redirect(f, 0, ACK_GAP, NOW_NS);
    redirect(f, 0, ACK_GAP, NOW_NS + 100 * NS_PER_MS - 1);
    assert_int_equal(count_acks(f), 1);
    redirect(f, 1, ACK_GAP, NOW_NS + 1);
    assert_int_equal(count_acks(f), 2);
    redirect(f, 0, ACK_GAP, NOW_NS + 100 * NS_PER_MS);
    assert_int_equal(count_acks(f), 3);
}

static void an_old_holder_that_is_fenced_does_not_silence_the_new_one(void **test_state)
{
    struct fixture *f = *test_state;
    for (uint64_t i = 0; i < 200; i++)
        redirect(f, 0, ACK_FENCED, NOW_NS + i * NS_PER_MS);
    assert_int_equal(count_acks(f), 2);
    redirect(f, 0, ACK_GAP, NOW_NS + 200 * NS_PER_MS - 1);
    assert_int_equal(count_acks(f), 3);
}

static void unknown_sources_share_one_allowance(void **test_state)
{
    struct fixture *f = *test_state;
    stranger_redirect(f, "one", NOW_NS);
    stranger_redirect(f, "other", NOW_NS + 1);
    struct ack ack = only_ack(f);
    assert_true(slice_equal_text(ack.source, "one"));
    assert_int_equal(ack.status, ACK_FENCED);
    assert_int_equal(ack.epoch, 0);
    assert_int_equal(ack.first_sequence, 1);
    assert_int_equal(ack.last_sequence, 0);
    stranger_redirect(f, "other", NOW_NS + 100 * NS_PER_MS);
    assert_int_equal(count_acks(f), 2);
}

int main(void)
{
#define with_fixture(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_fixture(a_resend_is_answered_with_the_verdicts_it_had),
        with_fixture(a_resend_of_the_open_batch_is_answered_by_its_ack),
        with_fixture(acks_of_a_source_go_up_whatever_is_asked_for_when),
        with_fixture(resends_that_join_are_answered_together),
        with_fixture(resends_that_do_not_join_are_answered_apart_and_in_order),
        with_fixture(a_redirect_comes_behind_the_answers_to_resends),
        with_fixture(a_resend_is_split_where_an_ack_has_all_the_refusals_it_may_hold),
        with_fixture(what_is_forgotten_is_said_apart_from_what_is_known),
        with_fixture(a_resend_of_nothing_but_what_is_forgotten_is_one_ack),
        with_fixture(a_redirect_says_where_the_source_stands),
        with_fixture(a_redirect_comes_behind_what_the_batch_decided),
        with_fixture(a_source_is_redirected_once_in_100_ms),
        with_fixture(an_old_holder_that_is_fenced_does_not_silence_the_new_one),
        with_fixture(unknown_sources_share_one_allowance),
    };
    return cmocka_run_group_tests_name("ledger_resends", tests, NULL, NULL);
}
