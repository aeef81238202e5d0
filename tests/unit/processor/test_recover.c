/* The fold equals the live state: whatever the core thread decides over random traffic, the batches
 * it hands over are enough to get its state back. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/lib/seed.h"
#include "tests/unit/processor/shell_fixture.h"
#include "tests/unit/processor/state_compare.h"
#include "tests/unit/processor/traffic.h"

static void live_equals_fold(uint64_t seed, uint32_t records_per_s)
{
    static struct shell shell;
    struct traffic traffic;
    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    shell_open(&shell, traffic_policies, records_per_s);
    shell_run(&shell);
    traffic_init(&traffic, &shell, seed);
    for (int i = 0; i < 400; i++)
        traffic_step(&traffic);
    shell_stop(&shell);

    uint64_t now_ns = shell.service.clock.last_stamp_ns;
    struct recovery *recovery = shell_reopen(&shell);
    struct state *mirrored = recovery_take_state(shell.mirror);
    struct state *reopened = recovery_take_state(recovery);
    states_compare(mirrored, reopened, now_ns, seed);
    state_destroy(&mirrored);
    state_destroy(&reopened);
    recovery_destroy(&recovery);

    recovery = shell_reopen(&shell);
    reopened = recovery_take_state(recovery);
    states_compare(shell.state, reopened, now_ns, seed);
    state_destroy(&reopened);
    recovery_destroy(&recovery);
    traffic_fini(&traffic);
    shell_close(&shell);
}

static void folding_the_log_gives_the_live_state(void **test_state)
{
    (void)test_state;
    uint64_t seed = test_number("WEIR_SEED", 1), rounds = test_number("WEIR_ROUNDS", 3);
    for (uint64_t i = 0; i < rounds; i++)
        live_equals_fold(seed + i, UINT32_MAX);
}

static void it_does_so_when_refusals_are_summed_up(void **test_state)
{
    (void)test_state;
    live_equals_fold(test_number("WEIR_SEED", 1) + 1000, 5);
}

/* ---- what does not add up ------------------------------------------------------------------- */

/* A batch by hand, over a state with the source "s" at sequence 3 of epoch 1. */
struct forgery {
    struct recovery *recovery;
    struct batch_header header;
    struct buffer sources, accepted;
};

static struct slice event_bytes(void)
{
    static const uint8_t bytes[] = "\x95\x01\xa1t\xa1s\x01\x80";
    return (struct slice){bytes, sizeof bytes - 1};
}

static enum status visit(struct forgery *f)
{
    struct detail detail;
    struct batch_view view = {.header = f->header,
                              .sources = buffer_slice(&f->sources),
                              .accepted = buffer_slice(&f->accepted)};
    enum status status = recovery_visit(f->recovery, &view, &detail);
    buffer_clear(&f->sources);
    buffer_clear(&f->accepted);
    f->header.number++;
    f->header.first_event_id += f->header.event_count;
    f->header.event_count = 0;
    return status;
}

static void add_source(struct forgery *f, uint64_t last_sequence, const struct refused_run *runs,
                       uint32_t run_count)
{
    source_record_write(&f->sources, slice_of_text("s"), 1, last_sequence, runs, run_count);
}

static void add_event_at(struct forgery *f, const char *source, uint64_t sequence, uint64_t time_ns)
{
    uint8_t bytes[RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + 64];
    uint8_t *end = accepted_record_put(bytes, f->header.first_event_id + f->header.event_count++,
                                       time_ns, slice_of_text(source), sequence, event_bytes());
    buffer_append(&f->accepted, bytes, (size_t)(end - bytes));
}

static void add_event(struct forgery *f, const char *source, uint64_t sequence)
{
    add_event_at(f, source, sequence, f->header.first_time_ns);
}

static int forgery_set_up(void **test_state)
{
    struct forgery *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->recovery = recovery_new("/nowhere");
    buffer_init(&f->sources, BATCH_BYTES_MAX);
    buffer_init(&f->accepted, BATCH_BYTES_MAX);
    struct genesis genesis = {.log_id.bytes = "0123456789abcdef", .policy_text = slice_of_text("")};
    genesis_write(&f->sources, &genesis);
    f->header =
        (struct batch_header){.kind = BATCH_GENESIS, .first_event_id = 1, .first_rejection_id = 1};
    assert_int_equal(visit(f), STATUS_OK);
    f->header.kind = BATCH_ORDINARY;
    f->header.first_time_ns = f->header.last_time_ns = FIXTURE_START_NS;
    struct refused_run run = {.first = 2, .count = 1};
    add_source(f, 3, &run, 1);
    add_event(f, "s", 1);
    add_event(f, "s", 3);
    assert_int_equal(visit(f), STATUS_OK);
    *test_state = f;
    return 0;
}

static int forgery_tear_down(void **test_state)
{
    struct forgery *f = *test_state;
    recovery_destroy(&f->recovery);
    buffer_fini(&f->sources);
    buffer_fini(&f->accepted);
    free(f);
    return 0;
}

static void a_batch_before_the_genesis_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    recovery_destroy(&f->recovery);
    f->recovery = recovery_new("/nowhere");
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_genesis_that_cannot_be_read_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    recovery_destroy(&f->recovery);
    f->recovery = recovery_new("/nowhere");
    f->header = (struct batch_header){.kind = BATCH_GENESIS};
    buffer_append_text(&f->sources, "no genesis");
    assert_int_equal(visit(f), STATUS_DAMAGED);
    assert_null(recovery_take_state(f->recovery));
}

