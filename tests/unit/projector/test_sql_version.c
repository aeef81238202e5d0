#include "tests/unit/projector/sql_fixture.h"

#include "tests/lib/seed.h"

#define EVENT "{\"type\":\"a\",\"subject\":\"s\"}"

static const char balances[] =
    "create table v (account text primary key, balance integer not null check (balance >= 0)) "
    "strict;\n"
    "-- on: opened\n"
    "insert into v values (subject(), 0);\n"
    "-- on: deposited\n"
    "update v set balance = balance + field('amount') where account = subject();\n"
    "-- on: withdrew\n"
    "update v set balance = balance - field('amount') where account = subject();\n";

/* ---- what a view shows ---- */

static void keeps_an_account(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, balances);
    assert_string_equal(sql_rows(&f), "[]");
    const char *lines[] = {"{\"type\":\"opened\",\"subject\":\"b\"}",
                           "{\"type\":\"opened\",\"subject\":\"a\"}",
                           "{\"type\":\"deposited\",\"subject\":\"a\",\"data\":{\"amount\":150}}",
                           "{\"type\":\"unheard\",\"subject\":\"a\",\"data\":{\"amount\":9}}",
                           "{\"type\":\"withdrew\",\"subject\":\"a\",\"data\":{\"amount\":50}}",
                           NULL};
    assert_int_equal(sql_apply_all(&f, lines), STATUS_OK);
    assert_string_equal(sql_rows(&f), "[{\"account\":\"a\",\"balance\":100},"
                                      "{\"account\":\"b\",\"balance\":0}]");
    const struct sql_progress *progress = sql_version_progress(f.version);
    assert_int_equal(progress->event_id, 5);
    assert_int_equal(progress->time_ns, RECORD_TIME + 5);
    assert_int_equal(progress->shown_rows, 2);
    sql_expect_counted(&f);
    sql_end(&f);
}

static void functions_read_the_current_event(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f,
             "create table v (name text primary key, value any);\n"
             "-- on: order.created\n"
             "insert into v values ('1 subject', subject()), ('2 source', source()),\n"
             "  ('3 type', type()), ('4 event_id', event_id()), ('5 accepted', accepted_at()),\n"
             "  ('6 occurred', time_text(occurred_at())), ('7 sequence', sequence()),\n"
             "  ('8 version', schema_version()), ('9 integer', field('n')),\n"
             "  ('a negative', field('deep.m')), ('b real', field('r')), ('c text', field('t')),\n"
             "  ('d true', field('yes')), ('e false', field('no')), ('f null', field('nil')),\n"
             "  ('g missing', field('deep.x')), ('h map', field('deep')),\n"
             "  ('i list', field('list')), ('j second', field('list') ->> 1),\n"
             "  ('k attribute', attribute('traceparent')), ('l no such', attribute('no')),\n"
             "  ('m count', (select count(*) from json_each(field('list')))),\n"
             "  ('n empty', field('')), ('o of null', field(null)), ('p no time', time_text(-1)), "
             "('p2 data', json_extract(data(), '$.deep.m'));\n"
             "-- on: plain\n"
             "insert into v values ('q none', attribute('any'));\n");
    sql_expect_applied(&f,
                       "{\"type\":\"order.created\",\"subject\":\"s \\u00e9\",\"source\":\"web\","
                       "\"time\":\"2026-01-02T03:04:05.000000006Z\",\"schemaversion\":3,"
                       "\"traceparent\":\"00-1\",\"data\":{\"n\":7,\"deep\":{\"m\":-8},\"r\":1.5,"
                       "\"t\":\"x\",\"yes\":true,\"no\":false,\"nil\":null,\"list\":[1,\"b\"]}}");
    sql_expect_applied(&f, "{\"type\":\"plain\"}");
    assert_string_equal(
        sql_rows(&f),
        "[{\"name\":\"1 subject\",\"value\":\"s \xc3\xa9\"},{\"name\":\"2 "
        "source\",\"value\":\"web\"},"
        "{\"name\":\"3 type\",\"value\":\"order.created\"},{\"name\":\"4 event_id\",\"value\":1},"
        "{\"name\":\"5 accepted\",\"value\":1000001},"
        "{\"name\":\"6 occurred\",\"value\":\"2026-01-02T03:04:05.000000006Z\"},"
        "{\"name\":\"7 sequence\",\"value\":1},{\"name\":\"8 version\",\"value\":3},"
        "{\"name\":\"9 integer\",\"value\":7},{\"name\":\"a negative\",\"value\":-8},"
        "{\"name\":\"b real\",\"value\":1.5},{\"name\":\"c text\",\"value\":\"x\"},"
        "{\"name\":\"d true\",\"value\":1},{\"name\":\"e false\",\"value\":0},"
        "{\"name\":\"f null\",\"value\":null},{\"name\":\"g missing\",\"value\":null},"
        "{\"name\":\"h map\",\"value\":\"{\\\"m\\\":-8}\"},"
        "{\"name\":\"i list\",\"value\":\"[1,\\\"b\\\"]\"},{\"name\":\"j second\",\"value\":\"b\"},"
        "{\"name\":\"k attribute\",\"value\":\"00-1\"},{\"name\":\"l no such\",\"value\":null},"
        "{\"name\":\"m count\",\"value\":2},{\"name\":\"n empty\",\"value\":null},"
        "{\"name\":\"o of null\",\"value\":null},{\"name\":\"p no time\",\"value\":null},"
        "{\"name\":\"p2 data\",\"value\":-8},"
        "{\"name\":\"q none\",\"value\":null}]");
    sql_expect_counted(&f);
    sql_end(&f);
}

