#include "projector/store/checkpoint.h"

#include "store_fixture.h"

#include "common/policy/policy.h"

static struct checkpoint some_checkpoint(void)
{
    return (struct checkpoint){
        .kind = "built-in",
        .format = "f1",
        .log_id = {{1, 2, 0xfe}},
        .position = {.event_id = 7, .rejection_id = 3, .time_ns = 1700000000000000001},
        .anchors = {UINT64_MAX, 0x8000000000000001},
        .since = 1,
        .left_out = 4,
        .digest = {.low = 0x0123456789abcdef, .high = 0xfedcba9876543210},
        .policy = "[policy \"p\"]\nkey = source\n"};
}

static void write_some(struct store *store, const char *view)
{
    struct checkpoint checkpoint = some_checkpoint();
    assert_int_equal(checkpoint_write(store, view, &checkpoint, NULL), STATUS_OK);
}

static void reads_what_was_written(void **state)
{
    (void)state;
    static char policy[POLICY_TEXT_BYTES_MAX];
    struct store *store = store_of_test();
    struct checkpoint wanted = some_checkpoint(), found;
    write_some(store, "v");
    write_some(store, "v");
    assert_int_equal(checkpoint_read(store, "v", &found, policy, NULL), STATUS_OK);
    assert_string_equal(found.policy, wanted.policy);
    found.policy = wanted.policy = NULL;
    assert_memory_equal(&found, &wanted, sizeof found);
    store_close(&store);
}

static void there_is_none_of_another_view_nor_of_one_removed(void **state)
{
    (void)state;
    static char policy[POLICY_TEXT_BYTES_MAX];
    struct store *store = store_of_test();
    struct checkpoint found;
    write_some(store, "v");
    assert_int_equal(checkpoint_read(store, "w", &found, policy, NULL), STATUS_NOT_FOUND);
    assert_int_equal(checkpoint_remove(store, "v", NULL), STATUS_OK);
    assert_int_equal(checkpoint_remove(store, "v", NULL), STATUS_OK);
    assert_int_equal(checkpoint_read(store, "v", &found, policy, NULL), STATUS_NOT_FOUND);
    store_close(&store);
}

static void a_change_of_any_member_is_found_out(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "kind = 'sql'",           "format = 'f2'",       "log_id = replace (log_id, 'fe', 'ff')",
        "event_id = 6",           "rejection_id = 0",    "time = time + 1",
        "accepted_anchor = 0",    "rejected_anchor = 0", "since = 2",
        "left_out = 0",           "digest = 'x'",        "policy = ''",
        "checksum = checksum + 1"};
    static char policy[POLICY_TEXT_BYTES_MAX];
    struct store *store = store_of_test();
    struct checkpoint found;
    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        char sql[128];
        write_some(store, "v");
        snprintf(sql, sizeof sql, "UPDATE weir_checkpoints SET %s", changes[i]);
        run_sql(store, sql);
        if (checkpoint_read(store, "v", &found, policy, NULL) != STATUS_DAMAGED)
            fail_msg("not found out: %s", changes[i]);
    }
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_none_of_another_view_nor_of_one_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_change_of_any_member_is_found_out, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
