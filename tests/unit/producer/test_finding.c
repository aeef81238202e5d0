#include "producer/core/finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct injection_place place = {
    .source = {(const uint8_t *)"inject-0123", 11},
    .epoch = 4,
    .first_sequence = 50,
    .marker = {(const uint8_t *)"inject-0123.9", 13},
    .time_ns = 1,
};

/* One injection: its bytes, and what is found. */
struct bench {
    struct buffer bytes, acks;
    struct burst burst;
    struct finding finding;
};

static void bench_open(struct bench *bench, const char *kind)
{
    buffer_init(&bench->bytes, INJECTION_BYTES_MAX);
    buffer_init(&bench->acks, 4096);
    struct finding_options options = {.kind = catalogue_find(kind), .place = place};
    assert_non_null(options.kind);
    if (options.kind->answer == ANSWER_LIMIT) {
        bench->burst =
            (struct burst){.events = 15, .fits = 10, .window_ns = 1000, .policy = "per-source"};
        options.burst = &bench->burst;
        options.nothing_spent = true;
    } else {
        catalogue_build(options.kind, &place, &bench->bytes);
        options.sent = buffer_slice(&bench->bytes);
    }
    finding_init(&bench->finding, &options);
}

static void bench_close(struct bench *bench)
{
    buffer_fini(&bench->bytes);
    buffer_fini(&bench->acks);
}

/* The record that the kind should get. */
static struct rejection good_record(const struct bench *bench)
{
    const struct kind *kind = bench->finding.kind;
    struct rejection record = {.rejection_id = 8,
                               .count = kind->refused > 0 ? kind->refused : 1,
                               .reason = kind->reason,
                               .retry_after_ns = RECORD_NEVER,
                               .evidence = buffer_slice(&bench->bytes)};
    if (record.evidence.size > RECORD_EVIDENCE_BYTES_MAX)
        record.evidence.size = RECORD_EVIDENCE_BYTES_MAX;
    if (!kind->nameless)
        record.source = place.source;
    record.has_sequence = kind->refused > 0 || kind->unsequenced;
    if (record.has_sequence && !kind->unsequenced)
        record.sequence = place.first_sequence + kind->good;
    return record;
}

/* Shows an ack of first … last that refuses the last `refused` of them. */
static void show_ack(struct bench *bench, uint64_t first, uint64_t last, uint64_t refused,
                     enum reason reason)
{
    buffer_clear(&bench->acks);
    for (uint64_t sequence = last + 1 - refused; sequence <= last; sequence++) {
        struct refusal refusal = {.sequence = sequence,
                                  .has_reason = true,
                                  .reason = reason,
                                  .retry_after_ns = RECORD_NEVER};
        refusal_write(&bench->acks, &refusal);
    }
    struct ack ack = {.source = place.source,
                      .epoch = place.epoch,
                      .first_sequence = first,
                      .last_sequence = last,
                      .status = ACK_OK,
                      .refusal_count = (uint32_t)refused,
                      .refusals = buffer_slice(&bench->acks)};
    finding_ack(&bench->finding, &ack);
}

/* What comes back where all is as the table says. */
static void show_good(struct bench *bench)
{
    const struct kind *kind = bench->finding.kind;
    struct rejection record = good_record(bench);
    finding_record(&bench->finding, &record);
    uint64_t used = catalogue_sequences(kind);
    if (used > 0)
        show_ack(bench, place.first_sequence, place.first_sequence + used - 1, kind->refused,
                 kind->reason);
}

static void every_kind_that_gets_its_record_is_as_stated(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < catalogue_count(); i++) {
        const struct kind *kind = catalogue_kind(i);
        if (kind->answer != ANSWER_RECORD)
            continue;
        struct bench bench;
        bench_open(&bench, kind->name);
        assert_false(finding_complete(&bench.finding));
        show_good(&bench);
        assert_true(finding_complete(&bench.finding));
        finding_close(&bench.finding, place.first_sequence - 1 + catalogue_sequences(kind), 1);
        if (!finding_as_stated(&bench.finding))
            fail_msg("%s: %s", kind->name, bench.finding.problem.text);
        assert_int_equal(bench.finding.record.rejection_id, 8);
        bench_close(&bench);
    }
}

