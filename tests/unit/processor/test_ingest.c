/* The core thread from a socket to batches, against a model of what each source's sequences come to
 * and against the records themselves. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/wire/feed.h"
#include "common/wire/submission.h"
#include "processor/core/admission.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/shell_fixture.h"
#include "tests/unit/processor/traffic.h"

enum { WITNESSED_SOURCES = 160, WITNESSED_SEQUENCES = 20000 };

enum { NOT_DECIDED, ACCEPTED, REFUSED };

/* What a reader of everything that leaves the core knows. */
struct witness {
    uint8_t verdicts[WITNESSED_SOURCES][WITNESSED_SEQUENCES];
    bool acknowledged[WITNESSED_SOURCES][WITNESSED_SEQUENCES];
    uint64_t last[WITNESSED_SOURCES]; /* newest decided sequence */
    uint64_t event_id, rejection_id;  /* last */
    uint64_t time_ns;
    uint64_t batches;
    uint64_t unsequenced_accepted;
    uint64_t without_sequence; /* counts of rejections that name none */
    uint64_t by_reason[REASON_COUNT];
    uint64_t acks_by_status[ACK_FORGOTTEN + 1];
};

/* "source-N", or −1. */
static int source_index(struct slice name)
{
    char text[EVENT_SOURCE_BYTES_MAX + 1] = {0};
    memcpy(text, name.data, name.size);
    if (strncmp(text, "source-", 7) != 0)
        return -1;
    int index = (int)strtol(text + 7, NULL, 10);
    assert_in_range(index, 0, WITNESSED_SOURCES - 1);
    return index;
}

static void decided(struct witness *w, struct slice source, uint64_t sequence, uint8_t verdict)
{
    int i = source_index(source);
    assert_int_not_equal(i, -1);
    assert_true(sequence < WITNESSED_SEQUENCES);
    assert_int_equal(w->verdicts[i][sequence], NOT_DECIDED);
    w->verdicts[i][sequence] = verdict;
    if (sequence > w->last[i])
        w->last[i] = sequence;
}

static void accepted_witness(struct witness *w, const struct batch *batch)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&batch->accepted));
    assert_int_equal(batch->header.first_event_id, w->event_id + 1);
    while (!mp_at_end(&reader)) {
        struct accepted_record record;
        assert_int_equal(accepted_record_read(&reader, &record), STATUS_OK);
        assert_int_equal(record.event_id, ++w->event_id);
        assert_int_equal(record.accepted_at_ns, batch->header.first_time_ns);
        if (record.sequence == 0)
            w->unsequenced_accepted++;
        else
            decided(w, record.source, record.sequence, ACCEPTED);
    }
    assert_int_equal(w->event_id + 1, batch->header.first_event_id + batch->header.event_count);
}

static void rejected_witness(struct witness *w, const struct batch *batch)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&batch->rejected));
    assert_int_equal(batch->header.first_rejection_id, w->rejection_id + 1);
    while (!mp_at_end(&reader)) {
        struct rejection record;
        assert_int_equal(rejection_read(&reader, &record), STATUS_OK);
        assert_int_equal(record.rejection_id, ++w->rejection_id);
        assert_int_equal(record.rejected_at_ns, batch->header.first_time_ns);
        assert_true(record.after_event_id <= w->event_id);
        w->by_reason[record.reason] += record.count;
        if (!record.has_sequence)
            w->without_sequence += record.count;
        else if (record.sequence != 0 && record.reason != REASON_SHADOW)
            for (uint64_t i = 0; i < record.count; i++)
                decided(w, record.source, record.sequence + i, REFUSED);
    }
    assert_int_equal(w->rejection_id + 1,
                     batch->header.first_rejection_id + batch->header.rejection_count);
}

/* The ack speaks of what is in this batch or before it, and tells the truth. */
static void ack_witness(struct witness *w, const struct ack *ack)
{
    int s = source_index(ack->source);
    w->acks_by_status[ack->status]++;
    if (s < 0) {
        assert_int_equal(ack->status, ACK_FENCED);
        return;
    }
    if (ack->status == ACK_GAP || ack->status == ACK_FENCED) {
        assert_int_equal(ack->first_sequence, ack->last_sequence + 1);
        assert_true(ack->last_sequence <= w->last[s]);
        return;
    }
    struct mp_reader reader = mp_reader_of(ack->refusals);
    struct refusal refusal = {0};
    for (uint64_t i = ack->first_sequence; i <= ack->last_sequence; i++) {
        if (refusal.sequence < i && !mp_at_end(&reader))
            assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
        assert_int_equal(w->verdicts[s][i], refusal.sequence == i ? REFUSED : ACCEPTED);
        w->acknowledged[s][i] = true;
    }
    assert_true(mp_at_end(&reader));
}

