/* Retention over a real log, with the snapshots that the real thread makes of it: nothing goes that
 * a window may still need. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "processor/filler.h"
#include "processor/policy_change.h"
#include "processor/recall.h"
#include "processor/retention.h"
#include "processor/snapshots.h"
#include "processor/store/segment.h"
#include "tests/unit/processor/store_fixture.h"

enum {
    EVENTS = 16, /* of a batch; four batches fill a segment */
    DATA_BYTES = 60000,
    BATCHES_PER_SEGMENT = 4,
    SNAPSHOT_BYTES = 6 * 1024 * 1024, /* one at the beginning of each segment */
    LOOK_MS = 5,
};
#define STEP_NS  1000000ULL                             /* between two batches */
#define SHORT_NS (2 * STEP_NS)                          /* window in force at first */
#define LONG_NS  (1000 * BATCHES_PER_SEGMENT * STEP_NS) /* reaches back to the genesis */

#define KEEP_TWO ((struct retention_options){.bytes = 2 * FIXTURE_SEGMENT_BYTES})

/* A log and the fold of it. */
struct fixture {
    char folder[FIXTURE_PATH_BYTES];
    struct service service;
    struct recovery *recovery;
    uint64_t now_ns;
};

static void expect_ok(enum status status, const struct detail *detail)
{
    if (status != STATUS_OK)
        print_message("%s: %s\n", status_text(status), detail->text);
    assert_int_equal(status, STATUS_OK);
}

static void policies_of(struct policy_set *policies, uint64_t window_ns)
{
    char text[128];
    struct detail detail;
    (void)snprintf(text, sizeof text,
                   "[policy \"p\"]\nkey = subject\nquota = 1000000\nwindow = %lluns\n",
                   (unsigned long long)window_ns);
    expect_ok(policy_set_parse(text, "test", policies, &detail), &detail);
}

/* ---- the log -------------------------------------------------------------------------------- */

static void log_make(struct fixture *f)
{
    static struct policy_set policies;
    struct buffer genesis;
    struct detail warning, detail;
    buffer_init(&genesis, GENESIS_BYTES_MAX);
    policies_of(&policies, SHORT_NS);
    const struct genesis record = {.created_at_ns = f->now_ns,
                                   .log_id.bytes = "0123456789abcdef",
                                   .policy_text = slice_of_text(policies.text)};
    genesis_write(&genesis, &record);
    const struct log_options options = {.directory = f->folder,
                                        .segment_bytes = FIXTURE_SEGMENT_BYTES,
                                        .genesis = buffer_slice(&genesis),
                                        .created_at_ns = f->now_ns};
    f->recovery = recovery_new(f->folder);
    expect_ok(log_open(&options, recovery_visit, f->recovery, &f->service.log, &warning, &detail),
              &detail);
    f->service.log_id = recovery_genesis(f->recovery)->log_id;
    buffer_fini(&genesis);
}

/* Appends what `events` holds, and folds it; its digest is kept unless it changes the policies,
 * which is folded from the disk. */
static void batch_append(struct fixture *f, struct slice accepted, uint32_t count, bool changes)
{
    struct detail detail;
    struct durable durable = log_durable(f->service.log);
    struct batch_view batch = {.header = {.kind = BATCH_ORDINARY,
                                          .number = durable.last_batch + 1,
                                          .first_event_id = durable.last_event_id + 1,
                                          .first_rejection_id = 1,
                                          .event_count = count,
                                          .first_time_ns = f->now_ns,
                                          .last_time_ns = f->now_ns},
                               .accepted = accepted};
    if (!changes) {
        expect_ok(recovery_visit(f->recovery, &batch, &detail), &detail);
        batch.header.state_digest = state_digest(recovery_state(f->recovery));
    }
    expect_ok(log_append(f->service.log, &batch, 1, &detail), &detail);
    if (changes) {
        durable = log_durable(f->service.log);
        batch.segment = durable.segment;
        batch.end_offset = durable.offset;
        expect_ok(recovery_visit(f->recovery, &batch, &detail), &detail);
    }
}

