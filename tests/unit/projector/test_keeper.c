#include "projector/keeper.h"

#include <sqlite3.h>

#include "projector/store/checkpoint.h"
#include "projector/store/snapshot.h"
#include "records.h"
#include "store_fixture.h"

#define ALL_DUE UINT64_MAX /* a time at which everything is due */

enum { EVERY = 10, TURNS_MAX = 1000 };

static const struct log_id our_log = {{1, 2, 3}};
static const struct log_id other_log = {{4, 5, 6}};

struct kept {
    struct store *store;
    struct fold *fold;
    struct keeper *keeper;
};

static struct follower_log log_up_to(const struct log_id *log_id, uint64_t last_event_id)
{
    return (struct follower_log){.log_id = *log_id,
                                 .last_event_id = last_event_id,
                                 .first_event_id = 1,
                                 .first_rejection_id = 1};
}

static const struct view_type *order_counts(void)
{
    uint32_t place = 0;
    while (strcmp(view_types[place]->name, "order_counts") != 0)
        place++;
    return view_types[place];
}

static enum status load(struct store *store, const struct follower_log *log,
                        struct fold_start *ret_start, struct detail *ret_detail)
{
    const struct view_type *type = order_counts();
    struct fold_options options = {.types = &type, .type_count = 1, .since = 1};
    *ret_start = (struct fold_start){0};
    return keeper_load(store, log, &options, ret_start, ret_detail);
}

static void open_keeper(struct kept *kept)
{
    struct keeper_options options = {
        .store = kept->store, .fold = kept->fold, .log_id = our_log, .snapshot_every = EVERY};
    struct detail detail = {.text = ""};
    if (keeper_open(&options, &kept->keeper, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
}

/* A keeper of order_counts, which has a row for each status. */
static struct kept keeping(void)
{
    static struct follower_log log;
    struct kept kept = {.store = store_of_test()};
    struct fold_start start;
    const struct view_type *type = order_counts();
    struct fold_options options = {
        .types = &type, .type_count = 1, .policy = "", .starts = &start, .since = 1};
    log = log_up_to(&our_log, 100);
    struct detail detail;
    assert_int_equal(load(kept.store, &log, &start, &detail), STATUS_OK);
    assert_int_equal(fold_new(&options, &kept.fold, &detail), STATUS_OK);
    keeper_starts_fini(&start, 1);
    open_keeper(&kept);
    return kept;
}

static void end(struct kept *kept)
{
    keeper_close(&kept->keeper);
    fold_destroy(&kept->fold);
    store_close(&kept->store);
}

/* Applies `count` events with one of `statuses` statuses in turn. */
static void go_on(struct kept *kept, uint64_t count, uint64_t statuses)
{
    struct buffer records, data;
    buffer_init(&records, RECORDS_BYTES_MAX);
    buffer_init(&data, 64);
    uint64_t from = fold_position(kept->fold).event_id + 1;
    for (uint64_t id = from; id < from + count; id++) {
        char status[32];
        snprintf(status, sizeof status, "status-%d", (int)(id % statuses));
        buffer_clear(&data);
        codec_map(&data, 1);
        codec_text(&data, "status");
        codec_text(&data, status);
        struct record_event event = {"order.created", "o", buffer_slice(&data)};
        append_accepted(&records, id, "s", &event);
    }
    expect_applied(kept->fold, STREAM_ACCEPTED, &records, count);
    buffer_fini(&records);
    buffer_fini(&data);
}

/* Turns until a checkpoint is there. */
static void keep(struct kept *kept)
{
    uint64_t event_id = fold_position(kept->fold).event_id;
    for (int i = 0; i < TURNS_MAX && keeper_position(kept->keeper).event_id < event_id; i++)
        keeper_turn(kept->keeper, ALL_DUE);
    assert_int_equal(keeper_position(kept->keeper).event_id, event_id);
}

static uint64_t number_of(const struct kept *kept, const char *sql)
{
    const char *const parts[] = {sql, NULL};
    struct sqlite3_stmt *statement;
    assert_int_equal(store_prepare(kept->store, parts, &statement, NULL), STATUS_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static uint64_t snapshots_of(const struct kept *kept)
{
    return number_of(kept, "SELECT count (*) FROM weir_snapshots");
}

static uint64_t checkpoint_of(const struct kept *kept)
{
    return number_of(kept, "SELECT coalesce (max (event_id), 0) FROM weir_checkpoints");
}

/* --- checkpoints --- */

static void nothing_is_due_before_there_is_news(void **state)
{
    (void)state;
    struct kept kept = keeping();
    assert_true(keeper_due_ns(kept.keeper) == UINT64_MAX);
    keeper_turn(kept.keeper, ALL_DUE);
    assert_int_equal(checkpoint_of(&kept), 0);
    go_on(&kept, 3, 1);
    assert_true(keeper_due_ns(kept.keeper) < UINT64_MAX);
    keep(&kept);
    assert_int_equal(checkpoint_of(&kept), 3);
    assert_true(keeper_due_ns(kept.keeper) == UINT64_MAX);
    end(&kept);
}

static void a_checkpoint_shows_its_moment_although_following_goes_on(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 3, 1);
    keeper_turn(kept.keeper, ALL_DUE); /* takes */
    assert_int_equal(keeper_due_ns(kept.keeper), 0);
    go_on(&kept, 4, 1);
    for (int i = 0; i < TURNS_MAX && keeper_due_ns(kept.keeper) == 0; i++)
        keeper_turn(kept.keeper, ALL_DUE);
    assert_int_equal(checkpoint_of(&kept), 3);
    assert_int_equal(number_of(&kept, "SELECT count FROM order_counts"), 3);
    assert_int_equal(keeper_position(kept.keeper).event_id, 3);
    end(&kept);
}

static void the_next_one_waits_its_time(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 3, 1);
    uint64_t before_ns = clock_boot_ns();
    keep(&kept);
    go_on(&kept, 1, 1);
    uint64_t due_ns = keeper_due_ns(kept.keeper);
    assert_true(due_ns >= before_ns + KEEPER_EVERY_NS && due_ns < UINT64_MAX);
    keeper_turn(kept.keeper, due_ns - 1);
    assert_true(keeper_due_ns(kept.keeper) == due_ns);
    keeper_turn(kept.keeper, due_ns);
    assert_int_equal(keeper_due_ns(kept.keeper), 0);
    end(&kept);
}

static void more_changed_rows_are_written_later(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 50, 50);
    uint64_t fewer_ns = keeper_due_ns(kept.keeper);
    go_on(&kept, 50, 100);
    uint64_t more_ns = keeper_due_ns(kept.keeper);
    assert_true(fewer_ns < more_ns);
    keeper_turn(kept.keeper, more_ns - 1);
    assert_true(keeper_due_ns(kept.keeper) == more_ns);
    keeper_turn(kept.keeper, more_ns);
    assert_int_equal(keeper_due_ns(kept.keeper), 0);
    end(&kept);
}

static void the_last_one_is_written_at_once(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 3, 2);
    keeper_turn(kept.keeper, ALL_DUE);
    go_on(&kept, 2, 2);
    keeper_finish(kept.keeper);
    assert_int_equal(checkpoint_of(&kept), 5);
    assert_int_equal(number_of(&kept, "SELECT sum (count) FROM order_counts"), 5);
    end(&kept);
}