/* Each way a record can differ from what it should be. */
static void a_record_that_differs_is_not_as_stated(void **state)
{
    (void)state;
    enum { REASON, SEQUENCE, NO_SEQUENCE, COUNT, NO_SOURCE, TWICE, CHANGES };
    for (int change = 0; change < CHANGES; change++) {
        struct bench bench;
        bench_open(&bench, "count-forged");
        struct rejection record = good_record(&bench);
        if (change == REASON)
            record.reason = REASON_INVALID;
        else if (change == SEQUENCE)
            record.sequence++;
        else if (change == NO_SEQUENCE)
            record.has_sequence = false;
        else if (change == COUNT)
            record.count++;
        else if (change == NO_SOURCE)
            record.source.size = 0;
        finding_record(&bench.finding, &record);
        if (change == TWICE)
            finding_record(&bench.finding, &record);
        assert_true(finding_complete(&bench.finding));
        assert_false(finding_as_stated(&bench.finding));
        bench_close(&bench);
    }
}

static void a_verdict_that_differs_is_not_as_stated(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, last, refused;
        enum reason reason;
        uint64_t last_sequence; /* that hello tells */
    } cases[] = {
        {50, 52, 2, REASON_INVALID, 52},   /* another reason */
        {50, 52, 1, REASON_MALFORMED, 52}, /* one of them accepted */
        {51, 52, 2, REASON_MALFORMED, 52}, /* an ack is missing */
        {50, 53, 2, REASON_MALFORMED, 53}, /* one sequence too many */
        {50, 52, 2, REASON_MALFORMED, 51}, /* hello says otherwise */
        {50, 52, 2, REASON_MALFORMED, 53},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        bench_open(&bench, "count-forged");
        struct rejection record = good_record(&bench);
        finding_record(&bench.finding, &record);
        show_ack(&bench, cases[i].first, cases[i].last, cases[i].refused, cases[i].reason);
        finding_close(&bench.finding, cases[i].last_sequence, 1);
        assert_false(finding_as_stated(&bench.finding));
        bench_close(&bench);
    }
}

static void a_sequence_that_should_not_be_used_is_found(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "count-zero");
    show_good(&bench);
    finding_close(&bench.finding, place.first_sequence, 1);
    assert_false(finding_as_stated(&bench.finding));
    bench_close(&bench);
}

static void what_is_about_others_is_passed_over(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "not-messagepack");
    struct rejection others = good_record(&bench);
    others.source = slice_of_text("someone");
    finding_record(&bench.finding, &others);
    others.source.size = 0;
    others.evidence = slice_of_text("\xc1inject-4567");
    finding_record(&bench.finding, &others);
    struct ack ack = {.source = slice_of_text("inject-0123/x"), .status = ACK_FENCED};
    finding_ack(&bench.finding, &ack);
    assert_false(finding_complete(&bench.finding));
    assert_false(finding_summarised(&bench.finding));
    show_good(&bench);
    finding_close(&bench.finding, place.first_sequence - 1, 1);
    assert_true(finding_as_stated(&bench.finding));
    bench_close(&bench);
}

static void summaries_stand_for_records(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "nan");
    struct rejection summary = {.rejection_id = 9,
                                .count = 1,
                                .reason = REASON_INVALID,
                                .retry_after_ns = RECORD_NEVER,
                                .source = place.source};
    finding_record(&bench.finding, &summary);
    show_ack(&bench, 50, 50, 1, REASON_INVALID);
    assert_true(finding_complete(&bench.finding));
    bench_close(&bench);

    bench_open(&bench, "nan"); /* where even the names are too many */
    summary.source.size = 0;
    summary.count = 70000;
    finding_record(&bench.finding, &summary);
    assert_false(finding_summarised(&bench.finding));
    show_ack(&bench, 50, 50, 1, REASON_INVALID);
    assert_false(finding_complete(&bench.finding));
    assert_true(finding_summarised(&bench.finding));
    finding_close(&bench.finding, 50, 1);
    assert_true(finding_as_stated(&bench.finding));
    bench_close(&bench);
}

static void policies_may_refuse_good_events_and_report_them(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "trailing-bytes");
    struct rejection limited = {.rejection_id = 6,
                                .count = 1,
                                .reason = REASON_RATE_LIMITED,
                                .source = place.source,
                                .has_sequence = true,
                                .sequence = 50};
    finding_record(&bench.finding, &limited);
    limited.reason = REASON_SHADOW;
    finding_record(&bench.finding, &limited);
    struct rejection record = good_record(&bench);
    finding_record(&bench.finding, &record);
    show_ack(&bench, 50, 50, 1, REASON_RATE_LIMITED);
    finding_close(&bench.finding, 50, 1);
    assert_string_equal(bench.finding.problem.text, "");
    assert_int_equal(bench.finding.record.rejection_id, 8);
    bench_close(&bench);
}

