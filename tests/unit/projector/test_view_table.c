#include "tests/unit/projector/store_fixture.h"

#include <sqlite3.h>

#include "common/event/codec.h"
#include "projector/core/rows.h"
#include "projector/store/view_table.h"
#include "projector/views/view.h"

enum { CHANGES_BYTES_MAX = 1024 * 1024, KEY_BYTES = 64, SHOWN_BYTES = 1024 };

static const struct hash_seed seed = {{9}};

struct thing {
    uint64_t count;
    double weight;
    bool is_known;
};

static void write_thing(const void *value, struct buffer *buffer)
{
    const struct thing *thing = value;
    codec_uint(buffer, thing->count);
    codec_float(buffer, thing->weight);
    codec_bool(buffer, thing->is_known);
    codec_nil(buffer);
    codec_array(buffer, 1);
    codec_uint(buffer, 7);
}

static const char *const columns[] = {"name", "count", "weight", "known", "empty", "list"};
static const struct view_type things = {.name = "things",
                                        .columns = columns,
                                        .column_count = 6,
                                        .key_column_count = 1,
                                        .value_bytes = sizeof(struct thing),
                                        .version = 1,
                                        .write_value = write_thing};

/* An open store with the table in a transaction, and rows that note what changes. */
struct bench {
    struct store *store;
    struct view_table *table;
    struct rows *rows;
    struct detail detail;
};

static void begin(struct bench *bench)
{
    bench->store = store_of_test();
    assert_int_equal(store_begin(bench->store, &bench->detail), STATUS_OK);
    if (view_table_open(bench->store, &things, &bench->table, &bench->detail) != STATUS_OK)
        fail_msg("%s", bench->detail.text);
    bench->rows = rows_new(&things, &seed, ROWS_MAX);
    assert_non_null(bench->rows);
    rows_note_changes(bench->rows);
}

static void end(struct bench *bench)
{
    rows_destroy(&bench->rows);
    view_table_close(&bench->table);
    store_close(&bench->store);
}

static struct slice key_of(const char *text, struct buffer *buffer)
{
    buffer_init(buffer, KEY_BYTES);
    if (text[0] == '#')
        codec_int(buffer, strtoll(text + 1, NULL, 10));
    else
        codec_text(buffer, text);
    return buffer_slice(buffer);
}

/* `name` "#5" is the integer 5. */
static void put(struct rows *rows, const char *name, struct thing thing)
{
    struct buffer buffer;
    struct slice key = key_of(name, &buffer);
    struct thing *place = rows_at(rows, rows_hash(rows, key), key);
    assert_non_null(place);
    *place = thing;
    buffer_fini(&buffer);
}

static void put_three(struct rows *rows)
{
    put(rows, "b", (struct thing){1, 2.5, true});
    put(rows, "a \xc3\xa9", (struct thing){UINT64_MAX, -0.0, false});
    put(rows, "#-5", (struct thing){INT64_MAX, 1e300, true});
}

/* Writes all that changed, `portion` rows at a time, and commits; how many portions it took. */
static int save(struct bench *bench, uint32_t portion)
{
    struct buffer changes;
    int portions = 0;
    buffer_init(&changes, CHANGES_BYTES_MAX);
    assert_int_equal(rows_take_changes(bench->rows, &changes), STATUS_OK);
    assert_int_equal(rows_unsaved(bench->rows), 0);
    struct slice left = buffer_slice(&changes);
    for (; left.size > 0; portions++)
        if (view_table_write(bench->table, &left, portion, &bench->detail) != STATUS_OK)
            fail_msg("%s", bench->detail.text);
    assert_int_equal(store_commit(bench->store, &bench->detail), STATUS_OK);
    assert_int_equal(store_begin(bench->store, &bench->detail), STATUS_OK);
    buffer_fini(&changes);
    return portions;
}

static enum status load(struct bench *bench, const struct view_type *type, struct rows **ret_rows)
{
    *ret_rows = rows_new(type, &seed, ROWS_MAX);
    assert_non_null(*ret_rows);
    return view_table_load(bench->store, type, *ret_rows, &bench->detail);
}

