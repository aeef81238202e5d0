#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"
#include "tests/lib/seed.h"

static char store[FIXTURE_PATH_BYTES];
static struct history history;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    fixture_folder(store, true);
    history_init(&history);
    rng_init(&rng, test_seed(20260101));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    history_fini(&history);
    (void)umount2(store, MNT_DETACH); /* where a test of a small disk failed */
    fixture_remove(store);
    return 0;
}

/* A batch of about a megabyte. */
static void add_large(size_t count)
{
    const struct batch_recipe recipe = {
        .events = 16, .rejections = 1, .data_bytes = 65000, .step_ns = 1};
    for (size_t i = 0; i < count; i++)
        history_add(&history, &recipe, &rng);
}

static void assert_durable(const struct log *log)
{
    const struct durable durable = log_durable(log);
    const struct durable expected = history_durable(&history);
    assert_int_equal(durable.last_batch, expected.last_batch);
    assert_int_equal(durable.last_event_id, expected.last_event_id);
    assert_int_equal(durable.last_rejection_id, expected.last_rejection_id);
    assert_int_equal(durable.last_time_ns, expected.last_time_ns);
}

static void a_new_store_begins_with_its_genesis(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    assert_durable(log);
    log_close(&log);
    assert_null(log);
    log_close(&log);
}

static void gives_back_what_was_appended(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 40, &rng);
    history_append(&history, log, 1, 20, 1);
    history_append(&history, log, 21, 20, 7);
    assert_durable(log);
    log_close(&log);
    for (int i = 0; i < 3; i++) {
        log = fixture_open(store, &history, history.count, NULL);
        assert_durable(log);
        history_add_random(&history, 5, &rng);
        history_append(&history, log, history.count - 5, 5, 5);
        log_close(&log);
    }
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void goes_on_in_the_next_segment(void **state)
{
    (void)state;
    char path[256];
    struct log *log = fixture_open(store, &history, 1, NULL);
    add_large(30);
    history_append(&history, log, 1, 10, 1);
    history_append(&history, log, 11, 20, 3); /* groups that lie across two segments */
    assert_durable(log);
    segment_path(store, log_durable(log).segment, path, sizeof path);
    assert_true(path_exists(path));
    assert_true(log_durable(log).segment > 20);
    log_close(&log);
    log = fixture_open(store, &history, history.count, NULL);
    assert_durable(log);
    log_close(&log);
}

/* What log_append says to the last batch of the history after `spoil` changed its header. */
static void assert_refused(struct log *log, struct batch_header spoiled)
{
    struct batch_view view = history.batches[history.count - 1].view;
    struct detail detail = {""};
    view.header = spoiled;
    assert_int_equal(log_append(log, &view, 1, &detail), STATUS_OUT_OF_ORDER);
    assert_string_not_equal(detail.text, "");
}

static void refuses_what_is_not_the_next(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 3, &rng);
    history_append(&history, log, 1, 3, 1);
    history_add(&history, &(struct batch_recipe){2, 2, 10, 5}, &rng);
    const struct batch_header good = history.batches[history.count - 1].view.header;
    struct batch_header bad = good;
    bad.number++;
    assert_refused(log, bad);
    bad.number = good.number - 1;
    assert_refused(log, bad);
    bad = good;
    bad.kind = BATCH_GENESIS;
    assert_refused(log, bad);
    bad = good;
    bad.first_event_id++; /* a hole */
    assert_refused(log, bad);
    bad.first_event_id = good.first_event_id - 1; /* an id twice */
    assert_refused(log, bad);
    bad = good;
    bad.first_rejection_id++;
    assert_refused(log, bad);
    bad = good;
    bad.first_time_ns = good.first_time_ns - 6; /* before the last batch */
    assert_refused(log, bad);
    bad = good;
    bad.last_time_ns = bad.first_time_ns - 1;
    assert_refused(log, bad);
    history_append(&history, log, history.count - 1, 1, 1); /* nothing of all that was written */
    log_close(&log);
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void refuses_a_group_with_one_bad_batch_as_a_whole(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 3, &rng);
    struct batch_view views[] = {history.batches[1].view, history.batches[2].view,
                                 history.batches[2].view};
    struct detail detail;
    assert_int_equal(log_append(log, views, 3, &detail), STATUS_OUT_OF_ORDER);
    assert_int_equal(log_durable(log).last_batch, 0);
    history_append(&history, log, 1, 3, 3);
    log_close(&log);
}

