#include "processor/recorder.h"

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
#include "common/policy/policy.h"
#include "tests/lib/seed.h"

enum { RECORDS_BYTES_MAX = 64 * 1024 * 1024, START_S = 1000 };

struct fixture {
    struct recorder *recorder;
    struct buffer records;
    uint64_t next_id;
};

static struct fixture fixture_of(uint32_t records_per_s)
{
    struct fixture f = {.recorder = recorder_new(records_per_s), .next_id = 1};
    assert_non_null(f.recorder);
    buffer_init(&f.records, RECORDS_BYTES_MAX);
    return f;
}

static void fixture_fini(struct fixture *f)
{
    recorder_destroy(&f->recorder);
    assert_null(f->recorder);
    buffer_fini(&f->records);
}

static struct rejection rejection_of(const char *source, const char *policy, uint64_t count,
                                     uint64_t now_ns)
{
    return (struct rejection){.reason = REASON_RATE_LIMITED,
                              .rejected_at_ns = now_ns,
                              .count = count,
                              .retry_after_ns = 5,
                              .has_sequence = true,
                              .sequence = 1,
                              .source = slice_of_text(source),
                              .policy = slice_of_text(policy)};
}

static uint32_t take(struct fixture *f, struct rejection *rejection)
{
    rejection->rejection_id = f->next_id;
    uint32_t given = recorder_take(f->recorder, rejection, &f->records);
    f->next_id += given;
    return given;
}

static uint32_t take_at(struct fixture *f, const char *source, uint64_t now_ns)
{
    struct rejection rejection = rejection_of(source, "p", 1, now_ns);
    return take(f, &rejection);
}

static uint32_t close_at(struct fixture *f, uint64_t now_ns)
{
    size_t before = f->records.size, promised = recorder_close_bytes(f->recorder);
    uint32_t given = recorder_close(f->recorder, f->next_id, now_ns, 77, &f->records);
    assert_true(f->records.size - before <= promised);
    f->next_id += given;
    return given;
}

static void records_one_by_one_up_to_the_rate_and_again_in_the_next_second(void **test_state)
{
    (void)test_state;
    struct fixture f = fixture_of(3);
    for (uint64_t second = START_S; second < START_S + 5; second++) {
        uint64_t now_ns = second * NS_PER_S;
        for (int i = 0; i < 3; i++)
            assert_int_equal(take_at(&f, "s", now_ns + (uint64_t)i), 1);
        assert_int_equal(take_at(&f, "s", now_ns + NS_PER_S - 1), 0);
        assert_int_equal(close_at(&f, now_ns + NS_PER_S - 1), 1);
    }
    fixture_fini(&f);
}

static void a_summary_says_what_it_stands_for_and_no_sequence(void **test_state)
{
    (void)test_state;
    struct fixture f = fixture_of(0);
    struct rejection rejection = rejection_of("s", "p", 5, START_S * NS_PER_S);
    rejection.key = (struct slice){(const uint8_t *)"\xa1k", 2};
    assert_int_equal(take(&f, &rejection), 0);
    rejection.count = 37;
    assert_int_equal(take(&f, &rejection), 0);
    assert_int_equal(close_at(&f, START_S * NS_PER_S + 9), 1);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f.records));
    struct rejection read;
    assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
    assert_true(mp_at_end(&reader));
    assert_int_equal(read.rejection_id, 1);
    assert_int_equal(read.rejected_at_ns, START_S * NS_PER_S + 9);
    assert_int_equal(read.after_event_id, 77);
    assert_int_equal(read.reason, REASON_RATE_LIMITED);
    assert_int_equal(read.count, 42);
    assert_false(read.has_sequence);
    assert_true(slice_equal_text(read.source, "s"));
    assert_true(slice_equal_text(read.policy, "p"));
    assert_true(slice_equal_text(read.key, "\xa1k"));
    assert_int_equal(read.retry_after_ns, RECORD_NEVER);
    assert_int_equal(read.evidence.size, 0);
    assert_int_equal(close_at(&f, START_S * NS_PER_S + 9), 0);
    fixture_fini(&f);
}

