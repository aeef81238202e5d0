/* The outbox against a model of a processor behind a network that loses, doubles and mixes up.
 *
 * WEIR_SEED, WEIR_RUNS: which schedules (default: 40 from a random seed).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/wire/submission.h"
#include "tests/lib/seed.h"
#include "tests/unit/producer/outbox_support.h"

enum { FLIGHT_MAX = 256, WINDOWS_MAX = 10 };

struct flight {
    struct buffer items[FLIGHT_MAX];
    unsigned count;
};

struct model {
    struct rng rng;
    struct outbox *outbox;
    uint64_t total;   /* events to hand in */
    uint64_t last;    /* newest sequence decided */
    uint64_t refused; /* verdicts */
    unsigned loss;    /* of 100 messages, each way */
    struct flight submissions, acks;
};

static bool is_refused(uint64_t sequence)
{
    return sequence * 2654435761u % 7 < 3;
}

static void launch(struct model *m, struct flight *flight, struct slice bytes)
{
    unsigned copies = rng_below(&m->rng, 100) < m->loss ? 0 : 1;
    if (copies == 1 && flight == &m->acks && rng_below(&m->rng, 10) == 0)
        copies = 2;
    for (unsigned i = 0; i < copies && flight->count < FLIGHT_MAX; i++) {
        struct buffer *item = &flight->items[flight->count++];
        buffer_init(item, 2 * SUBMISSION_BYTES_MAX);
        buffer_append(item, bytes.data, bytes.size);
        assert_int_equal(item->status, STATUS_OK);
    }
}

/* Takes one out, mostly the oldest. */
static struct buffer land(struct model *m, struct flight *flight)
{
    unsigned index = 0;
    if (rng_below(&m->rng, 8) == 0)
        index = (unsigned)rng_below(&m->rng, flight->count);
    struct buffer item = flight->items[index];
    flight->count--;
    memmove(&flight->items[index], &flight->items[index + 1],
            (flight->count - index) * sizeof item);
    return item;
}

static void lose_all(struct flight *flight)
{
    while (flight->count > 0)
        buffer_fini(&flight->items[--flight->count]);
}

static void answer(struct model *m, uint64_t first, uint64_t last, enum ack_status status,
                   bool repeats_reasons)
{
    struct buffer refusals, bytes;
    struct ack ack = ack_of(first, last, status);
    buffer_init(&refusals, 1024 * 1024);
    buffer_init(&bytes, 1024 * 1024);
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        if (!is_refused(sequence))
            continue;
        write_refusal(&refusals, sequence, repeats_reasons);
        ack.refusal_count++;
    }
    ack.refusals = buffer_slice(&refusals);
    ack_write(&bytes, &ack);
    launch(m, &m->acks, buffer_slice(&bytes));
    buffer_fini(&refusals);
    buffer_fini(&bytes);
}

/* The contract in its plainest form: one event after another. */
static void decide(struct model *m, struct slice submission)
{
    struct mp_reader reader = mp_reader_of(submission);
    struct submission_header header;
    assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
    uint64_t last_before = m->last;
    uint64_t end = header.first_sequence + header.count - 1;
    if (header.first_sequence > m->last + 1) {
        answer(m, m->last + 1, m->last, ACK_GAP, false);
        return;
    }
    for (uint64_t sequence = header.first_sequence; sequence <= end; sequence++) {
        struct event event;
        assert_int_equal(event_read_stored(&reader, &event), STATUS_OK);
        assert_int_equal(event.occurred_at_ns, sequence);
        if (sequence <= m->last)
            continue;
        m->last = sequence;
        m->refused += is_refused(sequence);
    }
    assert_true(mp_at_end(&reader));
    uint64_t repeated = end < last_before ? end : last_before;
    if (header.first_sequence <= repeated)
        answer(m, header.first_sequence, repeated, ACK_OK, false);
    if (end > last_before)
        answer(m, last_before + 1, end, ACK_OK, true);
}

static void hand_in(struct model *m)
{
    uint64_t events = 1 + rng_below(&m->rng, 40);
    while (events-- > 0 && outbox_next_sequence(m->outbox) <= m->total)
        if (try_add(m->outbox) != STATUS_OK)
            break;
    outbox_seal(m->outbox);
}

static void push(struct model *m, uint64_t now_ns)
{
    struct slice submission;
    for (uint64_t n = rng_below(&m->rng, 8); n > 0; n--) {
        if (!outbox_next_to_send(m->outbox, &submission))
            return;
        launch(m, &m->submissions, submission);
        outbox_sent(m->outbox, now_ns);
    }
}

static void listen(struct model *m, uint64_t now_ns)
{
    for (uint64_t n = rng_below(&m->rng, 6); n > 0 && m->acks.count > 0; n--) {
        struct buffer bytes = land(m, &m->acks);
        struct ack ack;
        assert_int_equal(ack_read(buffer_slice(&bytes), &ack), STATUS_OK);
        enum outbox_result result = outbox_ack(m->outbox, &ack, now_ns);
        assert_true(result != OUTBOX_FENCED && result != OUTBOX_FOREIGN_LOG);
        assert_true(outbox_acknowledged(m->outbox) <= m->last);
        buffer_fini(&bytes);
    }
}

static void work(struct model *m)
{
    for (uint64_t n = rng_below(&m->rng, 6); n > 0 && m->submissions.count > 0; n--) {
        struct buffer submission = land(m, &m->submissions);
        decide(m, buffer_slice(&submission));
        buffer_fini(&submission);
    }
    if (rng_below(&m->rng, 200) == 0) { /* killed and started again: what was decided stays */
        lose_all(&m->submissions);
        lose_all(&m->acks);
    }
}

static void run_model(uint64_t seed)
{
    struct model m = {.total = 1};
    rng_init(&m.rng, seed);
    uint32_t window = 1 + (uint32_t)rng_below(&m.rng, 2000);
    size_t bytes_max = 5000 + (size_t)rng_below(&m.rng, 100000);
    m.total += rng_below(&m.rng, (uint64_t)window * WINDOWS_MAX);
    m.loss = (unsigned)rng_below(&m.rng, 50);
    m.outbox = new_outbox(0, window, bytes_max);
    uint64_t now_ns = 0;
    while (outbox_acknowledged(m.outbox) < m.total) {
        now_ns += rng_below(&m.rng, 20 * MS);
        hand_in(&m);
        push(&m, now_ns);
        work(&m);
        listen(&m, now_ns);
        outbox_timer(m.outbox, now_ns);
        assert_true(now_ns < 1000000 * 1000 * MS); /* it gets there */
    }

    const struct outbox_counts *counts = outbox_counts(m.outbox);
    assert_int_equal(m.last, m.total);
    assert_int_equal(counts->refused, m.refused);
    assert_int_equal(counts->accepted, m.total - m.refused);
    assert_int_equal(counts->refused_by[REASON_RATE_LIMITED] + counts->refused_unknown_reason,
                     m.refused);
    assert_int_equal(outbox_bytes(m.outbox), 0);
    lose_all(&m.submissions);
    lose_all(&m.acks);
    outbox_destroy(&m.outbox);
}

static void gives_each_event_one_verdict_in_order_whatever_is_lost(void **state)
{
    (void)state;
    uint64_t seed = test_number("WEIR_SEED", rng_seed_random() % 1000000);
    uint64_t runs = test_number("WEIR_RUNS", 40);
    printf("WEIR_SEED=%llu WEIR_RUNS=%llu\n", (unsigned long long)seed, (unsigned long long)runs);
    for (uint64_t run = 0; run < runs; run++)
        run_model(seed + run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_event_one_verdict_in_order_whatever_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
