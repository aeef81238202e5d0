#include "tests/unit/projector/sql_station.h"

static const char counts[] = "create table counts (type text primary key, n int) strict;\n"
                             "-- on: a, b\n"
                             "insert into counts values (type(), 1)\n"
                             "  on conflict do update set n = n + 1;\n";
static const char doubles[] = "create table counts (type text primary key, n int) strict;\n"
                              "-- on: a, b\n"
                              "insert into counts values (type(), 2)\n"
                              "  on conflict do update set n = n + 2;\n";
static const char only_a[] = "create table only_a (id integer primary key);\n"
                             "create table only_a__more (id integer);\n"
                             "-- on: a\ninsert into only_a values (event_id());\n"
                             "insert into only_a__more values (event_id());\n";
static const char fails_at_b[] = "create table fragile (id integer primary key, x int not null);\n"
                                 "-- on: a\ninsert into fragile values (event_id(), 1);\n"
                                 "-- on: b\ninsert into fragile values (event_id(), null);\n";
static const char endless_at_b[] =
    "create table endless (id integer primary key);\n"
    "-- on: a\ninsert into endless values (event_id());\n"
    "-- on: b\nwith recursive n (i) as (select 1 union all select i + 1 from n)\n"
    "insert into endless select i from n where i < 0;\n";

/* ---- files come, change and go ---- */

static void answers_for_a_file_from_the_log(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "abaa");
    assert_string_equal(
        reply_of(&s, "counts"),
        "[1,\"ok\",{\"view\":\"counts\",\"log_id\":\"00000000000000000000000000000000\","
        "\"event_id\":4,\"rejection_id\":7,\"time\":1000004,"
        "\"digest\":\"2409637b99830ab3d8494bfce206fa6e\","
        "\"rows\":[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":1}]}]");
    close_views(&s);
}

static void shows_as_many_rows_as_were_asked_for(void **unused)
{
    (void)unused;
    struct station s = {.asked = {.offset = 1, .limit = 2}};
    open_views(&s);
    offer(&s, "only_a", only_a);
    live(&s, "aaaaa");
    expect_in_reply(&s, "only_a", "\"rows\":[{\"id\":2},{\"id\":3}],\"next\":3}");
    s.asked.offset = 3;
    expect_in_reply(&s, "only_a", "\"rows\":[{\"id\":4},{\"id\":5}]}");
    s.asked.offset = 9;
    expect_in_reply(&s, "only_a", "\"rows\":[]}");
    close_views(&s);
}

static void a_file_that_comes_later_is_fed_from_the_beginning(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "ab");
    offer(&s, "only_a", only_a);
    live(&s, "a"); /* only_a cannot use it yet */
    expect_in_reply(&s, "only_a", "\"event_id\":0");
    assert_int_equal(sql_views_behind(s.views, s.event_id), 1);
    catch_up(&s);
    expect_in_reply(&s, "only_a", "\"event_id\":3");
    expect_in_reply(&s, "only_a", "[{\"id\":1},{\"id\":3}]");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2},{\"type\":\"b\",\"n\":1}]");
    close_views(&s);
}

static void the_old_answers_until_the_new_has_come_as_far(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "abab");
    commit(&s);
    offer(&s, "counts", doubles);
    commit(&s);
    live(&s, "a");
    feed(&s, 1, 3);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":2}]");
    commit(&s);
    assert_true(tables_like(&s, "counts"));
    assert_true(tables_like(&s, "counts~next"));
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":6},{\"type\":\"b\",\"n\":4}]");
    assert_true(sql_views_want_commit(s.views));
    commit(&s);
    assert_true(tables_like(&s, "counts"));
    assert_false(tables_like(&s, "counts~next"));
    live(&s, "b");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":6},{\"type\":\"b\",\"n\":6}]");
    close_views(&s);
}