static void refuses_batches_beyond_the_limits(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    uint8_t *bytes = calloc(1, BATCH_BYTES_MAX);
    assert_non_null(bytes);
    struct batch_view view = {.header = {.kind = BATCH_ORDINARY,
                                         .number = 1,
                                         .first_event_id = 1,
                                         .first_rejection_id = 1,
                                         .event_count = 1,
                                         .first_time_ns = FIXTURE_START_NS,
                                         .last_time_ns = FIXTURE_START_NS},
                              .accepted = {bytes, BATCH_BYTES_MAX - BATCH_HEADER_BYTES + 1}};
    struct detail detail;
    assert_int_equal(log_append(log, &view, 1, &detail), STATUS_TOO_LARGE);
    view.accepted.size = BATCH_EVENTS_MAX + 1;
    view.header.event_count = BATCH_EVENTS_MAX + 1;
    assert_int_equal(log_append(log, &view, 1, &detail), STATUS_TOO_LARGE);
    view.header.event_count = 0; /* bytes without records */
    assert_int_equal(log_append(log, &view, 1, &detail), STATUS_INVALID);
    view.header.event_count = 1;
    view.accepted.size = BATCH_BYTES_MAX - BATCH_HEADER_BYTES; /* the largest there is */
    assert_int_equal(log_append(log, &view, 1, &detail), STATUS_OK);
    free(bytes);
    log_close(&log);
}

static void an_empty_group_changes_nothing(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    struct detail detail;
    assert_int_equal(log_append(log, NULL, 0, &detail), STATUS_OK);
    assert_durable(log);
    log_close(&log);
}

/* Waits on the condition that matters, with a limit that only a broken program reaches. */
static void wait_for_room(const struct log *log, uint32_t batches)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 60000 && log_room(log).batches < batches; i++)
        (void)nanosleep(&pause, NULL);
    assert_true(log_room(log).batches >= batches);
}

