/* ledger_support: what the tests of the ledger share: a ledger over a state, the steps of the core
 * thread, the acks that came out, and an oracle of what was decided. */
#ifndef WEIR_TESTS_UNIT_PROCESSOR_LEDGER_SUPPORT_H
#define WEIR_TESTS_UNIT_PROCESSOR_LEDGER_SUPPORT_H

#include <stdio.h>

#include "processor/ledger.h"
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

static inline int set_up(void **test_state)
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

static inline int tear_down(void **test_state)
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

static inline void touch(struct fixture *f, int i)
{
    assert_int_equal(ledger_touch(f->ledger, f->state, f->sources[i]), STATUS_OK);
}

static inline void accept(struct fixture *f, int i)
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
static inline struct refusal refusal_of(uint64_t first)
{
    static const char *const policies[] = {"", "per-source", "per-subject"};
    return (struct refusal){.sequence = first,
                            .has_reason = true,
                            .reason = first % 2 == 0 ? REASON_RATE_LIMITED : REASON_INVALID,
                            .policy = slice_of_text(policies[first % 3]),
                            .retry_after_ns = first % 5 == 0 ? RECORD_NEVER : first};
}

static inline void refuse(struct fixture *f, int i, uint64_t count)
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

static inline void close_batch(struct fixture *f)
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

static inline void next_batch(struct fixture *f)
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

static inline bool next_ack(struct fixture *f, struct ack_cursor *cursor)
{
    struct slice source, frame;
    if (!batch_ack_next(f->batch, &cursor->offset, &source, &frame))
        return false;
    assert_int_equal(ack_read(frame, &cursor->ack), STATUS_OK);
    assert_true(slice_equal(source, cursor->ack.source));
    assert_true(log_id_equal(&cursor->ack.log_id, &log_id));
    return true;
}

static inline struct ack only_ack(struct fixture *f)
{
    struct ack_cursor cursor = {0};
    assert_true(next_ack(f, &cursor));
    struct ack ack = cursor.ack;
    assert_false(next_ack(f, &cursor));
    return ack;
}

static inline uint32_t count_acks(struct fixture *f)
{
    struct ack_cursor cursor = {0};
    uint32_t count = 0;
    while (next_ack(f, &cursor))
        count++;
    return count;
}

/* Every sequence of the ack's range is refused in it exactly if it was. */
static inline void ack_check(const struct ack *ack, const struct history *history)
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

#endif
