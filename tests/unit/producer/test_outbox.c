#include "producer/core/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/submission.h"
#include "tests/unit/producer/outbox_support.h"

static const struct log_id other_log = {{9}};

/* --- making and looking --- */

static void add(struct outbox *outbox, unsigned events)
{
    for (unsigned i = 0; i < events; i++)
        assert_int_equal(try_add(outbox), STATUS_OK);
}

/* One submission of `events` events, not yet sent. */
static void add_submission(struct outbox *outbox, unsigned events)
{
    add(outbox, events);
    outbox_seal(outbox);
}

/* The header of what would be sent next; count 0 if there is nothing. */
static struct submission_header next_header(const struct outbox *outbox)
{
    struct slice submission;
    struct submission_header header = {.count = 0};
    if (outbox_next_to_send(outbox, &submission)) {
        struct mp_reader reader = mp_reader_of(submission);
        assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
    }
    return header;
}

static unsigned send_all(struct outbox *outbox, uint64_t now_ns)
{
    unsigned sent = 0;
    for (; next_header(outbox).count > 0; sent++)
        outbox_sent(outbox, now_ns);
    return sent;
}

static enum outbox_result take(struct outbox *outbox, struct ack ack, uint64_t now_ns)
{
    return outbox_ack(outbox, &ack, now_ns);
}

/* --- sending --- */

static void numbers_events_from_the_sequence_after_hello(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(41, 100, 10000);
    assert_int_equal(outbox_next_sequence(outbox), 42);
    add_submission(outbox, 3);
    add_submission(outbox, 2);

    struct submission_header header = next_header(outbox);
    assert_int_equal(header.first_sequence, 42);
    assert_int_equal(header.count, 3);
    assert_int_equal(header.epoch, EPOCH);
    assert_true(slice_equal_text(header.source, SOURCE));
    outbox_sent(outbox, 0);
    assert_int_equal(next_header(outbox).first_sequence, 45);
    assert_int_equal(outbox_next_sequence(outbox), 47);
    outbox_destroy(&outbox);
}

static void writes_the_header_right_before_the_events(void **state)
{
    (void)state;
    static const uint8_t golden[] = "\x95\x01\xa4shop\x07\x01\x01"
                                    "\x95\x01\xa3"
                                    "a.b\xa1s\x01\x80";
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 1);

    struct slice submission;
    assert_true(outbox_next_to_send(outbox, &submission));
    assert_int_equal(submission.size, sizeof golden - 1);
    assert_memory_equal(submission.data, golden, submission.size);
    outbox_destroy(&outbox);
}

static void sends_nothing_that_is_not_sealed(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add(outbox, 2);
    assert_int_equal(next_header(outbox).count, 0);
    outbox_seal(outbox);
    outbox_seal(outbox);
    assert_int_equal(send_all(outbox, 0), 1);
    outbox_destroy(&outbox);
}

static void takes_no_more_events_than_its_limit_until_verdicts_come(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 5, 10000);
    add_submission(outbox, 3);
    add(outbox, 2);
    assert_int_equal(try_add(outbox), STATUS_FULL);
    assert_int_equal(outbox_room(outbox), 0);

    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(1, 2, ACK_OK), 0), OUTBOX_ADVANCED);
    assert_int_equal(outbox_room(outbox), 2);
    add(outbox, 2);
    assert_int_equal(try_add(outbox), STATUS_FULL);
    outbox_destroy(&outbox);
}

static void takes_no_more_bytes_than_its_limit_but_anything_when_empty(void **state)
{
    (void)state;
    enum { BYTES_MAX = 1000, LARGE = 5000 };
    struct outbox *outbox = new_outbox(0, 100, BYTES_MAX);
    uint8_t *at;
    assert_int_equal(outbox_reserve(outbox, LARGE, &at), STATUS_OK);
    memset(at, 0xc0, LARGE);
    outbox_added(outbox, at + LARGE, 1);
    assert_int_equal(try_add(outbox), STATUS_FULL);

    outbox_seal(outbox);
    send_all(outbox, 0);
    take(outbox, ack_of(1, 1, ACK_OK), 0);
    assert_int_equal(outbox_bytes(outbox), 0);
    add(outbox, 1);
    outbox_destroy(&outbox);
}