static void a_text_that_cannot_be_used_is_shown_and_the_old_goes_on(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "a");
    offer(&s, "counts",
          "create table counts (k primary key);\n-- on: a\nupdate counts set x = 1;\n");
    live(&s, "a");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2}]");
    expect_in_reply(&s, "counts", "\"problem\":\"counts.sql:3: no such column: x\"");
    assert_string_equal(sql_views_problem(s.views, 0), "counts.sql:3: no such column: x");
    offer(&s, "counts", counts);
    expect_not_in_reply(&s, "counts", "problem");
    assert_int_equal(sql_views_behind(s.views, s.event_id), 0);
    close_views(&s);
}

static void a_broken_text_without_an_older_one_is_answered_with_the_reason(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", "create tabel counts;");
    offer(&s, "other", counts);
    live(&s, "a");
    expect_in_reply(&s, "counts", "[1,\"error\",\"unavailable\",\"parked: counts.sql:1: before");
    expect_in_reply(&s, "other", "[1,\"error\",\"unavailable\",\"parked: other.sql:1: a table of");
    offer(&s, "counts", counts);
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":1}]");
    assert_null(sql_views_problem(s.views, 0));
    close_views(&s);
}

static void a_file_that_goes_takes_its_tables_with_it(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    offer(&s, "only_a", only_a);
    live(&s, "a");
    commit(&s);
    assert_true(tables_like(&s, "only_a__more"));
    sql_views_withdraw(s.views, "only_a");
    assert_int_equal(sql_views_find(s.views, slice_of_text("only_a")), sql_views_count(s.views));
    commit(&s);
    assert_false(tables_like(&s, "only_a*"));
    live(&s, "a");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2}]");
    reopen(&s);
    assert_int_equal(sql_views_count(s.views), 1);
    close_views(&s);
}

static void the_name_of_a_built_in_view_is_taken(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "revenue", "create table revenue (k primary key);");
    expect_in_reply(&s, "revenue", "revenue.sql: a built-in view has this name");
    close_views(&s);
}

static void there_is_a_limit_to_their_number(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    for (int i = 0; i < SQL_VIEWS_MAX + 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        offer(&s, name, counts);
    }
    assert_int_equal(sql_views_count(s.views), SQL_VIEWS_MAX);
    close_views(&s);
}

/* ---- events that fail ---- */

static void an_event_that_fails_parks_one_view_and_no_other(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "fragile", fails_at_b);
    offer(&s, "counts", counts);
    live(&s, "aba");
    expect_in_reply(
        &s, "fragile",
        "\"parked: fragile.sql:5: event 2 (b): NOT NULL constraint failed: fragile.x\"");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2},{\"type\":\"b\",\"n\":1}]");
    commit(&s);
    reopen(&s);
    offer(&s, "fragile", fails_at_b);
    offer(&s, "counts", counts);
    expect_in_reply(&s, "fragile", "event 2 (b): NOT NULL constraint failed");
    assert_int_equal(sql_views_behind(s.views, s.event_id), 0);
    offer(&s, "fragile",
          "create table fragile (id integer primary key);\n-- on: *\n"
          "insert into fragile values (event_id());\n");
    catch_up(&s);
    expect_in_reply(&s, "fragile", "[{\"id\":1},{\"id\":2},{\"id\":3}]");
    close_views(&s);
}

static void an_edit_that_fails_at_an_event_leaves_the_old_one(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "fragile",
          "create table fragile (id integer primary key);\n-- on: *\n"
          "insert into fragile values (event_id());\n");
    live(&s, "ab");
    offer(&s, "fragile", fails_at_b);
    catch_up(&s);
    live(&s, "a");
    expect_in_reply(&s, "fragile", "[{\"id\":1},{\"id\":2},{\"id\":3}]");
    expect_in_reply(&s, "fragile", "\"problem\":\"fragile.sql:5: event 2 (b)");
    commit(&s);
    assert_false(tables_like(&s, "fragile~next"));
    close_views(&s);
}