static void what_room_promises_is_taken(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    const struct batch_recipe largest = {
        .events = 32, .rejections = 0, .data_bytes = 65300, .step_ns = 1};
    for (int round = 0; round < 6; round++) {
        wait_for_room(log, 2); /* a whole spare */
        const uint32_t room = log_room(log).batches;
        const size_t first = history.count;
        for (uint32_t i = 0; i < room; i++)
            history_add(&history, &largest, &rng);
        history_append(&history, log, first, room, room);
        assert_durable(log);
    }
    log_close(&log);
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void refuses_a_group_that_needs_more_than_one_new_segment(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    add_large(12);
    struct batch_view views[12];
    for (size_t i = 0; i < 12; i++)
        views[i] = history.batches[1 + i].view;
    struct detail detail;
    assert_int_equal(log_append(log, views, 12, &detail), STATUS_NO_SPACE);
    assert_int_equal(log_durable(log).last_batch, 0);
    history_append(&history, log, 1, 12, 4);
    log_close(&log);
}

static void expect_zeros_behind(const struct durable *end)
{
    char path[256];
    segment_path(store, end->segment, path, sizeof path);
    assert_int_equal(file_bytes_of(path), FIXTURE_SEGMENT_BYTES);
    size_t size = FIXTURE_SEGMENT_BYTES - (size_t)end->offset;
    uint8_t *rest = malloc(size);
    assert_non_null(rest);
    peek(path, end->offset, rest, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(rest[i], 0);
    free(rest);
}

static void a_spare_that_an_earlier_run_left_begins_anew(void **state)
{
    (void)state;
    char path[256];
    struct log *log = fixture_open(store, &history, 1, NULL);
    wait_for_room(log, 2);
    log_close(&log);
    (void)snprintf(path, sizeof path, "%s/log/spare.seg", store);
    assert_int_equal(file_bytes_of(path), FIXTURE_SEGMENT_BYTES);
    uint8_t rubbish[8192];
    memset(rubbish, 0xa5, sizeof rubbish);
    poke(path, 0, rubbish, sizeof rubbish);
    poke(path, FIXTURE_SEGMENT_BYTES - 4096, rubbish, sizeof rubbish); /* too long, too */
    log = fixture_open(store, &history, 1, NULL);
    add_large(5);
    history_append(&history, log, 1, 5, 1);
    struct durable end = log_durable(log);
    assert_int_equal(end.segment, 5); /* in what was the spare */
    log_close(&log);
    expect_zeros_behind(&end);
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

/* The last page of a write is written as a whole. */
static void leaves_nothing_but_zeros_behind_the_last_batch(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 30, &rng);
    history_append(&history, log, 1, 30, 4);
    struct durable end = log_durable(log);
    log_close(&log);
    expect_zeros_behind(&end);
}

static void takes_over_a_segment_that_was_prepared_and_never_used(void **state)
{
    (void)state;
    char path[256];
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 4, &rng);
    history_append(&history, log, 1, 4, 2);
    log_close(&log);
    segment_path(store, 5, path, sizeof path); /* the crash came right after the rename */
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FIXTURE_SEGMENT_BYTES), 0);
    (void)close(fd);
    log = fixture_open(store, &history, history.count, NULL);
    assert_durable(log);
    history_add_random(&history, 4, &rng);
    history_append(&history, log, 5, 4, 2);
    assert_int_equal(log_durable(log).segment, 5);
    log_close(&log);
    log = fixture_open(store, &history, history.count, NULL);
    log_close(&log);
}

static void takes_nothing_more_after_a_failed_write(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 3, &rng);
    history_append(&history, log, 1, 1, 1);
    wait_for_room(log, 2); /* the other thread has nothing to write */
    struct rlimit before;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct detail detail = {""};
    assert_int_equal(log_append(log, &history.batches[2].view, 1, &detail), STATUS_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(strstr(detail.text, "00000000000000000000.seg"));
    assert_int_equal(log_append(log, &history.batches[2].view, 1, &detail), STATUS_IO);
    assert_int_equal(log_durable(log).last_batch, 1);
    log_close(&log);
    log = fixture_open(store, &history, 2, NULL);
    history_append(&history, log, 2, 2, 2);
    log_close(&log);
}

static void an_error_of_the_thread_that_prepares_reaches_the_next_append(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    wait_for_room(log, 2);
    struct rlimit before;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit half = {.rlim_cur = FIXTURE_SEGMENT_BYTES / 2, .rlim_max = before.rlim_max};
    log_close(&log);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &half), 0); /* of any file from now on */
    log = fixture_open(store, &history, 1, NULL);
    wait_for_room(log, 2); /* it says there is room, so that somebody comes */
    add_large(5);
    history_append(&history, log, 1, 1, 1);
    struct batch_view views[4];
    for (size_t i = 0; i < 4; i++)
        views[i] = history.batches[2 + i].view;
    struct detail detail = {""};
    const enum status status = log_append(log, views, 4, &detail);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, STATUS_IO);
    assert_non_null(strstr(detail.text, "spare.seg"));
    assert_int_equal(log_append(log, views, 1, &detail), STATUS_IO);
    log_close(&log);
    log = fixture_open(store, &history, 2, NULL);
    log_close(&log);
}

static void a_store_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    struct log *log = NULL;
    struct detail detail = {""};
    struct detail warning;
    size_t visited = 0;
    assert_int_equal(
        fixture_try_open("/nonexistent/store", &history, &log, &visited, &warning, &detail),
        STATUS_IO);
    assert_non_null(strstr(detail.text, "/nonexistent/store"));
    assert_null(log);
}