static void seals_before_a_submission_grows_too_large(void **state)
{
    (void)state;
    enum { LARGE = 60000, EVENTS = 40 };
    struct outbox *outbox = new_outbox(0, 100, OUTBOX_BYTES_MAX);
    for (unsigned i = 0; i < EVENTS; i++) {
        uint8_t *at;
        assert_int_equal(outbox_reserve(outbox, LARGE, &at), STATUS_OK);
        memset(at, 0xc0, LARGE);
        outbox_added(outbox, at + LARGE, 1);
    }
    outbox_seal(outbox);

    uint64_t events = 0;
    struct slice submission;
    while (outbox_next_to_send(outbox, &submission)) {
        assert_true(submission.size <= SUBMISSION_BYTES_MAX);
        assert_int_equal(next_header(outbox).first_sequence, events + 1);
        events += next_header(outbox).count;
        outbox_sent(outbox, 0);
    }
    assert_int_equal(events, EVENTS);
    outbox_destroy(&outbox);
}

static void seals_before_a_submission_has_too_many_events(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, OUTBOX_EVENTS_MAX, OUTBOX_BYTES_MAX);
    add(outbox, SUBMISSION_EVENTS_MAX + 1);
    assert_int_equal(next_header(outbox).count, SUBMISSION_EVENTS_MAX);
    outbox_destroy(&outbox);
}

/* --- verdicts --- */

static void counts_each_verdict_once_when_acks_overlap(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 10);
    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(1, 6, ACK_OK), 0), OUTBOX_ADVANCED);
    assert_int_equal(take(outbox, ack_of(1, 4, ACK_OK), 0), OUTBOX_IGNORED);
    assert_int_equal(take(outbox, ack_of(3, 8, ACK_OK), 0), OUTBOX_ADVANCED);
    assert_int_equal(outbox_counts(outbox)->accepted, 8);
    assert_int_equal(outbox_acknowledged(outbox), 8);
    assert_int_equal(outbox_pending(outbox), 2);
    outbox_destroy(&outbox);
}

static void counts_refusals_by_reason_and_those_without_one_apart(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 10);
    send_all(outbox, 0);
    take(outbox, ack_of(1, 2, ACK_OK), 0);

    struct buffer refusals;
    buffer_init(&refusals, 1000);
    write_refusal(&refusals, 2, true); /* accepted already, as far as we know */
    write_refusal(&refusals, 3, true);
    write_refusal(&refusals, 5, false);
    struct ack ack = ack_of(2, 6, ACK_OK);
    ack.refusals = buffer_slice(&refusals);
    ack.refusal_count = 3;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_ADVANCED);

    const struct outbox_counts *counts = outbox_counts(outbox);
    assert_int_equal(counts->accepted, 4);
    assert_int_equal(counts->refused, 2);
    assert_int_equal(counts->refused_by[REASON_RATE_LIMITED], 1);
    assert_int_equal(counts->refused_unknown_reason, 1);
    buffer_fini(&refusals);
    outbox_destroy(&outbox);
}

static void counts_forgotten_verdicts_as_decided(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 10);
    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(1, 4, ACK_FORGOTTEN), 0), OUTBOX_ADVANCED);
    assert_int_equal(outbox_counts(outbox)->forgotten, 4);
    assert_int_equal(outbox_counts(outbox)->accepted, 0);
    assert_int_equal(outbox_acknowledged(outbox), 4);
    outbox_destroy(&outbox);
}

static void ignores_an_ack_whose_refusals_cannot_be_read(void **state)
{
    (void)state;
    static const uint8_t not_refusals[] = {0x93, 0x01, 0x02, 0x03};
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 10);
    send_all(outbox, 0);
    struct ack ack = ack_of(1, 4, ACK_OK);
    ack.refusals = (struct slice){not_refusals, sizeof not_refusals};
    ack.refusal_count = 1;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_IGNORED);
    assert_int_equal(outbox_acknowledged(outbox), 0);
    assert_int_equal(outbox_counts(outbox)->accepted, 0);
    outbox_destroy(&outbox);
}