/* "a" + "bc" and "ab" + "c" have the same bytes. */
static void names_that_join_to_the_same_bytes_are_counted_apart(void **test_state)
{
    (void)test_state;
    struct fixture f = fixture_of(0);
    struct rejection one = rejection_of("a", "bc", 1, START_S * NS_PER_S);
    struct rejection other = rejection_of("ab", "c", 1, START_S * NS_PER_S);
    assert_int_equal(take(&f, &one), 0);
    assert_int_equal(take(&f, &other), 0);
    other.reason = REASON_SHADOW;
    assert_int_equal(take(&f, &other), 0);
    assert_int_equal(close_at(&f, START_S * NS_PER_S), 3);
    fixture_fini(&f);
}

static void beyond_the_table_refusals_are_counted_by_reason_alone(void **test_state)
{
    (void)test_state;
    struct fixture f = fixture_of(0);
    char source[16];
    for (int i = 0; i < RECORDER_SUMMARIES_MAX + 50; i++) {
        snprintf(source, sizeof source, "s-%d", i);
        assert_int_equal(take_at(&f, source, START_S * NS_PER_S), 0);
    }
    assert_int_equal(close_at(&f, START_S * NS_PER_S), RECORDER_SUMMARIES_MAX + 1);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f.records));
    struct rejection read;
    for (int i = 0; i < RECORDER_SUMMARIES_MAX; i++) {
        assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
        assert_int_equal(read.count, 1);
    }
    assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
    assert_int_equal(read.count, 50);
    assert_int_equal(read.source.size, 0);
    assert_int_equal(read.policy.size, 0);
    fixture_fini(&f);
}

static void many_small_batches_do_not_turn_every_refusal_into_a_summary(void **test_state)
{
    (void)test_state;
    enum { BATCHES = 20 * RECORDER_SUMMARIES_PER_S / 10 };
    struct fixture f = fixture_of(0);
    char source[16];
    uint32_t records = 0;
    uint64_t sum = 0;
    for (int i = 0; i < BATCHES; i++) {
        for (int k = 0; k < 10; k++) {
            snprintf(source, sizeof source, "s-%d", k);
            assert_int_equal(take_at(&f, source, START_S * NS_PER_S), 0);
        }
        records += close_at(&f, START_S * NS_PER_S);
    }
    assert_int_equal(records, RECORDER_SUMMARIES_PER_S + BATCHES - RECORDER_SUMMARIES_PER_S / 10);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f.records));
    struct rejection read;
    while (!mp_at_end(&reader)) {
        assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
        sum += read.count;
    }
    assert_int_equal(sum, 10 * BATCHES);
    assert_int_equal(take_at(&f, "s-0", (START_S + 1) * NS_PER_S), 0);
    assert_int_equal(close_at(&f, (START_S + 1) * NS_PER_S), 1);
    fixture_fini(&f);
}

/* Names as long as they may be, in every field, stay within the promised bytes. */
static void the_largest_summaries_keep_the_promise_of_their_size(void **test_state)
{
    (void)test_state;
    struct fixture f = fixture_of(0);
    uint8_t key[5 + POLICY_KEY_BYTES_MAX] = {0xd9, POLICY_KEY_BYTES_MAX};
    memset(key + 2, 'k', POLICY_KEY_BYTES_MAX);
    char source[EVENT_SOURCE_BYTES_MAX + 1], policy[POLICY_NAME_BYTES_MAX + 1] = {0};
    memset(policy, 'p', POLICY_NAME_BYTES_MAX);
    for (int i = 0; i < RECORDER_SUMMARIES_MAX + 1; i++) {
        snprintf(source, sizeof source, "%0*d", EVENT_SOURCE_BYTES_MAX, i);
        struct rejection rejection =
            rejection_of(source, policy, UINT64_MAX / 1024, UINT64_MAX - NS_PER_S);
        rejection.key = (struct slice){key, 2 + POLICY_KEY_BYTES_MAX};
        assert_int_equal(take(&f, &rejection), 0);
    }
    assert_true(recorder_close_bytes(f.recorder) <= RECORDER_CLOSE_BYTES_MAX);
    assert_int_equal(close_at(&f, UINT64_MAX - NS_PER_S), RECORDER_SUMMARIES_MAX + 1);
    fixture_fini(&f);
}

/* ---- floods -------------------------------------------------------------------------------- */

enum { FLOOD_SOURCES = 40, FLOOD_POLICIES = 12, FLOOD_BATCHES = 60 };