static void an_integer_that_sql_cannot_hold_becomes_real(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k int primary key, t text, x any);\n-- on: a\n"
                 "insert into v values (event_id(), typeof(field('n')), field('n'));\n");
    sql_expect_applied(&f, "{\"type\":\"a\",\"data\":{\"n\":9223372036854775807}}");
    struct buffer record;
    struct accepted_record read;
    buffer_init(&record, 4096);
    struct buffer data;
    buffer_init(&data, 64);
    codec_map(&data, 1);
    codec_text(&data, "n");
    codec_uint(&data, UINT64_MAX);
    struct record_event event = {"a", "s", buffer_slice(&data)};
    append_accepted(&record, 2, "test", &event);
    struct mp_reader reader = mp_reader_of(buffer_slice(&record));
    assert_int_equal(accepted_record_read(&reader, &read), STATUS_OK);
    assert_int_equal(sql_version_apply(f.version, &read, 1, &f.detail), STATUS_OK);
    assert_string_equal(sql_rows(&f), "[{\"k\":1,\"t\":\"integer\",\"x\":\"9223372036854775807\"},"
                                      "{\"k\":2,\"t\":\"real\",\"x\":1.8446744073709552e+19}]");
    buffer_fini(&record);
    buffer_fini(&data);
    sql_end(&f);
}

static void rows_stand_in_the_order_of_the_primary_key(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (b any, a any, \"x\"\"y\" int, primary key (a, \"x\"\"y\"));\n"
                 "-- on: a\ninsert into v values (event_id(), field('a'), field('x'));\n");
    const char *lines[] = {"{\"type\":\"a\",\"data\":{\"a\":\"t\",\"x\":1}}",
                           "{\"type\":\"a\",\"data\":{\"a\":10,\"x\":2}}",
                           "{\"type\":\"a\",\"data\":{\"a\":10,\"x\":1}}",
                           "{\"type\":\"a\",\"data\":{\"a\":9,\"x\":5}}",
                           "{\"type\":\"a\",\"data\":{\"x\":1}}",
                           NULL};
    assert_int_equal(sql_apply_all(&f, lines), STATUS_OK);
    assert_string_equal(sql_rows(&f),
                        "[{\"b\":5,\"a\":null,\"x\\\"y\":1},"
                        "{\"b\":4,\"a\":9,\"x\\\"y\":5},{\"b\":3,\"a\":10,\"x\\\"y\":1},"
                        "{\"b\":2,\"a\":10,\"x\\\"y\":2},{\"b\":1,\"a\":\"t\",\"x\\\"y\":1}]");
    sql_end(&f);
}