static void events_append(struct fixture *f, uint32_t batches)
{
    static uint8_t bytes[EVENTS * (DATA_BYTES + 1024)];
    static char padding[DATA_BYTES + 1];
    struct buffer event;
    buffer_init(&event, EVENT_BYTES_MAX);
    memset(padding, 'x', DATA_BYTES);
    for (uint32_t i = 0; i < batches; i++) {
        uint8_t *end = bytes;
        f->now_ns += STEP_NS;
        const uint64_t first_id = log_durable(f->service.log).last_event_id + 1;
        for (uint64_t k = 0; k < EVENTS; k++) {
            buffer_clear(&event);
            codec_array(&event, 5);
            codec_uint(&event, 1);
            codec_text(&event, "t");
            codec_text(&event, k % 2 == 0 ? "even" : "odd");
            codec_uint(&event, 1);
            codec_map(&event, 1);
            codec_text(&event, "padding");
            codec_text(&event, padding);
            end = accepted_record_put(end, first_id + k, f->now_ns, slice_of_text("cli"), 0,
                                      buffer_slice(&event));
        }
        batch_append(f, (struct slice){bytes, (size_t)(end - bytes)}, EVENTS, false);
    }
    buffer_fini(&event);
}

static void policy_append(struct fixture *f, uint64_t window_ns)
{
    static struct policy_set policies;
    static uint8_t bytes[POLICY_CHANGE_BYTES_MAX + RECORD_ACCEPTED_OVERHEAD_BYTES_MAX];
    struct buffer event;
    struct accepted_record record;
    policies_of(&policies, window_ns);
    buffer_init(&event, POLICY_CHANGE_BYTES_MAX);
    f->now_ns += STEP_NS;
    assert_int_equal(policy_change_record(recovery_state(f->recovery), policies.text, "test",
                                          f->now_ns, &event, &record),
                     STATUS_OK);
    const uint8_t *end =
        accepted_record_put(bytes, record.event_id, f->now_ns, record.source, 0, record.event.raw);
    batch_append(f, (struct slice){bytes, (size_t)(end - bytes)}, 1, true);
    buffer_fini(&event);
}

/* ---- its snapshots -------------------------------------------------------------------------- */

static void snapshot_path(const struct fixture *f, uint64_t number, char *ret_path, size_t size)
{
    (void)snprintf(ret_path, size, "%s/snapshots/%020llu.snap", f->folder,
                   (unsigned long long)number);
}

static bool has_snapshot(const struct fixture *f, uint64_t number)
{
    char path[FIXTURE_PATH_BYTES + 64];
    snapshot_path(f, number, path, sizeof path);
    return path_exists(path);
}

static void *snapshots_thread(void *snapshots)
{
    snapshots_run(snapshots);
    return NULL;
}

/* Lets the real thread make them, up to the one that stands before batch `number`. */
static void snapshots_make(struct fixture *f, uint64_t number)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * (long)NS_PER_MS};
    pthread_t thread;
    struct snapshots *snapshots =
        snapshots_new(&f->service, (struct retention_options){.bytes = 0}, SNAPSHOT_BYTES);
    assert_non_null(snapshots);
    assert_int_equal(pthread_create(&thread, NULL, snapshots_thread, snapshots), 0);
    while (!has_snapshot(f, number) && atomic_load(&f->service.failure) == STATUS_OK)
        (void)nanosleep(&pause, NULL);
    snapshots_stop(snapshots);
    pthread_join(thread, NULL);
    snapshots_destroy(&snapshots);
    assert_int_equal(atomic_load(&f->service.failure), STATUS_OK);
}

static void snapshot_damage(const struct fixture *f, uint64_t number)
{
    char path[FIXTURE_PATH_BYTES + 64];
    snapshot_path(f, number, path, sizeof path);
    flip_bit(path, file_bytes_of(path) - 12, 3);
}

