#include "projector/store/snapshot.h"

#include "records.h"
#include "store_fixture.h"

static const char no_policy[] = "";
static const struct hash_seed seed = {{9}};

/* Brings the fold of order_counts to `count` more events. */
static void go_on(struct fold *fold, uint64_t count)
{
    static const uint8_t data[] = "\x81\xa6status\xa3new";
    struct record_event event = {"order.created", "o", {data, sizeof data - 1}};
    struct buffer records;
    buffer_init(&records, RECORDS_BYTES_MAX);
    uint64_t from = fold_position(fold).event_id + 1;
    for (uint64_t id = from; id < from + count; id++)
        append_accepted(&records, id, "s", &event);
    expect_applied(fold, STREAM_ACCEPTED, &records, count);
    buffer_fini(&records);
}

static void write_now(struct store *store, struct fold *fold)
{
    struct snapshot snapshot;
    struct buffer scratch;
    buffer_init(&scratch, SNAPSHOT_BYTES_MAX);
    assert_int_equal(snapshot_take(fold, fold_view_rows(fold, 0), &scratch, &snapshot), STATUS_OK);
    buffer_fini(&scratch);
    assert_int_equal(snapshot_write(store, fold_view_type(fold, 0), &snapshot, NULL), STATUS_OK);
    snapshot_fini(&snapshot);
}

/* A store with snapshots of order_counts at the events 5, 10 and 15. */
static struct store *store_with_three(const struct view_type **ret_type)
{
    struct store *store = store_of_test();
    struct fold *fold = fold_of_views("order_counts", no_policy);
    for (int i = 0; i < 3; i++) {
        go_on(fold, 5);
        write_now(store, fold);
    }
    *ret_type = fold_view_type(fold, 0);
    fold_destroy(&fold);
    return store;
}

static uint32_t damaged; /* snapshots that the last `loaded` passed over */

/* The event that the snapshot before `event_id` stands at, and its one row. */
static uint64_t loaded(struct store *store, const struct view_type *type, uint64_t event_id)
{
    struct fold_start start = {0};
    struct fold_position until = {.event_id = event_id};
    damaged = 0;
    if (snapshot_load(store, type, &until, &seed, &start, &damaged) != STATUS_OK)
        return 0;
    uint64_t found = start.mark.position.event_id;
    assert_int_equal(rows_count(start.rows), 1);
    assert_string_equal(start.policy, no_policy);
    rows_destroy(&start.rows);
    free(start.policy);
    return found;
}

static void the_newest_before_the_moment_is_loaded(void **state)
{
    (void)state;
    const struct view_type *type;
    struct store *store = store_with_three(&type);
    uint64_t newest;
    assert_int_equal(loaded(store, type, 4), 0);
    assert_int_equal(loaded(store, type, 5), 5);
    assert_int_equal(loaded(store, type, 14), 10);
    assert_int_equal(loaded(store, type, 100), 15);
    assert_int_equal(snapshot_newest(store, "order_counts", &newest, NULL), STATUS_OK);
    assert_int_equal(newest, 15);
    store_close(&store);
}

static void one_that_was_changed_is_passed_over(void **state)
{
    (void)state;
    static const char *const changes[] = {"rows = zeroblob (length (rows))",
                                          "rows = NULL",
                                          "rows = substr (rows, 1, 9)",
                                          "checksum = checksum + 1",
                                          "policy = 'x'",
                                          "rejection_id = -1",
                                          "time = time + 1"};
    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct view_type *type;
        struct store *store = store_with_three(&type);
        char sql[128];
        snprintf(sql, sizeof sql, "UPDATE weir_snapshots SET %s WHERE event_id = 15", changes[i]);
        run_sql(store, sql);
        assert_int_equal(loaded(store, type, 100), 10);
        assert_int_equal(damaged, 1);
        run_sql(store, "DELETE FROM weir_snapshots");
        store_close(&store);
    }
}

static void those_of_a_view_go_together(void **state)
{
    (void)state;
    const struct view_type *type;
    struct store *store = store_with_three(&type);
    assert_int_equal(snapshot_remove_all(store, "revenue", NULL), STATUS_OK);
    assert_int_equal(loaded(store, type, 100), 15);
    assert_int_equal(snapshot_remove_all(store, "order_counts", NULL), STATUS_OK);
    assert_int_equal(loaded(store, type, 100), 0);
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_before_the_moment_is_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_changed_is_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_of_a_view_go_together, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