static void the_digest_is_the_sum_over_view_and_row(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    struct digest expected = {0};
    struct buffer row;
    sql_begin(&f);
    sql_load(&f, balances);
    const char *lines[] = {
        "{\"type\":\"opened\",\"subject\":\"a\"}", "{\"type\":\"opened\",\"subject\":\"b\"}",
        "{\"type\":\"deposited\",\"subject\":\"b\",\"data\":{\"amount\":300}}", NULL};
    assert_int_equal(sql_apply_all(&f, lines), STATUS_OK);
    buffer_init(&row, 64);
    for (int i = 0; i < 2; i++) {
        buffer_clear(&row);
        codec_array(&row, 2);
        codec_text(&row, "v");
        codec_array(&row, 2);
        codec_text(&row, i == 0 ? "a" : "b");
        codec_uint(&row, i == 0 ? 0 : 300);
        digest_add(&expected, row.data, row.size);
    }
    const struct digest *digest = &sql_version_progress(f.version)->digest;
    assert_int_equal(digest->low, expected.low);
    assert_int_equal(digest->high, expected.high);
    buffer_fini(&row);
    sql_end(&f);
}

/* Every way to change rows keeps the counts: the hook is told of each of them. */
static void counts_rows_however_they_change(void **unused)
{
    (void)unused;
    static const char *const forms[] = {"", " strict", " without rowid"};
    struct rng rng = test_rng();
    for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
        struct sql_fixture f;
        char text[2048];
        sql_begin(&f);
        snprintf(text, sizeof text,
                 "create table v (k integer primary key, u text unique, r real)%s;\n"
                 "create table v__more (n integer primary key, k int references v (k))%s;\n"
                 "-- on: put\n"
                 "insert into v values (field('k'), field('u'), field('k'))\n"
                 "  on conflict do update set u = excluded.u || k, r = r + 1;\n"
                 "insert into v__more select coalesce(max(n), 0) + 1, field('k') from v__more;\n"
                 "-- on: replace\n"
                 "replace into v values (field('k'), field('u'), 0.5);\n"
                 "-- on: move\n"
                 "update or replace v set k = k + 1 where k >= field('k');\n"
                 "-- on: remove\n"
                 "delete from v where k = field('k');\n"
                 "-- on: clear\n"
                 "delete from v;\n"
                 "-- on: copy\n"
                 "delete from v__more;\n"
                 "insert into v__more select rowid, k from (select k, k as rowid from v);\n",
                 forms[form], forms[form]);
        sql_load(&f, text);
        uint32_t failed = 0;
        for (int i = 0; i < 600; i++) {
            static const char *const types[] = {"put",  "put",    "put",   "replace",
                                                "move", "remove", "clear", "copy"};
            char line[128];
            uint64_t type = rng_below(&rng, 8);
            if (type == 6 && rng_below(&rng, 8) > 0)
                type = 0;
            snprintf(line, sizeof line, "{\"type\":\"%s\",\"data\":{\"k\":%u,\"u\":\"u%u\"}}",
                     types[type], (unsigned)rng_below(&rng, 20), (unsigned)rng_below(&rng, 12));
            enum status status = sql_apply(&f, line); /* u may not be unique */
            failed += status != STATUS_OK;
            assert_true(status == STATUS_OK || status == STATUS_INVALID);
            if (sql_version_check(f.version, &f.detail) != STATUS_OK)
                fail_msg("%s%s: %s", forms[form], line, f.detail.text);
        }
        assert_true(failed < 500);
        sql_end(&f);
    }
}

/* ---- events that fail ---- */