static void an_endless_statement_costs_the_others_nothing_but_a_replay(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    offer(&s, "endless", endless_at_b);
    offer(&s, "only_a", only_a);
    live(&s, "a");
    commit(&s);
    live(&s, "aba");
    assert_true(sql_views_take_loss(s.views));
    assert_false(sql_views_take_loss(s.views));
    expect_in_reply(&s, "endless", "parked: endless.sql:5: event 3 (b): the statement takes too");
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":1}]");
    expect_in_reply(&s, "only_a", "[{\"id\":1},{\"id\":2},{\"id\":4}]");
    commit(&s);
    reopen(&s);
    expect_in_reply(&s, "endless", "the statement takes too many steps");
    expect_in_reply(&s, "only_a", "[{\"id\":1},{\"id\":2},{\"id\":4}]");
    close_views(&s);
}

static void an_endless_statement_before_the_first_commit_parks_its_view_all_the_same(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "endless", endless_at_b);
    live(&s, "ab"); /* takes the tables with it */
    assert_true(sql_views_take_loss(s.views));
    expect_in_reply(&s, "endless",
                    "endless.sql:5: event 2 (b): the statement takes too many steps");
    assert_false(sql_views_knows(s.views, "endless"));
    offer(&s, "endless", endless_at_b);
    commit(&s);
    catch_up(&s);
    expect_in_reply(&s, "endless", "parked: endless.sql:5: event 2 (b): the statement takes too");
    commit(&s);
    reopen(&s);
    expect_in_reply(&s, "endless", "parked: endless.sql:5: event 2 (b): the statement takes too");
    close_views(&s);
}

/* ---- transactions, restarts ---- */

static void what_was_not_committed_is_fed_again(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "ab");
    commit(&s);
    live(&s, "aa");
    store_roll_back(s.store);
    sql_views_lost(s.views);
    expect_in_reply(&s, "counts", "\"event_id\":2");
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":1}]");
    reopen(&s); /* what was not committed is lost */
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":1},{\"type\":\"b\",\"n\":1}]");
    offer(&s, "counts", counts);
    assert_int_equal(sql_views_behind(s.views, s.event_id), 2); /* the last one again, as a proof */
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":1}]");
    close_views(&s);
}

static void tables_that_were_not_committed_are_made_again(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "ab");
    store_roll_back(s.store);
    sql_views_lost(s.views);
    assert_false(sql_views_knows(s.views, "counts"));
    offer(&s, "counts", counts);
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":1},{\"type\":\"b\",\"n\":1}]");
    close_views(&s);
}

static void a_version_that_was_being_made_goes_on_after_a_restart(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "ababab");
    commit(&s);
    offer(&s, "counts", doubles);
    feed(&s, 1, 4);
    commit(&s);
    feed(&s, 5, 5);
    reopen(&s);
    offer(&s, "counts", doubles);
    assert_int_equal(sql_views_behind(s.views, s.event_id), 4);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":3}]");
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":6},{\"type\":\"b\",\"n\":6}]");
    close_views(&s);
}

static void rows_that_somebody_changed_are_made_anew(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    offer(&s, "only_a", only_a);
    live(&s, "aba");
    commit(&s);
    run_sql(s.store, "update counts set n = 9 where type = 'a'");
    run_sql(s.store, "delete from only_a__more where id = 1");
    reopen(&s);
    offer(&s, "counts", counts);
    offer(&s, "only_a", only_a);
    assert_int_equal(sql_views_behind(s.views, s.event_id), 1);
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2},{\"type\":\"b\",\"n\":1}]");
    expect_in_reply(&s, "only_a", "[{\"id\":1},{\"id\":3}]");
    close_views(&s);
}

static void events_that_are_others_now_are_found_out(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "aaa");
    commit(&s);
    reopen(&s);
    offer(&s, "counts", counts);
    s.types[2] = 'b'; /* event 3 was lost and given out again */
    live(&s, "b");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3},{\"type\":\"b\",\"n\":1}]");
    reopen(&s);
    offer(&s, "counts", counts);
    feed(&s, 2, 4);
    assert_false(sql_views_knows(s.views, "counts"));
    offer(&s, "counts", counts);
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2},{\"type\":\"b\",\"n\":2}]");
    close_views(&s);
}