/* ---- the fixture ---------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fixture_folder(f->folder, false);
    f->now_ns = FIXTURE_START_NS;
    f->service.store_directory = f->folder;
    pin_init(&f->service.pin);
    log_make(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    recovery_destroy(&f->recovery);
    log_close(&f->service.log);
    pin_fini(&f->service.pin);
    fixture_remove(f->folder);
    free(f);
    return 0;
}

/* The number of the segment `from_end` before the last. */
static uint64_t segment_of(const struct fixture *f, size_t from_end)
{
    struct folder folder = {.fd = -1};
    struct segment_list list = {0};
    struct detail detail;
    expect_ok(folder_open(&folder, f->folder, SEGMENT_FOLDER, false, &detail), &detail);
    expect_ok(segment_list_read(&list, &folder, &detail), &detail);
    assert_true(from_end < list.count);
    const uint64_t number = list.numbers[list.count - 1 - from_end];
    segment_list_fini(&list);
    folder_close(&folder);
    return number;
}

static uint32_t apply_since(struct fixture *f, struct pin_look pinned,
                            struct retention_options options, uint64_t window_ns)
{
    struct detail detail;
    uint32_t dropped = 0;
    const struct retention_need need = {
        .pin = &f->service.pin, .pinned = pinned, .window_ns = window_ns};
    const struct durable durable = log_durable(f->service.log);
    expect_ok(retention_apply(f->folder, &options, &durable, &need, &dropped, &detail), &detail);
    return dropped;
}

static uint32_t apply(struct fixture *f, struct retention_options options, uint64_t window_ns)
{
    return apply_since(f, pin_look(&f->service.pin), options, window_ns);
}

/* The fold from the snapshot before batch `number` to the end of the log. */
static enum status fold_from(struct fixture *f, uint64_t number, struct detail *ret_detail)
{
    struct recall recall;
    struct reader *reader = NULL;
    const struct durable durable = log_durable(f->service.log);
    expect_ok(recall_snapshot(f->folder, number, &recall, ret_detail), ret_detail);
    expect_ok(reader_new(f->folder, &reader, ret_detail), ret_detail);
    const enum status status =
        reader_follow(reader, &durable, &recall.start, recovery_visit, recall.recovery, ret_detail);
    if (status == STATUS_OK)
        assert_int_equal(state_digest(recovery_state(recall.recovery)),
                         state_digest(recovery_state(f->recovery)));
    reader_destroy(&reader);
    recovery_destroy(&recall.recovery);
    return status;
}

/* Eight segments, the last with one batch; snapshots stand before all but the first and the last.
 * So three segments are the least that stays: two snapshots are in them. */
static void grow(struct fixture *f)
{
    events_append(f, 7 * BATCHES_PER_SEGMENT + 1);
    snapshots_make(f, segment_of(f, 1));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void what_nobody_needs_goes_and_its_snapshots_with_it(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    grow(f);
    const uint64_t last_but_one = segment_of(f, 1), before = segment_of(f, 3);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
    assert_false(has_snapshot(f, before));
    expect_ok(fold_from(f, segment_of(f, 2), &detail), &detail); /* the first */
    expect_ok(fold_from(f, last_but_one, &detail), &detail);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
}

static void the_longest_window_in_force_keeps_its_events(void **state)
{
    struct fixture *f = *state;
    grow(f);
    assert_int_equal(apply(f, KEEP_TWO, LONG_NS), 0);
    /* 16 steps before the last batch is the first one of the fourth segment before it. */
    assert_int_equal(apply(f, KEEP_TWO, 4 * BATCHES_PER_SEGMENT * STEP_NS), 3);
}

static void a_pin_keeps_what_is_read_until_it_is_taken_off(void **state)
{
    struct fixture *f = *state;
    grow(f);
    pin_set(&f->service.pin, 0);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
    pin_clear(&f->service.pin);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
}

/* It may be off again by then: what made the change is in the log, behind what was looked at. */
static void a_pin_that_was_set_meanwhile_keeps_all(void **state)
{
    struct fixture *f = *state;
    grow(f);
    const struct pin_look before = pin_look(&f->service.pin);
    pin_set(&f->service.pin, 0);
    pin_clear(&f->service.pin);
    assert_int_equal(apply_since(f, before, KEEP_TWO, SHORT_NS), 0);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
}

static void a_change_behind_the_newest_snapshot_but_one_keeps_what_it_needs(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    events_append(f, 6 * BATCHES_PER_SEGMENT);
    policy_append(f, LONG_NS);
    policy_append(f, SHORT_NS);
    events_append(f, BATCHES_PER_SEGMENT);
    snapshots_make(f, segment_of(f, 1));
    const uint64_t last_but_one = segment_of(f, 2);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
    expect_ok(fold_from(f, last_but_one, &detail), &detail);

    events_append(f, 2 * BATCHES_PER_SEGMENT); /* then two snapshots are behind it */
    snapshots_make(f, segment_of(f, 1));
    assert_true(apply(f, KEEP_TWO, SHORT_NS) > 0);
}

static void a_fold_over_a_change_that_lacks_something_says_so(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    events_append(f, 2 * BATCHES_PER_SEGMENT + 2);
    policy_append(f, LONG_NS);
    policy_append(f, SHORT_NS);
    events_append(f, 4 * BATCHES_PER_SEGMENT);
    snapshots_make(f, segment_of(f, 1));
    const struct retention_options keep_five = {.bytes = 5 * FIXTURE_SEGMENT_BYTES};
    const uint64_t first = segment_of(f, 4); /* the change is in it */
    assert_true(apply(f, keep_five, SHORT_NS) > 0);
    assert_int_equal(fold_from(f, first, &detail), STATUS_GONE);
    assert_non_null(strstr(detail.text, "changed the policies: policy p: its window of"));
    expect_ok(fold_from(f, segment_of(f, 3), &detail), &detail);
}

static void damaged_snapshots_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    grow(f);
    snapshot_damage(f, segment_of(f, 2)); /* would be the beginning */
    const uint64_t beginning = segment_of(f, 3);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 4);
    assert_true(has_snapshot(f, beginning));
    expect_ok(fold_from(f, beginning, &detail), &detail);
}