static void ignores_acks_of_other_sources_and_epochs_and_of_what_was_never_sent(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 5);
    send_all(outbox, 0);
    add_submission(outbox, 5);

    struct ack ack = ack_of(1, 5, ACK_OK);
    ack.source = slice_of_text(SOURCE "/2");
    ack.log_id = other_log; /* not even then */
    assert_int_equal(take(outbox, ack, 0), OUTBOX_IGNORED);
    ack = ack_of(1, 5, ACK_OK);
    ack.epoch = EPOCH - 1;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_IGNORED);
    assert_int_equal(take(outbox, ack_of(1, 6, ACK_OK), 0), OUTBOX_IGNORED);
    assert_int_equal(outbox_acknowledged(outbox), 0);
    outbox_destroy(&outbox);
}

static void stops_when_another_holder_took_over(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    struct ack ack = ack_of(1, 0, ACK_FENCED);
    ack.epoch = EPOCH + 1;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_FENCED);
    outbox_destroy(&outbox);
}

static void goes_on_when_an_older_holder_is_told_to_stop(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    assert_int_equal(take(outbox, ack_of(1, 0, ACK_FENCED), 0), OUTBOX_IGNORED);
    struct ack late = ack_of(1, 0, ACK_FENCED);
    late.epoch = EPOCH - 1;
    assert_int_equal(take(outbox, late, 0), OUTBOX_IGNORED);
    outbox_destroy(&outbox);
}

static void stops_when_the_log_never_gave_its_epoch_out(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 1);
    send_all(outbox, 0);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(outbox_timer(outbox, outbox_deadline_ns(outbox)));
        send_all(outbox, outbox_deadline_ns(outbox));
    }
    struct ack ack = ack_of(1, 0, ACK_FENCED);
    ack.epoch = EPOCH - 1;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_FENCED);
    outbox_destroy(&outbox);
}

static void stops_at_another_log(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    struct ack ack = ack_of(1, 0, ACK_GAP);
    ack.log_id = other_log;
    assert_int_equal(take(outbox, ack, 0), OUTBOX_FOREIGN_LOG);
    outbox_destroy(&outbox);
}

/* --- sending again --- */

static void asks_again_once_when_an_ack_is_missing(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    for (unsigned i = 0; i < 3; i++)
        add_submission(outbox, 5);
    send_all(outbox, 0);
    take(outbox, ack_of(1, 5, ACK_OK), 0);

    assert_int_equal(take(outbox, ack_of(11, 13, ACK_OK), 0), OUTBOX_RESEND);
    assert_int_equal(outbox_acknowledged(outbox), 5);
    assert_int_equal(next_header(outbox).first_sequence, 6);
    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(14, 15, ACK_OK), 0), OUTBOX_IGNORED);
    assert_int_equal(next_header(outbox).count, 0);
    assert_int_equal(outbox_counts(outbox)->resends, 2);

    assert_int_equal(take(outbox, ack_of(6, 15, ACK_OK), 0), OUTBOX_ADVANCED);
    assert_int_equal(outbox_pending(outbox), 0);
    outbox_destroy(&outbox);
}

static void goes_back_once_for_each_gap_to_the_submission_with_the_sequence(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    for (unsigned i = 0; i < 4; i++)
        add_submission(outbox, 5);
    send_all(outbox, 0);
    take(outbox, ack_of(1, 7, ACK_OK), 0);

    assert_int_equal(take(outbox, ack_of(8, 7, ACK_GAP), 0), OUTBOX_RESEND);
    assert_int_equal(next_header(outbox).first_sequence, 6);
    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(8, 7, ACK_GAP), 0), OUTBOX_IGNORED);
    assert_int_equal(next_header(outbox).count, 0);

    take(outbox, ack_of(8, 10, ACK_OK), 0);
    assert_int_equal(take(outbox, ack_of(11, 10, ACK_GAP), 0), OUTBOX_RESEND);
    assert_int_equal(next_header(outbox).first_sequence, 11);
    outbox_destroy(&outbox);
}

static void asks_for_lost_verdicts_too_when_a_gap_tells_of_them(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    for (unsigned i = 0; i < 4; i++)
        add_submission(outbox, 5);
    send_all(outbox, 0);
    assert_int_equal(take(outbox, ack_of(11, 10, ACK_GAP), 0), OUTBOX_RESEND);
    assert_int_equal(next_header(outbox).first_sequence, 1);
    assert_int_equal(outbox_acknowledged(outbox), 0);
    outbox_destroy(&outbox);
}