static enum status stop_at_the_third(void *context, const struct batch_view *batch,
                                     struct detail *ret_detail)
{
    int *visited = context;
    (void)batch;
    return ++*visited == 3 ? detail_set(ret_detail, STATUS_NO_MEMORY, "enough") : STATUS_OK;
}

static void a_failing_visit_stops_the_opening(void **state)
{
    (void)state;
    struct log *log = fixture_open(store, &history, 1, NULL);
    history_add_random(&history, 9, &rng);
    history_append(&history, log, 1, 9, 3);
    log_close(&log);
    const struct log_options options = {.directory = store, .segment_bytes = FIXTURE_SEGMENT_BYTES};
    struct detail detail;
    struct detail warning;
    int visited = 0;
    assert_int_equal(log_open(&options, stop_at_the_third, &visited, &log, &warning, &detail),
                     STATUS_NO_MEMORY);
    assert_string_equal(detail.text, "enough");
    assert_int_equal(visited, 3);
    assert_null(log);
}

/* ---- a small disk ---- */

static bool mount_small(const char *megabytes)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%sm", megabytes);
    if (mount("weir-test", store, "tmpfs", 0, options) == 0)
        return true;
    assert_int_not_equal(geteuid(), 0);
    print_message("not root: a small disk cannot be mounted here, nothing is tested\n");
    return false;
}

static void a_new_store_that_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    if (!mount_small("2"))
        return;
    char path[256];
    struct log *log = NULL;
    struct detail detail = {""};
    struct detail warning;
    size_t visited = 0;
    assert_int_equal(fixture_try_open(store, &history, &log, &visited, &warning, &detail),
                     STATUS_NO_SPACE);
    assert_non_null(strstr(detail.text, "No space"));
    (void)snprintf(path, sizeof path, "%s/log", store);
    assert_int_equal(count_files(path), 0);
    assert_int_equal(umount(store), 0);
}

/* Fills the current segment of a full disk to its end. */
static void append_until_no_room(struct log *log)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!log_room(log).no_space)
        (void)nanosleep(&pause, NULL);
    while (log_room(log).batches > 0) {
        add_large(1);
        history_append(&history, log, history.count - 1, 1, 1);
    }
}

static void holds_on_a_full_disk_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    if (!mount_small("13"))
        return;
    char ballast[256];
    uint8_t bytes[4096] = {1};
    struct log *log = fixture_open(store, &history, 1, NULL);
    wait_for_room(log, 2);
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", store);
    const int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    (void)close(fd);
    add_large(5); /* the fifth into the spare; the next spare finds the disk full */
    history_append(&history, log, 1, 5, 1);
    append_until_no_room(log);
    add_large(4);
    struct batch_view views[4];
    for (size_t i = 0; i < 4; i++)
        views[i] = history.batches[history.count - 4 + i].view;
    struct detail detail = {""};
    assert_int_equal(log_append(log, views, 4, &detail), STATUS_NO_SPACE);
    assert_non_null(strstr(detail.text, "No space"));
    log_close(&log); /* nor does a restart need space */
    log = fixture_open(store, &history, history.count - 4, NULL);
    assert_true(log_room(log).no_space);
    assert_int_equal(unlink(ballast), 0);
    wait_for_room(log, 2); /* tried again every second */
    assert_false(log_room(log).no_space);
    history_append(&history, log, history.count - 4, 4, 2);
    log_close(&log);
    assert_int_equal(umount(store), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_store_begins_with_its_genesis, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_back_what_was_appended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_on_in_the_next_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_group_with_one_bad_batch_as_a_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refuses_batches_beyond_the_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_group_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_room_promises_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_group_that_needs_more_than_one_new_segment,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_spare_that_an_earlier_run_left_begins_anew, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(leaves_nothing_but_zeros_behind_the_last_batch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(takes_over_a_segment_that_was_prepared_and_never_used,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_nothing_more_after_a_failed_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_error_of_the_thread_that_prepares_reaches_the_next_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_cannot_be_written_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failing_visit_stops_the_opening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_store_that_does_not_fit_leaves_nothing_behind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(holds_on_a_full_disk_and_goes_on_when_there_is_room, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