static void an_event_that_fails_names_file_line_and_event_and_changes_nothing(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, balances);
    sql_expect_applied(&f, "{\"type\":\"opened\",\"subject\":\"a\"}");
    const char *lines[] = {"{\"type\":\"deposited\",\"subject\":\"a\",\"data\":{\"amount\":5}}",
                           "{\"type\":\"withdrew\",\"subject\":\"a\",\"data\":{\"amount\":6}}",
                           "{\"type\":\"deposited\",\"subject\":\"a\",\"data\":{\"amount\":7}}",
                           NULL};
    assert_int_equal(sql_apply_all(&f, lines), STATUS_INVALID);
    assert_string_equal(f.detail.text,
                        "v.sql:7: event 3 (withdrew): CHECK constraint failed: balance >= 0");
    assert_string_equal(sql_rows(&f), "[{\"account\":\"a\",\"balance\":5}]");
    assert_int_equal(sql_version_progress(f.version)->event_id, 2);
    sql_expect_counted(&f);
    sql_end(&f);
}

static void no_half_of_an_event_is_left(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k int primary key) strict;\n"
                 "-- on: a\ninsert into v values (1);\ninsert into v values (2);\n"
                 "-- on: *\ninsert into v values (field('k'));\n");
    assert_int_equal(sql_apply(&f, "{\"type\":\"a\",\"data\":{\"k\":2}}"), STATUS_INVALID);
    assert_string_equal(f.detail.text, "v.sql:6: event 1 (a): UNIQUE constraint failed: v.k");
    assert_string_equal(sql_rows(&f), "[]");
    sql_expect_counted(&f);
    sql_expect_applied(&f, "{\"type\":\"b\",\"data\":{\"k\":1}}");
    assert_string_equal(sql_rows(&f), "[{\"k\":1}]");
    assert_int_equal(sqlite3_get_autocommit(f.sqlite), 0);
    sql_end(&f);
}

static void a_statement_of_many_rows_that_fails_leaves_none_of_them(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k int primary key) strict;\n-- on: a\n"
                 "insert into v select value from json_each(field('list'));\n");
    assert_int_equal(sql_apply(&f, "{\"type\":\"a\",\"data\":{\"list\":[1,2,3,2]}}"),
                     STATUS_INVALID);
    assert_string_equal(sql_rows(&f), "[]");
    sql_expect_counted(&f);
    sql_end(&f);
}

static void a_statement_without_an_end_is_ended(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k int primary key) strict;\n-- on: a\n"
                 "with recursive n (i) as (select 1 union all select i + 1 from n)\n"
                 "insert into v select i from n where i < 0;\n");
    struct sql_progress before = *sql_version_progress(f.version);
    assert_int_equal(sql_apply(&f, EVENT), STATUS_TIMED_OUT);
    assert_string_equal(f.detail.text, "v.sql:3: event 1 (a): the statement takes too many steps");
    assert_int_equal(sql_version_progress(f.version)->event_id, before.event_id);
    assert_int_not_equal(sqlite3_get_autocommit(f.sqlite), 0);
    sql_end(&f);
}

static void a_value_may_not_be_huge(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k blob primary key);\n-- on: a\n"
                 "insert into v values (zeroblob(300000));\n");
    assert_int_equal(sql_apply(&f, EVENT), STATUS_INVALID);
    assert_string_equal(f.detail.text, "v.sql:3: event 1 (a): a value of more than 262144 bytes");
    sql_end(&f);
}

static void a_default_cannot_be_random_or_the_time(void **unused)
{
    (void)unused;
    static const char *const defaults[] = {"(random())",         "current_timestamp",
                                           "current_date",       "current_time",
                                           "(date())",           "(datetime('now'))",
                                           "(unixepoch())",      "(randomblob(4))",
                                           "(julianday('now'))", "(time())",
                                           "(strftime('%s'))",   "(changes())",
                                           "(total_changes())",  "(last_insert_rowid())"};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        struct sql_fixture f;
        char text[256];
        sql_begin(&f);
        snprintf(text, sizeof text,
                 "create table v (k int primary key, d any default %s);\n-- on: a\n"
                 "insert into v (k) values (1);\n",
                 defaults[i]);
        if (sql_try(&f, text) == STATUS_OK) {
            assert_int_equal(sql_apply(&f, EVENT), STATUS_INVALID);
            assert_string_equal(
                f.detail.text,
                "v.sql:3: event 1 (a): a function that gives something else in every process");
        }
        sql_end(&f);
    }
}