static void batch_witness(void *context, const struct batch *batch)
{
    struct witness *w = context;
    struct slice source, frame;
    size_t offset = 0;
    assert_true(batch->header.first_time_ns >= w->time_ns);
    assert_int_equal(batch->header.first_time_ns, batch->header.last_time_ns);
    w->time_ns = batch->header.first_time_ns;
    w->batches++;
    accepted_witness(w, batch);
    rejected_witness(w, batch);
    while (batch_ack_next(batch, &offset, &source, &frame)) {
        struct ack ack;
        assert_int_equal(ack_read(frame, &ack), STATUS_OK);
        assert_true(slice_equal(ack.source, source));
        ack_witness(w, &ack);
    }
}

static struct witness *witness_new(struct shell *shell)
{
    struct witness *w = calloc(1, sizeof *w);
    assert_non_null(w);
    shell->on_batch = batch_witness;
    shell->context = w;
    return w;
}

/* Every sequence up to `last` has one verdict and was acknowledged; none behind it. */
static void source_check(const struct witness *w, int source, uint64_t last)
{
    assert_int_equal(w->last[source], last);
    for (uint64_t i = 1; i <= last; i++) {
        assert_int_not_equal(w->verdicts[source][i], NOT_DECIDED);
        assert_true(w->acknowledged[source][i]);
    }
}

/* ---- random traffic ------------------------------------------------------------------------- */

static void counters_check(struct shell *shell, const struct witness *w,
                           const struct traffic *traffic)
{
    static const enum reason counted[] = {REASON_DUPLICATE, REASON_OUT_OF_ORDER, REASON_FENCED};
    static const enum reason recorded[] = {REASON_RATE_LIMITED, REASON_INVALID,   REASON_TOO_LARGE,
                                           REASON_UNAVAILABLE,  REASON_MALFORMED, REASON_SHADOW};
    struct counters *counters = &shell->service.counters;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        assert_int_equal(counter_get(&counters->refused[counted[i]]), traffic->counted[counted[i]]);
        assert_int_equal(w->by_reason[counted[i]], 0);
    }
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++)
        assert_int_equal(counter_get(&counters->refused[recorded[i]]), w->by_reason[recorded[i]]);
    assert_int_equal(counter_get(&counters->accepted), w->event_id);
    assert_int_equal(w->without_sequence, traffic->refused_whole);
}

static void traffic_run(uint64_t seed)
{
    static struct shell shell;
    struct traffic traffic;
    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    shell_open(&shell, traffic_policies, UINT32_MAX);
    struct witness *w = witness_new(&shell);
    shell_run(&shell);
    traffic_init(&traffic, &shell, seed);
    for (int i = 0; i < 500; i++)
        traffic_step(&traffic);
    shell_stop(&shell);
    for (int i = 0; i < TRAFFIC_SOURCES; i++)
        source_check(w, i, traffic.sources[i].last);
    counters_check(&shell, w, &traffic);
    assert_int_equal(w->acks_by_status[ACK_FORGOTTEN], 0);
    traffic_fini(&traffic);
    shell_close(&shell);
    free(w);
}

static void every_sequence_has_one_verdict_one_record_and_an_ack_that_tells_it(void **test_state)
{
    (void)test_state;
    uint64_t seed = test_number("WEIR_SEED", 1), rounds = test_number("WEIR_ROUNDS", 3);
    for (uint64_t i = 0; i < rounds; i++)
        traffic_run(seed + i);
}

/* ---- floods in one turn --------------------------------------------------------------------- */

/* Enters the sources behind the core's back, so that frames can wait before it runs. */
static void sources_enter(struct shell *shell, int count)
{
    struct decision *decision = calloc(1, sizeof *decision);
    char name[24];
    assert_non_null(decision);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "source-%d", i);
        assert_int_equal(
            admission_hello(shell->state, slice_of_text(name), FIXTURE_START_NS, decision),
            STATUS_OK);
        assert_int_equal(state_apply(shell->state, decision), STATUS_OK);
    }
    free(decision);
    recovery_destroy(&shell->mirror);
}