static void what_cannot_be_written_is_written_later(void **state)
{
    (void)state;
    struct kept kept = keeping();
    run_sql(kept.store, "CREATE TRIGGER no BEFORE INSERT ON weir_checkpoints "
                        "BEGIN SELECT RAISE (FAIL, 'not now'); END");
    go_on(&kept, 3, 2);
    for (int i = 0; i < TURNS_MAX && keeper_problem(kept.keeper) == NULL; i++)
        keeper_turn(kept.keeper, ALL_DUE);
    assert_non_null(strstr(keeper_problem(kept.keeper), "not now"));
    assert_int_equal(number_of(&kept, "SELECT count (*) FROM order_counts"), 0);
    run_sql(kept.store, "DROP TRIGGER no");
    go_on(&kept, 1, 1); /* a third row */
    keep(&kept);
    assert_null(keeper_problem(kept.keeper));
    assert_int_equal(checkpoint_of(&kept), 4);
    assert_int_equal(number_of(&kept, "SELECT sum (count) FROM order_counts"), 4);
    end(&kept);
}

/* --- snapshots --- */

static void snapshots_are_so_many_events_apart(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, EVERY - 1, 2);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 0);
    go_on(&kept, 1, 2);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 1);
    go_on(&kept, EVERY - 1, 2);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 1);
    go_on(&kept, EVERY, 2);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 2);
    assert_int_equal(number_of(&kept, "SELECT max (event_id) FROM weir_snapshots"), 3 * EVERY - 1);
    end(&kept);
}

static void those_of_large_views_are_further_apart(void **state)
{
    (void)state;
    enum { ROWS = 100, APART = ROWS * SNAPSHOT_ROWS_SHARE };
    struct kept kept = keeping();
    go_on(&kept, APART - 1, ROWS);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 0);
    go_on(&kept, 1, ROWS);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 1);
    end(&kept);
}

static void no_more_wait_for_a_checkpoint_than_there_is_room_for(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 1, 1);
    keep(&kept);
    for (int i = 0; i < 2 * SNAPSHOTS_WAITING_MAX; i++) {
        go_on(&kept, EVERY, 1);
        keeper_turn(kept.keeper, 0); /* no checkpoint is due */
    }
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), SNAPSHOTS_WAITING_MAX);
    go_on(&kept, EVERY, 1);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), SNAPSHOTS_WAITING_MAX + 1);
    end(&kept);
}