static void another_log_is_refused(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    struct detail detail = {.text = ""};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "aaa");
    commit(&s);
    close_views(&s);
    s.event_id = 2;
    assert_int_equal(try_open(&s, &detail), STATUS_DAMAGED);
    assert_non_null(strstr(detail.text, "view counts has seen event 3, the log ends at 2"));
    store_close(&s.store);
    s.event_id = 3;
    s.log_id.bytes[0] = 1;
    assert_int_equal(try_open(&s, &detail), STATUS_FENCED);
    store_close(&s.store);
}

static void what_the_log_has_let_go_of_parks_those_that_need_it(void **unused)
{
    (void)unused;
    struct station s = {.event_id = 0};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "aaa");
    offer(&s, "only_a", only_a);
    sql_views_gone(s.views, 2);
    expect_in_reply(&s, "only_a",
                    "parked: only_a.sql: it needs event 1, which the log no longer keeps");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":3}]");
    close_views(&s);
}

/* ---- a beginning that is not the log's ---- */

static void begins_with_the_event_that_was_asked_for(void **unused)
{
    (void)unused;
    struct station s = {.since = 4};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "ab");
    expect_in_reply(&s, "counts", "\"event_id\":2,");
    expect_in_reply(&s, "counts", "\"since\":4,\"rows\":[]");
    commit(&s);
    reopen(&s); /* the log ends before the event that it begins with */
    offer(&s, "counts", counts);
    live(&s, "bbb");
    expect_in_reply(&s, "counts", "\"event_id\":5,");
    expect_in_reply(&s, "counts", "\"since\":4,\"rows\":[{\"type\":\"b\",\"n\":2}]");
    offer(&s, "only_a", only_a);
    assert_int_equal(sql_views_behind(s.views, s.event_id), 4);
    catch_up(&s);
    expect_in_reply(&s, "only_a", "\"event_id\":5,");
    commit(&s);
    reopen(&s);
    offer(&s, "counts", counts);
    offer(&s, "only_a", only_a);
    live(&s, "a");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":1},{\"type\":\"b\",\"n\":2}]");
    expect_in_reply(&s, "only_a", "[{\"id\":6}]");
    close_views(&s);
}

static void what_began_with_another_event_is_made_anew(void **unused)
{
    (void)unused;
    struct station s = {.since = 2};
    open_views(&s);
    offer(&s, "counts", counts);
    live(&s, "aab");
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":1},{\"type\":\"b\",\"n\":1}]");
    commit(&s);
    s.since = 1;
    reopen(&s);
    offer(&s, "counts", counts);
    catch_up(&s);
    expect_in_reply(&s, "counts", "[{\"type\":\"a\",\"n\":2},{\"type\":\"b\",\"n\":1}]");
    expect_not_in_reply(&s, "counts", "since");
    close_views(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_for_a_file_from_the_log),
        TEST(shows_as_many_rows_as_were_asked_for),
        TEST(a_file_that_comes_later_is_fed_from_the_beginning),
        TEST(the_old_answers_until_the_new_has_come_as_far),
        TEST(a_text_that_cannot_be_used_is_shown_and_the_old_goes_on),
        TEST(a_broken_text_without_an_older_one_is_answered_with_the_reason),
        TEST(a_file_that_goes_takes_its_tables_with_it),
        TEST(the_name_of_a_built_in_view_is_taken),
        TEST(there_is_a_limit_to_their_number),
        TEST(an_event_that_fails_parks_one_view_and_no_other),
        TEST(an_edit_that_fails_at_an_event_leaves_the_old_one),
        TEST(an_endless_statement_costs_the_others_nothing_but_a_replay),
        TEST(an_endless_statement_before_the_first_commit_parks_its_view_all_the_same),
        TEST(what_was_not_committed_is_fed_again),
        TEST(tables_that_were_not_committed_are_made_again),
        TEST(a_version_that_was_being_made_goes_on_after_a_restart),
        TEST(rows_that_somebody_changed_are_made_anew),
        TEST(events_that_are_others_now_are_found_out),
        TEST(another_log_is_refused),
        TEST(what_the_log_has_let_go_of_parks_those_that_need_it),
        TEST(begins_with_the_event_that_was_asked_for),
        TEST(what_began_with_another_event_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