/* A submission whose `count` events are all malformed. */
static void malformed_push(struct shell *shell, int source, uint64_t first, uint32_t count)
{
    char name[24];
    snprintf(name, sizeof name, "source-%d", source);
    uint8_t bytes[SUBMISSION_HEADER_BYTES_MAX];
    struct submission_header header = {
        .source = slice_of_text(name), .epoch = 1, .first_sequence = first, .count = count};
    uint8_t *end = submission_put_header(bytes, &header);
    shell_push(shell, (struct slice){bytes, (size_t)(end - bytes)}, NULL);
}

static void acks_of_a_flood_over_many_sources_are_all_there(void **test_state)
{
    (void)test_state;
    static struct shell shell;
    shell_open(&shell, "", UINT32_MAX);
    sources_enter(&shell, WITNESSED_SOURCES);
    struct witness *w = witness_new(&shell);
    for (int i = 0; i < WITNESSED_SOURCES; i++)
        malformed_push(&shell, i, 1, ACK_REFUSALS_MAX - 1);
    shell_run(&shell);
    shell_stop(&shell);
    for (int i = 0; i < WITNESSED_SOURCES; i++)
        source_check(w, i, ACK_REFUSALS_MAX - 1);
    shell_close(&shell);
    free(w);
}

static void a_flood_of_resends_is_answered_with_few_acks(void **test_state)
{
    (void)test_state;
    enum { RESENDS = 200 };
    static struct shell shell;
    shell_open(&shell, "", UINT32_MAX);
    sources_enter(&shell, 1);
    struct witness *w = witness_new(&shell);
    for (int i = 0; i < RESENDS; i++)
        malformed_push(&shell, 0, 1, SUBMISSION_EVENTS_MAX);
    shell_run(&shell);
    shell_stop(&shell);
    source_check(w, 0, SUBMISSION_EVENTS_MAX);
    assert_int_equal(counter_get(&shell.service.counters.refused[REASON_DUPLICATE]),
                     (RESENDS - 1) * SUBMISSION_EVENTS_MAX);
    uint64_t each = SUBMISSION_EVENTS_MAX / ACK_REFUSALS_MAX;
    assert_true(w->acks_by_status[ACK_OK] <= 2 * each * w->batches);
    shell_close(&shell);
    free(w);
}

/* ---- hellos and the end --------------------------------------------------------------------- */

static void each_hello_raises_the_epoch_and_tells_the_last_sequence(void **test_state)
{
    (void)test_state;
    static struct shell shell;
    shell_open(&shell, "", UINT32_MAX);
    struct witness *w = witness_new(&shell);
    shell_run(&shell);
    assert_int_equal(shell_hello(&shell, "source-0").epoch, 1);
    malformed_push(&shell, 0, 1, 7);
    struct source_info info = shell_hello(&shell, "source-0");
    assert_int_equal(info.epoch, 2);
    assert_int_equal(info.last_sequence, 7);
    malformed_push(&shell, 0, 8, 1); /* of epoch 1 */
    shell_settle(&shell);
    assert_int_equal(shell_hello(&shell, "source-1").epoch, 1);
    shell_stop(&shell);
    assert_int_equal(w->last[0], 7);
    assert_int_equal(w->acks_by_status[ACK_FENCED], 1);
    shell_close(&shell);
    free(w);
}

/* How much of it has arrived is up to libzmq; what has is decided in order and acknowledged. */
static void what_had_arrived_before_the_stop_is_decided(void **test_state)
{
    (void)test_state;
    static struct shell shell;
    shell_open(&shell, "", UINT32_MAX);
    sources_enter(&shell, 1);
    struct witness *w = witness_new(&shell);
    for (uint64_t i = 0; i < 100; i++)
        malformed_push(&shell, 0, 1 + 10 * i, 10);
    struct socket_wait arrived = {.socket = shell.pull};
    assert_int_equal(socket_wait(&arrived, 1, -1), STATUS_OK);
    assert_int_equal(eventfd_write(shell.stop_fd, 1), 0);
    shell_run(&shell);
    shell_join(&shell);
    assert_true(w->last[0] >= 10);
    source_check(w, 0, w->last[0]);
    shell_close(&shell);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_has_one_verdict_one_record_and_an_ack_that_tells_it),
        cmocka_unit_test(acks_of_a_flood_over_many_sources_are_all_there),
        cmocka_unit_test(a_flood_of_resends_is_answered_with_few_acks),
        cmocka_unit_test(each_hello_raises_the_epoch_and_tells_the_last_sequence),
        cmocka_unit_test(what_had_arrived_before_the_stop_is_decided),
    };
    return cmocka_run_group_tests_name("ingest", tests, shell_group_set_up, shell_group_tear_down);
}
