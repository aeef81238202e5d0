/* The ledger: the acks and source records of a batch tell what was decided in it. */
#include "common/base/rng.h"
#include "processor/store/source_record.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/ledger_support.h"

/* ---- against the oracle --------------------------------------------------------------------- */

static int source_index(struct slice name)
{
    char text[16] = {0};
    assert_true(name.size < sizeof text);
    memcpy(text, name.data, name.size);
    return (int)strtol(text + sizeof "source-" - 1, NULL, 10);
}

/* The acks of a batch without resends join on to each other and cover all that was decided. */
static void acks_check(struct fixture *f)
{
    struct ack_cursor cursor = {0};
    while (next_ack(f, &cursor)) {
        struct history *history = &f->histories[source_index(cursor.ack.source)];
        assert_int_equal(cursor.ack.status, ACK_OK);
        assert_int_equal(cursor.ack.epoch, 1);
        assert_int_equal(cursor.ack.first_sequence, history->acknowledged + 1);
        assert_true(cursor.ack.last_sequence <= history->last);
        ack_check(&cursor.ack, history);
        history->acknowledged = cursor.ack.last_sequence;
    }
    for (int i = 0; i < SOURCES; i++)
        assert_int_equal(f->histories[i].acknowledged, f->histories[i].last);
}

static void source_record_check(const struct source_record *record, const struct history *history)
{
    struct mp_reader runs = record->runs;
    uint64_t sequence = history->batch_first;
    assert_int_equal(record->epoch, 1);
    assert_int_equal(record->last_sequence, history->last);
    for (uint32_t i = 0; i < record->run_count; i++) {
        struct refused_run run;
        assert_int_equal(refused_run_read(&runs, &run), STATUS_OK);
        for (; sequence < run.first; sequence++)
            assert_false(history->refused[sequence]);
        for (; sequence < run.first + run.count; sequence++)
            assert_true(history->refused[sequence]);
    }
    for (; sequence <= history->last; sequence++)
        assert_false(history->refused[sequence]);
}

/* One record for each source that the batch touched, and for no other. */
static void source_records_check(struct fixture *f)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->batch->sources));
    bool seen[SOURCES] = {false};
    while (!mp_at_end(&reader)) {
        struct source_record record;
        assert_int_equal(source_record_read(&reader, &record), STATUS_OK);
        int i = source_index(record.source);
        assert_false(seen[i]);
        seen[i] = true;
        source_record_check(&record, &f->histories[i]);
    }
    for (int i = 0; i < SOURCES; i++)
        assert_int_equal(seen[i], f->histories[i].last >= f->histories[i].batch_first);
}

/* ---- what was decided ----------------------------------------------------------------------- */

static void acks_and_source_records_tell_exactly_what_was_decided(void **test_state)
{
    struct fixture *f = *test_state;
    struct rng rng;
    rng_init(&rng, test_seed(1));
    for (int round = 0; round < 60; round++) {
        uint64_t steps = rng_below(&rng, 300);
        for (uint64_t step = 0; step < steps; step++) {
            int i = (int)rng_below(&rng, SOURCES);
            if (f->histories[i].last + 1000 > SEQUENCES_MAX)
                continue;
            if (rng_below(&rng, 3) > 0)
                accept(f, i);
            else
                refuse(f, i, rng_below(&rng, 20) == 0 ? 1 + rng_below(&rng, 900) : 1);
        }
        close_batch(f);
        acks_check(f);
        source_records_check(f);
        next_batch(f);
    }
}

static void a_refusal_carries_its_reason_policy_and_retry_after(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < 30; i++)
        refuse(f, 0, 1);
    close_batch(f);
    struct ack ack = only_ack(f);
    struct mp_reader reader = mp_reader_of(ack.refusals);
    for (uint64_t sequence = 1; sequence <= 30; sequence++) {
        struct refusal got, wanted = refusal_of(sequence);
        assert_int_equal(refusal_read(&reader, &got), STATUS_OK);
        assert_int_equal(got.sequence, sequence);
        assert_true(got.has_reason);
        assert_int_equal(got.reason, wanted.reason);
        assert_true(slice_equal(got.policy, wanted.policy));
        assert_int_equal(got.retry_after_ns, wanted.retry_after_ns);
    }
}

static void an_ack_is_split_where_it_has_all_the_refusals_it_may_hold(void **test_state)
{
    struct fixture *f = *test_state;
    accept(f, 0);
    refuse(f, 0, 2 * ACK_REFUSALS_MAX);
    accept(f, 0);
    refuse(f, 0, ACK_REFUSALS_MAX - 1);
    close_batch(f);
    struct ack_cursor cursor = {0};
    uint64_t bounds[][2] = {{1, 1 + ACK_REFUSALS_MAX},
                            {2 + ACK_REFUSALS_MAX, 1 + 2 * ACK_REFUSALS_MAX},
                            {2 + 2 * ACK_REFUSALS_MAX, 1 + 3 * ACK_REFUSALS_MAX}};
    for (int i = 0; i < 3; i++) {
        assert_true(next_ack(f, &cursor));
        assert_int_equal(cursor.ack.first_sequence, bounds[i][0]);
        assert_int_equal(cursor.ack.last_sequence, bounds[i][1]);
        ack_check(&cursor.ack, &f->histories[0]);
    }
    assert_false(next_ack(f, &cursor));
    source_records_check(f);
}

static void a_source_that_only_said_hello_has_a_record_and_no_ack(void **test_state)
{
    struct fixture *f = *test_state;
    touch(f, 2);
    touch(f, 2);
    close_batch(f);
    assert_int_equal(f->batch->acks.size, 0);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->batch->sources));
    struct source_record record;
    assert_int_equal(source_record_read(&reader, &record), STATUS_OK);
    assert_true(mp_at_end(&reader));
    assert_true(slice_equal_text(record.source, "source-2"));
    assert_int_equal(record.last_sequence, 0);
    assert_int_equal(record.run_count, 0);
}

static void nothing_decided_is_nothing_written(void **test_state)
{
    struct fixture *f = *test_state;
    close_batch(f);
    assert_true(batch_is_empty(f->batch));
}

/* So that the core thread can close a batch before its acks are more than it may hold. */
static void waiting_acks_are_counted_over_all_sources(void **test_state)
{
    struct fixture *f = *test_state;
    for (int i = 0; i < SOURCES; i++)
        refuse(f, i, ACK_REFUSALS_MAX - 1);
    assert_int_equal(f->batch->acks.size, 0);
    size_t promised = ledger_ack_bytes(f->ledger);
    assert_true(promised >= SOURCES * (ACK_REFUSALS_MAX - 1) * 10);
    close_batch(f);
    assert_int_equal(count_acks(f), SOURCES);
    acks_check(f);
}

int main(void)
{
#define with_fixture(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        with_fixture(acks_and_source_records_tell_exactly_what_was_decided),
        with_fixture(a_refusal_carries_its_reason_policy_and_retry_after),
        with_fixture(an_ack_is_split_where_it_has_all_the_refusals_it_may_hold),
        with_fixture(a_source_that_only_said_hello_has_a_record_and_no_ack),
        with_fixture(nothing_decided_is_nothing_written),
        with_fixture(waiting_acks_are_counted_over_all_sources),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