/* Segments go first, so a kill may leave snapshots of a place that is no more. */
static void snapshots_that_a_kill_left_behind_go_with_the_next(void **state)
{
    struct fixture *f = *state;
    char from[FIXTURE_PATH_BYTES + 64], to[FIXTURE_PATH_BYTES + 64];
    grow(f);
    snapshot_path(f, segment_of(f, 5), from, sizeof from);
    snapshot_path(f, 2, to, sizeof to);
    assert_int_equal(rename(from, to), 0); /* in the first segment, of which it says nothing */
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
    assert_false(path_exists(to));
    snapshot_path(f, segment_of(f, 1), from, sizeof from);
    snapshot_path(f, 3, to, sizeof to);
    assert_int_equal(link(from, to), 0);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
    assert_false(path_exists(to));
}

static void what_cannot_be_removed_stays_with_all_behind_it(void **state)
{
    struct fixture *f = *state;
    struct detail detail;
    char path[FIXTURE_PATH_BYTES + 64], aside[FIXTURE_PATH_BYTES + 64];
    uint32_t dropped = 0;
    grow(f);
    snapshot_path(f, segment_of(f, 6), path, sizeof path);
    assert_int_equal(unlink(path), 0); /* the segment is not looked into */
    (void)snprintf(path, sizeof path, "%s/log/%020llu.seg", f->folder,
                   (unsigned long long)segment_of(f, 6));
    (void)snprintf(aside, sizeof aside, "%s/aside", f->folder);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* is not unlinked, even by root */
    const struct retention_options keep_two = KEEP_TWO;
    const struct retention_need need = {
        .pin = &f->service.pin, .pinned = pin_look(&f->service.pin), .window_ns = SHORT_NS};
    const struct durable durable = log_durable(f->service.log);
    assert_int_equal(retention_apply(f->folder, &keep_two, &durable, &need, &dropped, &detail),
                     STATUS_IO);
    assert_non_null(strstr(detail.text, "cannot remove"));
    assert_int_equal(dropped, 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 4);
    expect_ok(fold_from(f, segment_of(f, 2), &detail), &detail);
}

static void one_good_snapshot_is_not_enough(void **state)
{
    struct fixture *f = *state;
    grow(f);
    for (size_t i = 1; i < 6; i++)
        snapshot_damage(f, segment_of(f, i));
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
}

