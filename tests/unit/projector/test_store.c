#include "store_fixture.h"

#include <sqlite3.h>
#include <unistd.h>

static int64_t number_in(struct store *store, const char *sql)
{
    const char *const parts[] = {sql, NULL};
    struct sqlite3_stmt *statement = NULL;
    assert_int_equal(store_prepare(store, parts, &statement, NULL), STATUS_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static void write_file(const void *bytes, size_t size)
{
    FILE *file = fopen(database, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void what_was_committed_is_there_again_and_the_rest_is_not(void **state)
{
    (void)state;
    struct store *store = store_of_test();
    assert_int_equal(store_begin(store, NULL), STATUS_OK);
    assert_int_equal(store_begin(store, NULL), STATUS_OK);
    run_sql(store, "CREATE TABLE t (n)");
    run_sql(store, "INSERT INTO t VALUES (7)");
    assert_int_equal(store_commit(store, NULL), STATUS_OK);
    assert_int_equal(store_begin(store, NULL), STATUS_OK);
    run_sql(store, "INSERT INTO t VALUES (8)");
    store_close(&store);
    assert_null(store);
    store = store_of_test();
    assert_int_equal(number_in(store, "SELECT sum (n) FROM t"), 7);
    store_close(&store);
}

static void a_database_has_one_user(void **state)
{
    (void)state;
    struct store *first = store_of_test(), *second = NULL;
    struct detail detail = {.text = ""};
    assert_int_equal(open_store(true, &second, &detail), STATUS_BUSY);
    assert_non_null(strstr(detail.text, "is held by process"));
    store_close(&first);
}

static void leaves_a_file_of_another_kind_alone_even_for_a_rebuild(void **state)
{
    (void)state;
    static const char text[] =
        "dear diary, this is more than seventy-two bytes of something that is no database";
    struct store *store = NULL;
    struct detail detail = {.text = ""};
    write_file(text, sizeof text);
    assert_int_equal(open_store(false, &store, &detail), STATUS_CONFIG);
    assert_int_equal(open_store(true, &store, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "is not touched"));
    FILE *file = fopen(database, "rb");
    char found[sizeof text];
    assert_int_equal(fread(found, 1, sizeof found, file), sizeof found);
    fclose(file);
    assert_memory_equal(found, text, sizeof text);
}

static void leaves_the_database_of_another_program_alone(void **state)
{
    (void)state;
    struct sqlite3 *other = NULL;
    struct store *store = NULL;
    struct detail detail = {.text = ""};
    assert_int_equal(sqlite3_open(database, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE t (n)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(open_store(true, &store, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "another program's database"));
}

static void a_newer_version_is_refused(void **state)
{
    (void)state;
    struct store *store = store_of_test();
    struct detail detail = {.text = ""};
    run_sql(store, "PRAGMA user_version = 2");
    store_close(&store);
    assert_int_equal(open_store(false, &store, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "newer version"));
}

static void a_rebuild_begins_anew(void **state)
{
    (void)state;
    struct store *store = store_of_test();
    run_sql(store, "CREATE TABLE t (n)");
    store_close(&store);
    assert_int_equal(open_store(true, &store, NULL), STATUS_OK);
    assert_int_equal(number_in(store, "SELECT count (*) FROM sqlite_master WHERE name = 't'"), 0);
    assert_int_equal(number_in(store, "SELECT count (*) FROM weir_checkpoints"), 0);
    store_close(&store);
}

static void a_file_that_is_cut_is_damaged_and_says_the_way_out(void **state)
{
    (void)state;
    struct store *store = store_of_test();
    struct detail detail = {.text = ""};
    store_close(&store);
    FILE *file = fopen(database, "rb+");
    assert_int_equal(fseek(file, 4096 + 10, SEEK_SET), 0);
    for (int i = 0; i < 3000; i++)
        fputc(0x5a, file);
    fseek(file, 110, SEEK_SET);
    for (int i = 0; i < 900; i++)
        fputc(0x5a, file);
    fclose(file);
    assert_int_equal(open_store(false, &store, &detail), STATUS_DAMAGED);
    assert_non_null(strstr(detail.text, "--rebuild"));
    assert_int_equal(open_store(true, &store, &detail), STATUS_OK);
    store_close(&store);
}

static void a_full_database_says_so_and_goes_on_later(void **state)
{
    (void)state;
    struct store *store = store_of_test();
    struct detail detail = {.text = ""};
    run_sql(store, "CREATE TABLE t (b)");
    run_sql(store, "PRAGMA max_page_count = 20");
    assert_int_equal(store_begin(store, NULL), STATUS_OK);
    assert_int_equal(store_run(store, "INSERT INTO t VALUES (zeroblob (1000000))", &detail),
                     STATUS_NO_SPACE);
    store_roll_back(store);
    assert_false(store_in_transaction(store));
    run_sql(store, "PRAGMA max_page_count = 2000");
    assert_int_equal(store_begin(store, NULL), STATUS_OK);
    run_sql(store, "INSERT INTO t VALUES (zeroblob (1000000))");
    assert_int_equal(store_commit(store, NULL), STATUS_OK);
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_committed_is_there_again_and_the_rest_is_not,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_database_has_one_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_a_file_of_another_kind_alone_even_for_a_rebuild,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_the_database_of_another_program_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_newer_version_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rebuild_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_cut_is_damaged_and_says_the_way_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_database_says_so_and_goes_on_later, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
