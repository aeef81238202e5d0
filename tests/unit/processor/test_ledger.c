#include "processor/ledger.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "processor/store/source_record.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/core_support.h"

enum { NOW_NS = 1000000000, SOURCES = 5, SEQUENCES_MAX = 40000 };

static const struct log_id log_id = {.bytes = "0123456789abcdef"};

/* What was decided, kept in the plainest way: the oracle. */
struct history {
    bool refused[SEQUENCES_MAX + 1];
    uint64_t last;
    uint64_t acknowledged; /* all up to here were in some ack */
    uint64_t batch_first;  /* first sequence decided in the open batch */
};

struct fixture {
    struct state *state;
    struct ledger *ledger;
    struct batch_pool *pool;
    struct batch *batch;
    struct decision *decision;
    struct support_event *event;
    uint32_t sources[SOURCES];
    struct history histories[SOURCES];
};

static int set_up(void **test_state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->state = support_state("");
    f->ledger = ledger_new(&log_id);
    f->pool = batch_pool_new();
    f->batch = batch_pool_take(f->pool);
    f->decision = calloc(1, sizeof *f->decision);
    f->event = support_event_new();
    support_set(f->event, "t", "s");
    for (int i = 0; i < SOURCES; i++) {
        char name[16];
        snprintf(name, sizeof name, "source-%d", i);
        f->sources[i] = support_hello(f->state, name, NOW_NS);
        f->histories[i].batch_first = 1;
    }
    support_tick(f->state, NOW_NS);
    *test_state = f;
    return 0;
}

static int tear_down(void **test_state)
{
    struct fixture *f = *test_state;
    batch_release(f->batch);
    batch_pool_destroy(&f->pool);
    ledger_destroy(&f->ledger);
    state_destroy(&f->state);
    free(f->event);
    free(f->decision);
    free(f);
    return 0;
}

/* ---- doing what the core thread does ------------------------------------------------------- */

static void touch(struct fixture *f, int i)
{
    assert_int_equal(ledger_touch(f->ledger, f->state, f->sources[i]), STATUS_OK);
}

static void accept(struct fixture *f, int i)
{
    struct history *history = &f->histories[i];
    struct candidate *candidate = &f->event->candidate;
    candidate->source = f->sources[i];
    candidate->sequence = ++history->last;
    admission_prepare(f->state, candidate);
    admission_decide(f->state, candidate, NOW_NS, f->decision);
    assert_int_equal(f->decision->kind, DECISION_ACCEPT);
    assert_int_equal(state_apply(f->state, f->decision), STATUS_OK);
    touch(f, i);
    ledger_accept(f->ledger, f->sources[i], history->last);
}

/* The policy and the time of a refusal, from its first sequence: so readers can check them. */
static struct refusal refusal_of(uint64_t first)
{
    static const char *const policies[] = {"", "per-source", "per-subject"};
    return (struct refusal){.sequence = first,
                            .has_reason = true,
                            .reason = first % 2 == 0 ? REASON_RATE_LIMITED : REASON_INVALID,
                            .policy = slice_of_text(policies[first % 3]),
                            .retry_after_ns = first % 5 == 0 ? RECORD_NEVER : first};
}

static void refuse(struct fixture *f, int i, uint64_t count)
{
    struct history *history = &f->histories[i];
    uint64_t first = history->last + 1;
    admission_refuse(f->state, f->sources[i], first, count, REASON_INVALID, NOW_NS, f->decision);
    assert_int_equal(state_apply(f->state, f->decision), STATUS_OK);
    touch(f, i);
    struct refusal refusal = refusal_of(first);
    assert_int_equal(ledger_refuse(f->ledger, f->batch, f->state, f->sources[i], &refusal, count),
                     STATUS_OK);
    for (uint64_t k = 0; k < count && first + k <= SEQUENCES_MAX; k++)
        history->refused[first + k] = true;
    history->last += count;
}

static void close_batch(struct fixture *f)
{
    size_t acks = f->batch->acks.size;
    size_t source_bytes = ledger_source_bytes(f->ledger);
    size_t ack_bytes = ledger_ack_bytes(f->ledger);
    ledger_close(f->ledger, f->batch, f->state);
    assert_true(f->batch->sources.size <= source_bytes);
    assert_true(f->batch->acks.size - acks <= ack_bytes);
    assert_int_equal(ledger_source_bytes(f->ledger), 0);
    assert_int_equal(ledger_ack_bytes(f->ledger), 0);
}

static void next_batch(struct fixture *f)
{
    batch_release(f->batch);
    f->batch = batch_pool_take(f->pool);
    for (int i = 0; i < SOURCES; i++)
        f->histories[i].batch_first = f->histories[i].last + 1;
}

/* ---- reading what came out ----------------------------------------------------------------- */

struct ack_cursor {
    size_t offset;
    struct ack ack;
};

static bool next_ack(struct fixture *f, struct ack_cursor *cursor)
{
    struct slice source, frame;
    if (!batch_ack_next(f->batch, &cursor->offset, &source, &frame))
        return false;
    assert_int_equal(ack_read(frame, &cursor->ack), STATUS_OK);
    assert_true(slice_equal(source, cursor->ack.source));
    assert_true(log_id_equal(&cursor->ack.log_id, &log_id));
    return true;
}

static struct ack only_ack(struct fixture *f)
{
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    struct ack ack = cursor.ack;
    assert_false(next_ack(f, &cursor));
    return ack;
}

static uint32_t count_acks(struct fixture *f)
{
    struct ack_cursor cursor = {0};
    uint32_t count = 0;
    while (next_ack(f, &cursor))
        count++;
    return count;
}

static int source_index(struct slice name)
{
    char text[16] = {0};
    assert_true(name.size < sizeof text);
    memcpy(text, name.data, name.size);
    return (int)strtol(text + sizeof "source-" - 1, NULL, 10);
}

/* Every sequence of the ack's range is refused in it exactly if it was. */
static void ack_check(const struct ack *ack, const struct history *history)
{
    struct mp_reader reader = mp_reader_of(ack->refusals);
    uint64_t expected = ack->first_sequence;
    for (uint32_t i = 0; i < ack->refusal_count; i++) {
        struct refusal refusal;
        assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
        for (; expected < refusal.sequence; expected++)
            assert_false(history->refused[expected]);
        assert_true(history->refused[expected]);
        assert_int_equal(refusal.sequence, expected++);
    }
    assert_true(mp_at_end(&reader));
    for (; expected <= ack->last_sequence; expected++)
        assert_false(history->refused[expected]);
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
        with_fixture(acks_and_source_records_tell_exactly_what_was_decided),
        with_fixture(a_refusal_carries_its_reason_policy_and_retry_after),
        with_fixture(an_ack_is_split_where_it_has_all_the_refusals_it_may_hold),
        with_fixture(a_source_that_only_said_hello_has_a_record_and_no_ack),
        with_fixture(nothing_decided_is_nothing_written),
        with_fixture(waiting_acks_are_counted_over_all_sources),
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
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
