#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/sql/sql_file.h"
#include "projector/sql/sql_scan.h"
#include "tests/lib/seed.h"

#define TABLE "create table v (k text primary key) strict;\n"

static struct sql_file *read_good(const char *text)
{
    struct sql_file *file = NULL;
    struct detail detail = {.text = ""};
    if (sql_file_read("v", slice_of_text(text), &file, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return file;
}

static void expect_text(struct slice slice, const char *text)
{
    if (!slice_equal_text(slice, text))
        fail_msg("'%.*s', not '%s'", (int)slice.size, (const char *)slice.data, text);
}

/* ---- good files ---- */

static void finds_tables_sections_and_statements_with_their_lines(void **unused)
{
    (void)unused;
    struct sql_file *file = read_good("-- What it is for.\n"
                                      "create table v (\n"
                                      "    k text primary key -- the key; it is unique\n"
                                      ");\n"
                                      "CREATE TABLE \"v__seen\" (n int);\n"
                                      "-- on: a.b, c.*\n"
                                      "insert into v values (';--x');\n"
                                      "/* both; */ delete from v;\n"
                                      "--on:d\n"
                                      "\n"
                                      "update v set k = 'it''s';\n");
    assert_int_equal(file->table_count, 2);
    assert_string_equal(file->tables[0], "v");
    assert_string_equal(file->tables[1], "v__seen");
    assert_int_equal(file->creates[0].line, 2);
    assert_int_equal(file->creates[1].line, 5);
    expect_text(file->creates[1].text, "CREATE TABLE \"v__seen\" (n int)");
    assert_int_equal(file->section_count, 2);
    assert_int_equal(file->sections[0].glob_count, 2);
    assert_int_equal(file->sections[0].statement_count, 2);
    assert_int_equal(file->sections[1].first_statement, 2);
    assert_int_equal(file->statement_count, 3);
    assert_int_equal(file->statements[0].line, 7);
    assert_int_equal(file->statements[1].line, 8);
    assert_int_equal(file->statements[2].line, 11);
    expect_text(file->statements[0].text, "insert into v values (';--x')");
    expect_text(file->statements[2].text, "update v set k = 'it''s'");
    assert_true(sql_section_hears(file, &file->sections[0], slice_of_text("a.b")));
    assert_true(sql_section_hears(file, &file->sections[0], slice_of_text("c.anything")));
    assert_false(sql_section_hears(file, &file->sections[0], slice_of_text("a.bc")));
    assert_false(sql_section_hears(file, &file->sections[0], slice_of_text("d")));
    sql_file_free(&file);
    assert_null(file);
}

static void a_suffix_goes_behind_every_name_of_a_table_and_nowhere_else(void **unused)
{
    (void)unused;
    struct sql_file *file = read_good(
        "create table v (k text primary key, w text);\n"
        "create table v__log (n int references v (k));\n"
        "-- on: *\n"
        "insert into \"V\" select 'v', \"w\", [v].k, x'00', vv.v1, 1e5, `v`.w from v as vv "
        "-- v\n"
        "join v__log /* v */ on v.k = v__log.n;\n");
    struct buffer text;
    buffer_init(&text, 4096);
    sql_statement_write(file, &file->statements[0], "~next", &text);
    assert_string_equal(
        (const char *)text.data,
        "insert into \"v~next\" select 'v', \"w\", \"v~next\".k, x'00', vv.v1, 1e5, \"v~next\".w "
        "from \"v~next\" as vv -- v\njoin \"v__log~next\" /* v */ on \"v~next\".k = "
        "\"v__log~next\".n");
    buffer_clear(&text);
    sql_statement_write(file, &file->creates[1], "", &text);
    assert_string_equal((const char *)text.data,
                        "create table \"v__log\" (n int references \"v\" (k))");
    assert_int_equal(sql_file_table(file, "v__log~next", "~next"), 1);
    assert_int_equal(sql_file_table(file, "v__log", "~next"), 2);
    assert_int_equal(sql_file_table(file, "v~next", ""), 2);
    buffer_fini(&text);
    sql_file_free(&file);
}

/* ---- bad files ---- */

static void says_what_is_wrong_and_in_which_line(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"", "v.sql:1: no 'create table v (…);': it is what queries show"},
        {TABLE, "v.sql:1: no line '-- on: TYPE, …': the view would hear of nothing"},
        {TABLE "-- on: a\n", "v.sql:2: no statement behind this line"},
        {"\ncreate table w (k);\n-- on: a\ninsert into w values (1);",
         "v.sql:2: a table of this file is named v, or v__ and more of a-z 0-9 _, in at most 64 "
         "bytes"},
        {"create table v (k);\ncreate table v (k);", "v.sql:2: table v comes twice"},
        {"create temp table v (k);",
         "v.sql:1: before the first '-- on:' stand the tables: 'create table v (…);'"},
        {"create table if not exists v (k);",
         "v.sql:1: a table of this file is named v, or v__ and more of a-z 0-9 _, in at most 64 "
         "bytes"},
        {"create table main.v (k);",
         "v.sql:1: a table of this file is named v, or v__ and more of a-z 0-9 _, in at most 64 "
         "bytes"},
        {"create index i on v (k);",
         "v.sql:1: before the first '-- on:' stand the tables: 'create table v (…);'"},
        {"insert into v values (1);",
         "v.sql:1: before the first '-- on:' stand the tables: 'create table v (…);'"},
        {TABLE "-- on: a\nselect 1;",
         "v.sql:3: behind '-- on:' stand insert, update, delete, replace or with"},
        {TABLE "-- on: a\npragma user_version = 5;",
         "v.sql:3: behind '-- on:' stand insert, update, delete, replace or with"},
        {TABLE "-- on: a\n\n\ndelete from v", "v.sql:5: the statement has no semicolon at its end"},
        {TABLE "-- on: a\ndelete from v where k = 'x;\n",
         "v.sql:3: what begins with 'x here has no end"},
        {TABLE "/* -- on: a\n", "v.sql:2: what begins with /* here has no end"},
        {TABLE "-- on: a\ndelete from v\n-- on: b\n;",
         "v.sql:4: '-- on:' inside a statement: end the one before with a semicolon"},
        {TABLE "-- on:\ndelete from v;",
         "v.sql:2: '' is no type of events: 1 to 64 of a-z 0-9 _ . - with * and ?"},
        {TABLE "-- on: a b\ndelete from v;",
         "v.sql:2: 'a b' is no type of events: 1 to 64 of a-z 0-9 _ . - with * and ?"},
        {TABLE "-- on: Order\ndelete from v;",
         "v.sql:2: 'Order' is no type of events: 1 to 64 of a-z 0-9 _ . - with * and ?"},
        {TABLE "-- on: a\ninsert or rollback into v values (1);",
         "v.sql:3: 'or rollback' would undo too much or too little: leave it out, and an event "
         "that fails stops this view alone"},
        {"create table v (k primary key on conflict\nfail);",
         "v.sql:2: 'conflict fail' would undo too much or too little: leave it out, and an event "
         "that fails stops this view alone"},
        {TABLE "\xff", "v.sql:1: the file is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_file *file = NULL;
        struct detail detail = {.text = ""};
        assert_int_equal(sql_file_read("v", slice_of_text(cases[i].text), &file, &detail),
                         STATUS_CONFIG);
        assert_string_equal(detail.text, cases[i].detail);
        assert_null(file);
    }
}

static void refuses_a_nul_byte(void **unused)
{
    (void)unused;
    static const char text[] = TABLE "-- on: a\ndelete from v;\0drop";
    struct sql_file *file = NULL;
    struct detail detail = {.text = ""};
    assert_int_equal(
        sql_file_read("v", (struct slice){(const uint8_t *)text, sizeof text - 1}, &file, &detail),
        STATUS_CONFIG);
    assert_string_equal(detail.text, "v.sql:1: a NUL byte in the file");
}

static void knows_the_names_that_a_view_may_have(void **unused)
{
    (void)unused;
    static const char *const good[] = {"a", "account_balances", "v2", "weather"};
    static const char *const bad[] = {
        "",
        "A",
        "2v",
        "_v",
        "a__b",
        "a-b",
        "weir_own",
        "weir",
        "a.b",
        "sqlite_a",
        "a b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aa"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sql_view_name_is_good(slice_of_text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sql_view_name_is_good(slice_of_text(bad[i])));
}

static void holds_its_limits(void **unused)
{
    (void)unused;
    struct buffer text;
    struct sql_file *file = NULL;
    struct detail detail = {.text = ""};
    buffer_init(&text, 2 * SQL_FILE_BYTES_MAX);
    buffer_append_text(&text, TABLE "-- on: a\n");
    for (int i = 0; i < SQL_STATEMENTS_MAX; i++)
        buffer_append_text(&text, "delete from v;");
    assert_int_equal(sql_file_read("v", buffer_slice(&text), &file, &detail), STATUS_OK);
    assert_int_equal(file->statement_count, SQL_STATEMENTS_MAX);
    sql_file_free(&file);
    buffer_append_text(&text, "delete from v;");
    assert_int_equal(sql_file_read("v", buffer_slice(&text), &file, &detail), STATUS_CONFIG);
    assert_string_equal(detail.text, "v.sql:3: more than 64 statements");
    while (text.size <= SQL_FILE_BYTES_MAX)
        buffer_append_text(&text, " ");
    assert_int_equal(sql_file_read("v", buffer_slice(&text), &file, &detail), STATUS_CONFIG);
    assert_string_equal(detail.text, "v.sql:1: more than 65536 bytes");
    buffer_fini(&text);
}

/* ---- random texts ---- */

/* Tokens cover the text in order, and what lies between is space. */
static void check_tokens(struct slice text)
{
    struct sql_scan scan = sql_scan_of(text, 1);
    const uint8_t *at = text.data;
    uint32_t line = 1;
    for (;;) {
        struct sql_token token = sql_scan_next(&scan);
        for (; at < token.text.data; at++) {
            assert_non_null(strchr(" \t\n\v\f\r", *at));
            line += *at == '\n';
        }
        assert_int_equal(token.line, line);
        if (token.kind == SQL_TOKEN_END)
            break;
        assert_true(token.text.size > 0);
        for (; at < token.text.data + token.text.size; at++)
            line += *at == '\n';
    }
    assert_ptr_equal(at, text.data + text.size);
}

static void any_text_is_read_or_refused(void **unused)
{
    (void)unused;
    static const char *const pieces[] = {"create ",
                                         "table ",
                                         "v",
                                         "v__x",
                                         " (k text primary key)",
                                         ";",
                                         "\n",
                                         "-- on: a.*, b\n",
                                         "--",
                                         "/*",
                                         "*/",
                                         "'",
                                         "\"",
                                         "[",
                                         "]",
                                         "`",
                                         "insert into v values (1)",
                                         "delete ",
                                         "from ",
                                         ",",
                                         "x'",
                                         "1.5e9",
                                         "?",
                                         " or ",
                                         "rollback",
                                         "\xc3\xa9"};
    struct rng rng = test_rng();
    uint32_t good = 0;
    for (int i = 0; i < 100000; i++) {
        struct buffer text;
        struct sql_file *file = NULL;
        struct detail detail = {.text = ""};
        buffer_init(&text, 4096);
        if (rng_below(&rng, 2) == 0)
            buffer_append_text(&text, TABLE);
        if (rng_below(&rng, 2) == 0)
            buffer_append_text(&text, "-- on: a\ndelete from v;");
        for (uint64_t left = rng_below(&rng, 12); left > 0; left--)
            buffer_append_text(&text, pieces[rng_below(&rng, sizeof pieces / sizeof *pieces)]);
        check_tokens(buffer_slice(&text));
        if (sql_file_read("v", buffer_slice(&text), &file, &detail) == STATUS_OK)
            good++;
        else
            assert_int_equal(strncmp(detail.text, "v.sql:", 6), 0);
        sql_file_free(&file);
        buffer_fini(&text);
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_tables_sections_and_statements_with_their_lines),
        cmocka_unit_test(a_suffix_goes_behind_every_name_of_a_table_and_nowhere_else),
        cmocka_unit_test(says_what_is_wrong_and_in_which_line),
        cmocka_unit_test(refuses_a_nul_byte),
        cmocka_unit_test(knows_the_names_that_a_view_may_have),
        cmocka_unit_test(holds_its_limits),
        cmocka_unit_test(any_text_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