static void ignores_a_gap_before_what_is_acknowledged(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 5);
    send_all(outbox, 0);
    take(outbox, ack_of(1, 3, ACK_OK), 0);
    assert_int_equal(take(outbox, ack_of(2, 1, ACK_GAP), 0), OUTBOX_IGNORED);
    assert_int_equal(next_header(outbox).count, 0);
    outbox_destroy(&outbox);
}

static void waits_longer_each_quiet_time_and_starts_afresh_with_a_verdict(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    assert_true(outbox_deadline_ns(outbox) == OUTBOX_NEVER);
    add_submission(outbox, 5);
    add_submission(outbox, 5);
    uint64_t now_ns = 1000 * MS;
    uint64_t expected_ns = OUTBOX_QUIET_NS_FIRST;
    send_all(outbox, now_ns);
    for (unsigned round = 0; round < 12; round++) {
        uint64_t wait_ns = outbox_deadline_ns(outbox) - now_ns;
        assert_in_range(wait_ns, expected_ns / 4 * 3, expected_ns / 4 * 5);
        assert_false(outbox_timer(outbox, outbox_deadline_ns(outbox) - 1));
        now_ns = outbox_deadline_ns(outbox);
        assert_true(outbox_timer(outbox, now_ns));
        assert_int_equal(next_header(outbox).first_sequence, 1);
        assert_int_equal(send_all(outbox, now_ns), 2);
        expected_ns *= 2;
        if (expected_ns > OUTBOX_QUIET_NS_MAX)
            expected_ns = OUTBOX_QUIET_NS_MAX;
    }
    take(outbox, ack_of(1, 5, ACK_OK), now_ns);
    assert_in_range(outbox_deadline_ns(outbox) - now_ns, OUTBOX_QUIET_NS_MIN / 4 * 3,
                    OUTBOX_QUIET_NS_MIN / 4 * 5);
    take(outbox, ack_of(6, 10, ACK_OK), now_ns);
    assert_true(outbox_deadline_ns(outbox) == OUTBOX_NEVER);
    outbox_destroy(&outbox);
}

static void does_not_wait_longer_while_nothing_can_be_sent(void **state)
{
    (void)state;
    struct outbox *outbox = new_outbox(0, 100, 10000);
    add_submission(outbox, 5);
    uint64_t now_ns = 0;
    send_all(outbox, now_ns);
    for (unsigned round = 0; round < 8; round++) {
        now_ns = outbox_deadline_ns(outbox);
        assert_true(outbox_timer(outbox, now_ns));
    }
    assert_true(outbox_deadline_ns(outbox) - now_ns <= 2 * OUTBOX_QUIET_NS_FIRST / 4 * 5);
    outbox_destroy(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_events_from_the_sequence_after_hello),
        cmocka_unit_test(writes_the_header_right_before_the_events),
        cmocka_unit_test(sends_nothing_that_is_not_sealed),
        cmocka_unit_test(takes_no_more_events_than_its_limit_until_verdicts_come),
        cmocka_unit_test(takes_no_more_bytes_than_its_limit_but_anything_when_empty),
        cmocka_unit_test(seals_before_a_submission_grows_too_large),
        cmocka_unit_test(seals_before_a_submission_has_too_many_events),
        cmocka_unit_test(counts_each_verdict_once_when_acks_overlap),
        cmocka_unit_test(counts_refusals_by_reason_and_those_without_one_apart),
        cmocka_unit_test(counts_forgotten_verdicts_as_decided),
        cmocka_unit_test(ignores_an_ack_whose_refusals_cannot_be_read),
        cmocka_unit_test(ignores_acks_of_other_sources_and_epochs_and_of_what_was_never_sent),
        cmocka_unit_test(stops_when_another_holder_took_over),
        cmocka_unit_test(goes_on_when_an_older_holder_is_told_to_stop),
        cmocka_unit_test(stops_when_the_log_never_gave_its_epoch_out),
        cmocka_unit_test(stops_at_another_log),
        cmocka_unit_test(asks_again_once_when_an_ack_is_missing),
        cmocka_unit_test(goes_back_once_for_each_gap_to_the_submission_with_the_sequence),
        cmocka_unit_test(asks_for_lost_verdicts_too_when_a_gap_tells_of_them),
        cmocka_unit_test(ignores_a_gap_before_what_is_acknowledged),
        cmocka_unit_test(waits_longer_each_quiet_time_and_starts_afresh_with_a_verdict),
        cmocka_unit_test(does_not_wait_longer_while_nothing_can_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