static void show_redirect(struct bench *bench, enum ack_status status, uint64_t epoch,
                          uint64_t first)
{
    struct ack ack = {.source = place.source,
                      .epoch = epoch,
                      .first_sequence = first,
                      .last_sequence = first - 1,
                      .status = status};
    finding_ack(&bench->finding, &ack);
}

static void gaps_and_stale_epochs_are_answered_by_an_ack_alone(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        enum ack_status status;
        uint64_t epoch, first;
        bool as_stated;
    } cases[] = {
        {"gap", ACK_GAP, 4, 50, true},
        {"gap", ACK_GAP, 4, 51, false},
        {"gap", ACK_FENCED, 4, 50, false},
        {"gap", ACK_GAP, 3, 50, false},
        {"stale-epoch", ACK_FENCED, 4, 50, true},
        {"future-epoch", ACK_FENCED, 5, 50, false},
        {"future-epoch", ACK_OK, 4, 50, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        bench_open(&bench, cases[i].kind);
        assert_false(finding_complete(&bench.finding));
        show_redirect(&bench, cases[i].status, cases[i].epoch, cases[i].first);
        assert_true(finding_complete(&bench.finding));
        finding_close(&bench.finding, 49, 1);
        assert_int_equal(finding_as_stated(&bench.finding), cases[i].as_stated);
        bench_close(&bench);
    }
}

static void a_gap_leaves_no_record(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "gap");
    struct rejection record = good_record(&bench);
    record.source = place.source;
    finding_record(&bench.finding, &record);
    assert_false(finding_as_stated(&bench.finding));
    bench_close(&bench);
}

static void a_resend_repeats_the_verdicts(void **state)
{
    (void)state;
    for (uint64_t again = 0; again <= 1; again++) {
        struct bench bench;
        bench_open(&bench, "duplicates");
        show_ack(&bench, 50, 51, 1, REASON_RATE_LIMITED);
        assert_true(finding_complete(&bench.finding));
        finding_resend(&bench.finding);
        assert_false(finding_complete(&bench.finding));
        show_ack(&bench, 50, 51, again, REASON_RATE_LIMITED);
        assert_true(finding_complete(&bench.finding));
        finding_close(&bench.finding, 51, 1);
        assert_int_equal(finding_as_stated(&bench.finding), again == 1);
        bench_close(&bench);
    }
}

static void show_burst_record(struct bench *bench, uint64_t sequence)
{
    struct rejection record = {.rejection_id = sequence,
                               .count = 1,
                               .reason = REASON_RATE_LIMITED,
                               .source = place.source,
                               .has_sequence = true,
                               .sequence = sequence,
                               .policy = slice_of_text("per-source")};
    finding_record(&bench->finding, &record);
}

static void a_burst_lets_pass_exactly_what_fits(void **state)
{
    (void)state;
    static const struct {
        uint64_t refused, elapsed_ns;
        bool as_stated;
    } cases[] = {
        {5, 1, true},     {4, 1, false}, /* one too many passed … */
        {4, 2000, true},                 /* … unless the window moved on */
        {6, 1, false},                   /* one would have fitted */
        {0, 2000, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        bench_open(&bench, "burst");
        uint64_t refused = cases[i].refused;
        for (uint64_t n = 0; n < refused; n++)
            show_burst_record(&bench, 65 - refused + n);
        assert_false(finding_complete(&bench.finding));
        show_ack(&bench, 50, 55, 0, REASON_RATE_LIMITED);
        assert_false(finding_complete(&bench.finding));
        show_ack(&bench, 56, 64, refused, REASON_RATE_LIMITED);
        assert_true(finding_complete(&bench.finding));
        finding_close(&bench.finding, 64, cases[i].elapsed_ns);
        assert_int_equal(finding_as_stated(&bench.finding), cases[i].as_stated);
        bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_that_gets_its_record_is_as_stated),
        cmocka_unit_test(a_record_that_differs_is_not_as_stated),
        cmocka_unit_test(a_verdict_that_differs_is_not_as_stated),
        cmocka_unit_test(a_sequence_that_should_not_be_used_is_found),
        cmocka_unit_test(what_is_about_others_is_passed_over),
        cmocka_unit_test(summaries_stand_for_records),
        cmocka_unit_test(policies_may_refuse_good_events_and_report_them),
        cmocka_unit_test(gaps_and_stale_epochs_are_answered_by_an_ack_alone),
        cmocka_unit_test(a_gap_leaves_no_record),
        cmocka_unit_test(a_resend_repeats_the_verdicts),
        cmocka_unit_test(a_burst_lets_pass_exactly_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