static void an_event_id_that_is_not_the_next_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 4, NULL, 0);
    f->header.first_event_id++;
    add_event(f, "s", 4);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void an_accepted_sequence_that_is_not_the_next_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 5, NULL, 0);
    add_event(f, "s", 5);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_refused_sequence_that_is_not_the_next_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    struct refused_run run = {.first = 5, .count = 1};
    add_source(f, 5, &run, 1);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void an_event_whose_source_is_not_in_the_batch_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_event(f, "s", 4);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void an_event_of_an_unknown_source_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_event(f, "stranger", 1);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_last_sequence_that_is_not_reached_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 6, NULL, 0);
    add_event(f, "s", 4);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_header_that_counts_other_than_its_records_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 4, NULL, 0);
    add_event(f, "s", 4);
    f->header.event_count++;
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void records_that_cannot_be_read_are_damage(void **test_state)
{
    struct forgery *f = *test_state;
    buffer_append_text(&f->sources, "\xc1");
    assert_int_equal(visit(f), STATUS_DAMAGED);
    buffer_append_text(&f->accepted, "\xc1");
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void times_may_go_up_within_a_batch(void **test_state)
{
    struct forgery *f = *test_state;
    uint64_t first_ns = f->header.first_time_ns;
    f->header.last_time_ns = first_ns + 7;
    add_source(f, 6, NULL, 0);
    add_event_at(f, "s", 4, first_ns);
    add_event_at(f, "s", 5, first_ns + 7);
    add_event_at(f, "s", 6, first_ns + 7);
    assert_int_equal(visit(f), STATUS_OK);
    struct state *state = recovery_take_state(f->recovery);
    assert_int_equal(state_position(state).last_time_ns, first_ns + 7);
    state_destroy(&state);
}

static void a_time_that_goes_back_within_a_batch_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    f->header.last_time_ns += 7;
    add_source(f, 5, NULL, 0);
    add_event_at(f, "s", 4, f->header.first_time_ns + 7);
    add_event_at(f, "s", 5, f->header.first_time_ns + 6);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_time_behind_the_last_of_its_batch_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 4, NULL, 0);
    add_event_at(f, "s", 4, f->header.last_time_ns + 1);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_last_time_that_no_record_has_is_damage(void **test_state)
{
    struct forgery *f = *test_state;
    f->header.last_time_ns++;
    add_source(f, 4, NULL, 0);
    add_event(f, "s", 4);
    assert_int_equal(visit(f), STATUS_DAMAGED);
}

static void a_state_that_is_not_the_writers_is_reported_as_a_bug(void **test_state)
{
    struct forgery *f = *test_state;
    add_source(f, 4, NULL, 0);
    add_event(f, "s", 4);
    f->header.state_digest = 0x123456789;
    assert_int_equal(visit(f), STATUS_DIVERGED);
}

static void a_batch_that_adds_up_is_folded(void **test_state)
{
    struct forgery *f = *test_state;
    struct refused_run runs[] = {{.first = 5, .count = 2}, {.first = 8, .count = 1}};
    add_source(f, 8, runs, 2);
    add_event(f, "s", 4);
    add_event(f, "stranger", 0);
    add_event(f, "s", 7);
    assert_int_equal(visit(f), STATUS_OK);
    struct state *state = recovery_take_state(f->recovery);
    uint32_t source = state_find_source(state, slice_of_text("s"));
    static const enum verdict verdicts[] = {VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_ACCEPTED,
                                            VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_REFUSED,
                                            VERDICT_ACCEPTED, VERDICT_REFUSED};
    assert_int_equal(state_source(state, source).last_sequence, 8);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(state_verdict(state, source, i + 1), verdicts[i]);
    assert_int_equal(state_position(state).last_event_id, 5);
    assert_int_equal(state_source_count(state), 1);
    state_destroy(&state);
}

int main(void)
{
#define with_forgery(test) cmocka_unit_test_setup_teardown(test, forgery_set_up, forgery_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_the_log_gives_the_live_state),
        cmocka_unit_test(it_does_so_when_refusals_are_summed_up),
        with_forgery(a_batch_before_the_genesis_is_damage),
        with_forgery(a_genesis_that_cannot_be_read_is_damage),
        with_forgery(an_event_id_that_is_not_the_next_is_damage),
        with_forgery(an_accepted_sequence_that_is_not_the_next_is_damage),
        with_forgery(a_refused_sequence_that_is_not_the_next_is_damage),
        with_forgery(an_event_whose_source_is_not_in_the_batch_is_damage),
        with_forgery(an_event_of_an_unknown_source_is_damage),
        with_forgery(a_last_sequence_that_is_not_reached_is_damage),
        with_forgery(a_header_that_counts_other_than_its_records_is_damage),
        with_forgery(records_that_cannot_be_read_are_damage),
        with_forgery(times_may_go_up_within_a_batch),
        with_forgery(a_time_that_goes_back_within_a_batch_is_damage),
        with_forgery(a_time_behind_the_last_of_its_batch_is_damage),
        with_forgery(a_last_time_that_no_record_has_is_damage),
        with_forgery(a_state_that_is_not_the_writers_is_reported_as_a_bug),
        with_forgery(a_batch_that_adds_up_is_folded),
    };
    return cmocka_run_group_tests_name("recover", tests, shell_group_set_up, shell_group_tear_down);
}