static void expect_loaded(struct bench *bench)
{
    struct rows *found;
    if (load(bench, &things, &found) != STATUS_OK)
        fail_msg("%s", bench->detail.text);
    struct digest expected = rows_digest(bench->rows), digest = rows_digest(found);
    assert_int_equal(rows_count(found), rows_count(bench->rows));
    assert_memory_equal(&digest, &expected, sizeof digest);
    rows_destroy(&found);
}

static void rows_come_back_as_they_were(void **state)
{
    (void)state;
    struct bench bench = {.store = NULL};
    begin(&bench);
    expect_loaded(&bench); /* none */
    put_three(bench.rows);
    assert_int_equal(save(&bench, UINT32_MAX), 1);
    expect_loaded(&bench);
    put(bench.rows, "b", (struct thing){2, 0.1, false});
    put(bench.rows, "c", (struct thing){3, 0, false});
    assert_int_equal(save(&bench, UINT32_MAX), 1);
    expect_loaded(&bench);
    assert_int_equal(save(&bench, 1), 0); /* nothing changed */
    end(&bench);
}

static void rows_are_written_in_portions(void **state)
{
    (void)state;
    struct bench bench = {.store = NULL};
    begin(&bench);
    for (int i = 0; i < 25; i++) {
        char name[16];
        snprintf(name, sizeof name, "#%d", i);
        put(bench.rows, name, (struct thing){(uint64_t)i, 0, false});
    }
    assert_int_equal(save(&bench, 10), 3);
    expect_loaded(&bench);
    end(&bench);
}

/* What a tool sees of the view `things`, columns with | and rows with a line between them. */
static const char *shown(void)
{
    static char text[SHOWN_BYTES];
    struct sqlite3 *sqlite;
    struct sqlite3_stmt *select;
    size_t size = 0;
    text[0] = '\0';
    assert_int_equal(sqlite3_open_v2(database, &sqlite, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(sqlite, "SELECT * FROM things", -1, &select, NULL),
                     SQLITE_OK);
    while (sqlite3_step(select) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(select); i++) {
            const char *end_of = i + 1 < sqlite3_column_count(select) ? "|" : "\n";
            bool is_blob = sqlite3_column_type(select, i) == SQLITE_BLOB;
            const unsigned char *cell = sqlite3_column_text(select, i);
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s",
                                     is_blob        ? "blob"
                                     : cell != NULL ? (const char *)cell
                                                    : "",
                                     end_of);
        }
    sqlite3_finalize(select);
    sqlite3_close(sqlite);
    return text;
}

static void a_tool_sees_the_columns_in_the_order_of_the_key(void **state)
{
    (void)state;
    struct bench bench = {.store = NULL};
    begin(&bench);
    put_three(bench.rows);
    (void)save(&bench, UINT32_MAX);
    assert_string_equal(shown(), "-5|9223372036854775807|1.0e+300|1||blob\n"
                                 "a \xc3\xa9|18446744073709551615|0.0|0||blob\n"
                                 "b|1|2.5|1||blob\n");
    end(&bench);
}

static const char twice[] =
    "INSERT INTO weir_rows_things SELECT 3, name, count, weight, known, empty, list, weir_key, "
    "weir_value, weir_sum FROM weir_rows_things WHERE place = 0";