struct tally {
    uint64_t by_reason[REASON_COUNT];
    uint64_t by_pair[FLOOD_SOURCES][FLOOD_POLICIES];
};

static const enum reason flood_reasons[] = {REASON_RATE_LIMITED, REASON_INVALID, REASON_TOO_LARGE,
                                            REASON_UNAVAILABLE,  REASON_SHADOW,  REASON_MALFORMED};

static void flood_take(struct fixture *f, struct rng *rng, uint64_t now_ns, struct tally *tally)
{
    char source[16], policy[16];
    uint64_t s = rng_below(rng, FLOOD_SOURCES), p = rng_below(rng, FLOOD_POLICIES);
    snprintf(source, sizeof source, "s-%" PRIu64, s);
    snprintf(policy, sizeof policy, "p-%" PRIu64, p);
    uint64_t count = rng_below(rng, 10) == 0 ? 1 + rng_below(rng, 16384) : 1;
    struct rejection rejection = rejection_of(source, policy, count, now_ns);
    rejection.reason = flood_reasons[rng_below(rng, sizeof flood_reasons / sizeof *flood_reasons)];
    tally->by_reason[rejection.reason] += count;
    tally->by_pair[s][p] += count;
    take(f, &rejection);
}

/* Reads all records: ids go up by one; gives the counts, and how many lost their names. */
static uint64_t records_sum(const struct fixture *f, struct tally *tally)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->records));
    uint64_t id = 1, nameless = 0;
    while (!mp_at_end(&reader)) {
        struct rejection read;
        assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
        assert_int_equal(read.rejection_id, id++);
        tally->by_reason[read.reason] += read.count;
        if (read.source.size == 0) {
            nameless += read.count;
            continue;
        }
        char source[32] = {0}, policy[32] = {0};
        memcpy(source, read.source.data, read.source.size);
        memcpy(policy, read.policy.data, read.policy.size);
        tally->by_pair[strtoul(source + 2, NULL, 10)][strtoul(policy + 2, NULL, 10)] += read.count;
    }
    assert_int_equal(id, f->next_id);
    return nameless;
}

static void flood(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    struct fixture f = fixture_of((uint32_t)rng_below(&rng, 200));
    struct tally expected = {0}, got = {0};
    uint64_t now_ns = START_S * NS_PER_S;
    for (int batch = 0; batch < FLOOD_BATCHES; batch++) {
        now_ns += rng_below(&rng, NS_PER_S / 2);
        uint64_t refusals = rng_below(&rng, rng_below(&rng, 5) == 0 ? 2000 : 50);
        for (uint64_t i = 0; i < refusals; i++)
            flood_take(&f, &rng, now_ns, &expected);
        close_at(&f, now_ns);
    }
    uint64_t nameless = records_sum(&f, &got);
    for (int i = 0; i < REASON_COUNT; i++)
        assert_int_equal(got.by_reason[i], expected.by_reason[i]);
    uint64_t short_by = 0;
    for (int s = 0; s < FLOOD_SOURCES; s++) {
        for (int p = 0; p < FLOOD_POLICIES; p++) {
            assert_true(got.by_pair[s][p] <= expected.by_pair[s][p]);
            short_by += expected.by_pair[s][p] - got.by_pair[s][p];
        }
    }
    assert_int_equal(short_by, nameless);
    fixture_fini(&f);
}

static void the_sum_of_counts_is_exact_over_random_floods(void **test_state)
{
    (void)test_state;
    uint64_t seed = test_number("WEIR_SEED", 1), rounds = test_number("WEIR_ROUNDS", 20);
    for (uint64_t i = 0; i < rounds; i++) {
        print_message("WEIR_SEED=%" PRIu64 "\n", seed + i);
        flood(seed + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_one_by_one_up_to_the_rate_and_again_in_the_next_second),
        cmocka_unit_test(a_summary_says_what_it_stands_for_and_no_sequence),
        cmocka_unit_test(names_that_join_to_the_same_bytes_are_counted_apart),
        cmocka_unit_test(beyond_the_table_refusals_are_counted_by_reason_alone),
        cmocka_unit_test(many_small_batches_do_not_turn_every_refusal_into_a_summary),
        cmocka_unit_test(the_largest_summaries_keep_the_promise_of_their_size),
        cmocka_unit_test(the_sum_of_counts_is_exact_over_random_floods),
    };
    return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