static void a_keeper_goes_on_behind_the_newest_snapshot(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, EVERY, 1);
    keep(&kept);
    keeper_close(&kept.keeper);
    open_keeper(&kept);
    go_on(&kept, EVERY - 1, 1);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 1);
    go_on(&kept, 1, 1);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 2);
    end(&kept);
}

/* --- loading --- */

static void expect_loaded(struct kept *kept, uint64_t event_id, uint32_t rows)
{
    static struct follower_log log;
    struct fold_start start;
    log = log_up_to(&our_log, 100);
    struct detail detail;
    assert_int_equal(load(kept->store, &log, &start, &detail), STATUS_OK);
    assert_int_equal(start.mark.position.event_id, event_id);
    assert_int_equal(rows_count(start.rows), rows);
    keeper_starts_fini(&start, 1);
}

static void what_was_kept_is_given_back(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, 7, 3);
    keep(&kept);
    expect_loaded(&kept, 7, 3);
    end(&kept);
}

static void a_damaged_view_begins_anew_without_its_snapshots(void **state)
{
    (void)state;
    struct kept kept = keeping();
    go_on(&kept, EVERY, 3);
    keep(&kept);
    assert_int_equal(snapshots_of(&kept), 1);
    run_sql(kept.store,
            "UPDATE weir_rows_order_counts SET weir_sum = weir_sum + 1 WHERE place = 1");
    keeper_close(&kept.keeper);
    expect_loaded(&kept, 0, 0);
    assert_int_equal(snapshots_of(&kept), 0);
    end(&kept);
}

static void views_of_another_log_and_of_a_longer_one_are_refused(void **state)
{
    (void)state;
    static struct follower_log log;
    struct kept kept = keeping();
    struct fold_start start;
    struct detail detail;
    go_on(&kept, 7, 3);
    keep(&kept);
    log = log_up_to(&other_log, 100);
    assert_int_equal(load(kept.store, &log, &start, &detail), STATUS_FENCED);
    assert_non_null(strstr(detail.text, "another log"));
    keeper_starts_fini(&start, 1);
    log = log_up_to(&our_log, 6);
    assert_int_equal(load(kept.store, &log, &start, &detail), STATUS_DAMAGED);
    assert_non_null(strstr(detail.text, "ahead of the log"));
    keeper_starts_fini(&start, 1);
    end(&kept);
}

/* --- the guest --- */

struct guest {
    struct kept *kept;
    bool fails;
    uint32_t written, committed, lost;
};

static bool guest_has_news(void *owner)
{
    const struct guest *guest = owner;
    return guest->written == 0;
}

static enum status guest_write(void *owner, struct detail *ret_detail)
{
    struct guest *guest = owner;
    assert_true(store_in_transaction(guest->kept->store));
    guest->written++;
    return guest->fails ? detail_set(ret_detail, STATUS_IO, "the guest cannot") : STATUS_OK;
}

static void guest_committed(void *owner)
{
    ((struct guest *)owner)->committed++;
}

static void guest_lost(void *owner)
{
    ((struct guest *)owner)->lost++;
}

static void a_guest_writes_in_the_same_transaction(void **state)
{
    (void)state;
    struct kept kept = keeping();
    struct guest guest = {.kept = &kept};
    keeper_invite(kept.keeper, &(struct keeper_guest){&guest, guest_has_news, guest_write,
                                                      guest_committed, guest_lost});
    keeper_finish(kept.keeper); /* for the guest's news alone */
    assert_int_equal(guest.written, 1);
    assert_int_equal(guest.committed, 1);
    guest.fails = true;
    go_on(&kept, 3, 1);
    keeper_finish(kept.keeper);
    assert_int_equal(guest.lost, 1);
    assert_int_equal(guest.committed, 1);
    assert_int_equal(checkpoint_of(&kept), 0);
    assert_string_equal(keeper_problem(kept.keeper), "the guest cannot");
    end(&kept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_due_before_there_is_news),
        TEST(a_checkpoint_shows_its_moment_although_following_goes_on),
        TEST(the_next_one_waits_its_time),
        TEST(more_changed_rows_are_written_later),
        TEST(the_last_one_is_written_at_once),
        TEST(what_cannot_be_written_is_written_later),
        TEST(snapshots_are_so_many_events_apart),
        TEST(those_of_large_views_are_further_apart),
        TEST(no_more_wait_for_a_checkpoint_than_there_is_room_for),
        TEST(a_keeper_goes_on_behind_the_newest_snapshot),
        TEST(what_was_kept_is_given_back),
        TEST(a_damaged_view_begins_anew_without_its_snapshots),
        TEST(views_of_another_log_and_of_a_longer_one_are_refused),
        TEST(a_guest_writes_in_the_same_transaction),
    };
    return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