static void a_state_that_is_gone_is_told_from_one_that_no_snapshot_leads_to(void **state)
{
    struct fixture *f = *state;
    struct state *found = NULL;
    struct detail detail;
    grow(f);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
    const struct durable durable = log_durable(f->service.log);
    const struct slice no_key = {0};
    const struct fold_end early = {.event_id = 1, .time_ns = UINT64_MAX};
    assert_int_equal(recall_state(f->folder, &durable, early, no_key, &found, &detail),
                     STATUS_GONE);
    assert_non_null(strstr(detail.text, "the first event that is kept is"));
    snapshot_damage(f, segment_of(f, 1));
    snapshot_damage(f, segment_of(f, 2));
    assert_int_equal(recall_state(f->folder, &durable, FOLD_END_NONE, no_key, &found, &detail),
                     STATUS_GONE);
    assert_non_null(strstr(detail.text, "no good snapshot"));
}

static void a_change_that_reaches_back_to_what_is_gone_is_not_made(void **state)
{
    struct fixture *f = *state;
    static struct policy_set policies;
    struct detail detail;
    grow(f);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
    struct state *current = recovery_take_state(f->recovery);
    const struct durable before = log_durable(f->service.log);
    const uint64_t digest = state_digest(current);
    policies_of(&policies, LONG_NS);
    assert_int_equal(policy_change_make(f->service.log, f->folder, current, &policies,
                                        f->now_ns + STEP_NS, &detail),
                     STATUS_GONE);
    assert_non_null(strstr(detail.text, "policy p: its window of"));
    assert_int_equal(log_durable(f->service.log).last_batch, before.last_batch);
    assert_int_equal(state_digest(current), digest);
    /* Exactly what is kept: from the first batch of three segments, one of which has one batch. */
    const uint64_t kept_ns = (2 * BATCHES_PER_SEGMENT + 1) * STEP_NS;
    policies_of(&policies, kept_ns + 1);
    assert_int_equal(policy_change_make(f->service.log, f->folder, current, &policies,
                                        f->now_ns + STEP_NS, &detail),
                     STATUS_GONE);
    policies_of(&policies, kept_ns);
    expect_ok(policy_change_make(f->service.log, f->folder, current, &policies, f->now_ns + STEP_NS,
                                 &detail),
              &detail);
    state_destroy(&current);
}

static void the_filler_pins_what_it_reads(void **state)
{
    struct fixture *f = *state;
    static const struct envelope nobody;
    struct filler *filler = filler_new(&f->service);
    struct call *call = call_new(CALL_POLICY_SET, &nobody);
    grow(f);
    f->service.to_filler = queue_new(CHANGES_WAITING_MAX, false);
    call->change.policies = calloc(1, sizeof *call->change.policies);
    policies_of(call->change.policies, LONG_NS);
    call->change.fill = window_fill_new(recovery_state(f->recovery), call->change.policies);
    call->change.began_ns = f->now_ns;
    filler_lap(filler, call);
    expect_ok(call->status, &call->detail);
    assert_int_equal(call->change.next_id, log_durable(f->service.log).last_event_id + 1);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 0);
    pin_clear(&f->service.pin);
    assert_int_equal(apply(f, KEEP_TWO, SHORT_NS), 5);
    call->change.next_id = 0; /* once more, from the beginning */
    filler_lap(filler, call);
    assert_int_equal(call->status, STATUS_GONE);
    call_destroy(&call);
    filler_destroy(&filler);
    queue_destroy(&f->service.to_filler);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_needs_goes_and_its_snapshots_with_it),
        TEST(the_longest_window_in_force_keeps_its_events),
        TEST(a_pin_keeps_what_is_read_until_it_is_taken_off),
        TEST(a_pin_that_was_set_meanwhile_keeps_all),
        TEST(a_change_behind_the_newest_snapshot_but_one_keeps_what_it_needs),
        TEST(a_fold_over_a_change_that_lacks_something_says_so),
        TEST(damaged_snapshots_do_not_count),
        TEST(snapshots_that_a_kill_left_behind_go_with_the_next),
        TEST(what_cannot_be_removed_stays_with_all_behind_it),
        TEST(one_good_snapshot_is_not_enough),
        TEST(a_state_that_is_gone_is_told_from_one_that_no_snapshot_leads_to),
        TEST(a_change_that_reaches_back_to_what_is_gone_is_not_made),
        TEST(the_filler_pins_what_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