static void whatever_somebody_changes_is_found(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE weir_rows_things SET name = 'x' WHERE place = 0",
        "UPDATE weir_rows_things SET count = 2 WHERE place = 0",
        "UPDATE weir_rows_things SET count = '1' WHERE place = 0",
        "UPDATE weir_rows_things SET weight = 2.25 WHERE place = 0",
        "UPDATE weir_rows_things SET known = 0 WHERE place = 0",
        "UPDATE weir_rows_things SET empty = 0 WHERE place = 0",
        "UPDATE weir_rows_things SET list = x'9108' WHERE place = 0",
        "UPDATE weir_rows_things SET weir_key = x'a178' WHERE place = 0",
        "UPDATE weir_rows_things SET weir_value = zeroblob(24) WHERE place = 0",
        "UPDATE weir_rows_things SET weir_value = x'00' WHERE place = 0",
        "UPDATE weir_rows_things SET weir_value = NULL WHERE place = 0",
        "UPDATE weir_rows_things SET weir_sum = weir_sum + 1 WHERE place = 0",
        "UPDATE weir_rows_things SET place = 9 WHERE place = 0",
        "DELETE FROM weir_rows_things WHERE place = 0",
        twice,
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct bench bench = {.store = NULL};
        struct rows *found;
        begin(&bench);
        assert_int_equal(view_table_drop(bench.store, "things", &bench.detail), STATUS_OK);
        view_table_close(&bench.table);
        assert_int_equal(view_table_open(bench.store, &things, &bench.table, &bench.detail),
                         STATUS_OK);
        put_three(bench.rows);
        (void)save(&bench, UINT32_MAX);
        expect_loaded(&bench);
        run_sql(bench.store, changes[i]);
        if (load(&bench, &things, &found) != STATUS_DAMAGED)
            fail_msg("%s", changes[i]);
        assert_non_null(strstr(bench.detail.text, "view things: damaged"));
        rows_destroy(&found);
        end(&bench);
    }
}

/* As a flipped bit in the file does: tools then see another column, or take its name for a text. */
static void another_definition_is_found(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "UPDATE sqlite_master SET sql = replace (sql, 'weight', 'weighu') WHERE type = 'table'",
        "UPDATE sqlite_master SET sql = replace (sql, 'weight', 'weighu') WHERE type = 'view'",
        "UPDATE sqlite_master SET sql = replace (sql, '\"known\"', '\"count\"')"
        " WHERE type = 'view'",
        "UPDATE sqlite_master SET sql = sql || ' DESC' WHERE type = 'view'",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct bench bench = {.store = NULL};
        struct rows *found;
        begin(&bench);
        put_three(bench.rows);
        (void)save(&bench, UINT32_MAX);
        run_sql(bench.store, "PRAGMA writable_schema = ON");
        run_sql(bench.store, changes[i]);
        if (load(&bench, &things, &found) != STATUS_DAMAGED)
            fail_msg("%s", changes[i]);
        assert_non_null(strstr(bench.detail.text, "not as it was made"));
        rows_destroy(&found);
        store_roll_back(bench.store);
        end(&bench);
    }
}

static void a_table_that_is_missing_is_said_to_be(void **state)
{
    (void)state;
    struct bench bench = {.store = NULL};
    struct rows *found;
    begin(&bench);
    put_three(bench.rows);
    (void)save(&bench, UINT32_MAX);
    assert_int_equal(view_table_drop(bench.store, "things", &bench.detail), STATUS_OK);
    assert_int_equal(load(&bench, &things, &found), STATUS_NOT_FOUND);
    assert_int_equal(rows_count(found), 0);
    rows_destroy(&found);
    assert_int_equal(view_table_drop(bench.store, "things", &bench.detail), STATUS_OK); /* twice */
    end(&bench);
}

static void another_layout_has_another_format(void **state)
{
    (void)state;
    static const char *const others[] = {"name", "count", "weight", "known", "empty", "lists"};
    char format[CHECKPOINT_FORMAT_BYTES_MAX], other[CHECKPOINT_FORMAT_BYTES_MAX];
    struct view_type types[] = {things, things, things, things, things, things};
    types[0].version = 2;
    types[1].value_bytes++;
    types[2].name = "thing";
    types[3].key_column_count = 2;
    types[4].column_count = 5;
    types[5].columns = others;
    view_table_format(&things, format);
    view_table_format(&things, other);
    assert_string_equal(format, other);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        view_table_format(&types[i], other);
        assert_string_not_equal(format, other);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_come_back_as_they_were),
        TEST(rows_are_written_in_portions),
        TEST(a_tool_sees_the_columns_in_the_order_of_the_key),
        TEST(whatever_somebody_changes_is_found),
        TEST(another_definition_is_found),
        TEST(a_table_that_is_missing_is_said_to_be),
        TEST(another_layout_has_another_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