/* ---- what a view may not do ---- */

static void is_confined(void **unused)
{
    (void)unused;
    static const struct {
        const char *statement, *reason; /* NULL: any */
    } cases[] = {
        {"insert into v values (random())", "random() is not for views"},
        {"insert into v select randomblob(3)", "randomblob() is not for views"},
        {"insert into v values (date('now'))", "date() is not for views"},
        {"insert into v values (strftime('%s', 0))", "strftime() is not for views"},
        {"insert into v values (current_timestamp)", "current_timestamp() is not for views"},
        {"insert into v values (load_extension('x'))", "load_extension() is not for views"},
        {"insert into v values (sqlite_version())", "sqlite_version() is not for views"},
        {"insert into v values (last_insert_rowid())", "last_insert_rowid() is not for views"},
        {"insert into v values (changes())", "changes() is not for views"},
        {"insert into v values (pow(2, 0.5))", "pow() is not for views"},
        {"insert into other values (1)", "table other is not of this file"},
        {"insert into v select k from other", "table other is not of this file"},
        {"delete from other", "table other is not of this file"},
        {"update v set k = (select max(k) from other)", "table other is not of this file"},
        {"update v set k = 1 from other", "table other is not of this file"},
        {"insert into v select name from sqlite_master", "table sqlite_master is not of this file"},
        {"insert into v select name from sqlite_schema", "table sqlite_master is not of this file"},
        {"update sqlite_master set sql = ''", NULL},
        {"delete from sqlite_master", NULL},
        {"insert into v select name from pragma_table_list", NULL},
        {"insert into v select * from dbstat", NULL},
        {"insert into v values (?)", "a parameter has no value here"},
        {"insert into v values (:name)", "a parameter has no value here"},
        {"insert into v values (1) returning k", "rows that a statement returns go nowhere"},
        {"with x as (select 1) select * from x", "rows that a statement returns go nowhere"},
        {"insert into v values (\"text\")", "no such column: text"},
        {"insert into v values (field())", "wrong number of arguments to function field()"},
        {"insert into v values (fields('a'))", "no such function: fields"},
        {"insert into v valeus (1)", "near \"valeus\": syntax error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_fixture f;
        char text[512], expected[512];
        sql_begin(&f);
        assert_int_equal(sqlite3_exec(f.sqlite, "create table other (k int)", NULL, NULL, NULL),
                         SQLITE_OK);
        snprintf(text, sizeof text, "create table v (k any primary key);\n-- on: a\n\n%s;\n",
                 cases[i].statement);
        if (sql_try(&f, text) != STATUS_CONFIG)
            fail_msg("%s: %s", cases[i].statement, f.detail.text);
        snprintf(expected, sizeof expected, "v.sql:4: %s",
                 cases[i].reason != NULL ? cases[i].reason : "");
        if (strncmp(f.detail.text, expected, strlen(expected)) != 0)
            fail_msg("%s: %s", cases[i].statement, f.detail.text);
        sql_end(&f);
    }
}

static void its_tables_are_plain(void **unused)
{
    (void)unused;
    static const struct {
        const char *create, *reason; /* NULL: any */
    } cases[] = {
        {"create table v (k)", "table v has no primary key"},
        {"create table v (k primary key) as select 1", NULL},
        {"create table v as select 1 as k", NULL},
        {"create table v (k integer primary key autoincrement)", "table sqlite_sequence is not"},
        {"create table v (k primary key, g int as (k + 1))", "column g is generated"},
        {"create table v (k primary key check (k > random()))", NULL},
        {"create table v (k primary key, v int)", "column v has the name of a table"},
        {"create table v (k nosuchtype primary key) strict", "unknown datatype for v.k"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sql_fixture f;
        char text[512], expected[512];
        sql_begin(&f);
        snprintf(text, sizeof text, "\n\n%s;\n-- on: a\ninsert into v (k) values (1);\n",
                 cases[i].create);
        if (sql_try(&f, text) != STATUS_CONFIG)
            fail_msg("%s: %s", cases[i].create, f.detail.text);
        snprintf(expected, sizeof expected, "v.sql:%s%s", cases[i].reason != NULL ? "3: " : "",
                 cases[i].reason != NULL ? cases[i].reason : "");
        if (strncmp(f.detail.text, expected, strlen(expected)) != 0)
            fail_msg("%s: %s", cases[i].create, f.detail.text);
        sql_end(&f);
    }
}

static void a_default_may_be_a_harmless_function(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, "create table v (k int primary key, d text default (lower('X')));\n-- on: a\n"
                 "insert into v (k) values (1);\n");
    sql_expect_applied(&f, EVENT);
    assert_string_equal(sql_rows(&f), "[{\"k\":1,\"d\":\"x\"}]");
    sql_end(&f);
}

static void the_line_of_an_error_is_the_line_in_the_file(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    assert_int_equal(sql_try(&f, "create table v (\n  k int primary key\n);\n-- on: a\n"
                                 "insert into v\n  -- why\n  values (\n    nosuch\n  );\n"),
                     STATUS_CONFIG);
    assert_string_equal(f.detail.text, "v.sql:8: no such column: nosuch");
    sql_end(&f);
}

static void what_cannot_be_used_leaves_nothing_behind(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    assert_int_equal(sql_try(&f, "create table v (k int primary key);\n"
                                 "create table v__b (k int);\n-- on: a\nupdate v set x = 1;\n"),
                     STATUS_CONFIG);
    sql_load(&f, "create table v (k int primary key);\n-- on: a\ndelete from v;\n");
    sql_end(&f);
}

/* ---- two versions side by side ---- */

static struct sql_version *version_beside(struct sql_fixture *f, const char *text)
{
    struct sql_file *file = NULL;
    struct sql_version *version = NULL;
    assert_int_equal(sql_file_read("v", slice_of_text(text), &file, &f->detail), STATUS_OK);
    if (sql_version_new(f->engine, file, "~next", NULL, &version, &f->detail) != STATUS_OK)
        fail_msg("%s", f->detail.text);
    return version;
}

static void another_version_is_made_beside_and_takes_the_place(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    sql_begin(&f);
    sql_load(&f, balances);
    sql_expect_applied(&f, "{\"type\":\"opened\",\"subject\":\"a\"}");
    struct sql_version *next = version_beside(
        &f, "create table v (k text primary key references v__n (k), \"x\" int unique);\n"
            "create table v__n (k text primary key check (v__n.k <> ''));\n"
            "-- on: opened\ninsert into v__n values (subject());\n"
            "insert into v select v__n.k, length(v__n.k) from v__n;\n");
    struct sql_version *old = f.version;
    f.version = next;
    f.event_id = 0;
    sql_expect_applied(&f, "{\"type\":\"opened\",\"subject\":\"abc\"}");
    assert_string_equal(sql_rows(&f), "[{\"k\":\"abc\",\"x\":3}]");
    f.version = old;
    assert_string_equal(sql_rows(&f), "[{\"account\":\"a\",\"balance\":0}]");

    sql_version_destroy(&f.version);
    assert_int_equal(sql_version_drop_tables(f.engine, "v", "", &f.detail), STATUS_OK);
    f.version = next;
    if (sql_version_promote(f.version, &f.detail) != STATUS_OK)
        fail_msg("%s", f.detail.text);
    assert_string_equal(sql_rows(&f), "[{\"k\":\"abc\",\"x\":3}]");
    assert_int_equal(sql_apply(&f, "{\"type\":\"opened\",\"subject\":\"abc\"}"), STATUS_INVALID);
    assert_string_equal(f.detail.text,
                        "v.sql:4: event 2 (opened): UNIQUE constraint failed: v__n.k");
    assert_int_equal(sqlite3_exec(f.sqlite, "commit; select count(*) from v join v__n using (k)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sql_expect_counted(&f);
    sql_end(&f);
}

static void goes_on_where_it_stood(void **unused)
{
    (void)unused;
    struct sql_fixture f;
    struct sql_file *file = NULL;
    sql_begin(&f);
    sql_load(&f, balances);
    sql_expect_applied(&f, "{\"type\":\"opened\",\"subject\":\"a\"}");
    struct sql_progress progress = *sql_version_progress(f.version);
    sql_version_destroy(&f.version);
    assert_int_equal(sql_file_read("v", slice_of_text(balances), &file, &f.detail), STATUS_OK);
    assert_int_equal(sql_version_new(f.engine, file, "", &progress, &f.version, &f.detail),
                     STATUS_OK);
    sql_expect_counted(&f);
    sql_expect_applied(&f, "{\"type\":\"deposited\",\"subject\":\"a\",\"data\":{\"amount\":5}}");
    assert_string_equal(sql_rows(&f), "[{\"account\":\"a\",\"balance\":5}]");
    sql_expect_counted(&f);

    assert_int_equal(sqlite3_exec(f.sqlite, "update v set balance = 6", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sql_version_check(f.version, &f.detail), STATUS_DAMAGED);
    sql_end(&f);
}

/* As a flipped bit in the database does: tools and queries then see another column. */
static void another_definition_is_found(void **unused)
{
    (void)unused;
    static const char view[] =
        "create table v (k text primary key, n integer) strict; -- shown\n"
        "create table v__notes (\n  n integer not null default 1 /* of v */, check (v__notes.n > "
        "0)\n)\n;\n"
        "-- on: a\ninsert into v values (subject(), 1); insert into v__notes values (2);\n";
    static const char *const changes[] = {
        "update sqlite_master set sql = replace (sql, 'n integer)', 'o integer)') where name = 'v'",
        "update sqlite_master set sql = replace (sql, 'default 1', 'default 3')"
        " where name = 'v__notes'",
        "delete from sqlite_master where name = 'v__notes'",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct sql_fixture f;
        sql_begin(&f);
        sql_load(&f, view);
        sql_expect_applied(&f, EVENT);
        sql_expect_counted(&f);
        assert_int_equal(sqlite3_exec(f.sqlite, "pragma writable_schema = on", NULL, NULL, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_exec(f.sqlite, changes[i], NULL, NULL, NULL), SQLITE_OK);
        if (sql_version_check(f.version, &f.detail) != STATUS_DAMAGED)
            fail_msg("%s", changes[i]);
        assert_non_null(strstr(f.detail.text, "not as they were made"));
        sql_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_an_account),
        cmocka_unit_test(functions_read_the_current_event),
        cmocka_unit_test(an_integer_that_sql_cannot_hold_becomes_real),
        cmocka_unit_test(rows_stand_in_the_order_of_the_primary_key),
        cmocka_unit_test(the_digest_is_the_sum_over_view_and_row),
        cmocka_unit_test(counts_rows_however_they_change),
        cmocka_unit_test(an_event_that_fails_names_file_line_and_event_and_changes_nothing),
        cmocka_unit_test(no_half_of_an_event_is_left),
        cmocka_unit_test(a_statement_of_many_rows_that_fails_leaves_none_of_them),
        cmocka_unit_test(a_statement_without_an_end_is_ended),
        cmocka_unit_test(a_value_may_not_be_huge),
        cmocka_unit_test(a_default_cannot_be_random_or_the_time),
        cmocka_unit_test(is_confined),
        cmocka_unit_test(its_tables_are_plain),
        cmocka_unit_test(a_default_may_be_a_harmless_function),
        cmocka_unit_test(the_line_of_an_error_is_the_line_in_the_file),
        cmocka_unit_test(what_cannot_be_used_leaves_nothing_behind),
        cmocka_unit_test(another_version_is_made_beside_and_takes_the_place),
        cmocka_unit_test(goes_on_where_it_stood),
        cmocka_unit_test(another_definition_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
