#include "projector/store/view_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/event/mp.h"
#include "projector/views/view.h"

#define TABLE_PREFIX "weir_rows_"

enum {
    FORMAT_VERSION = 1,
    SQL_BYTES_MAX = STORE_SQL_BYTES_MAX,
    CELL_TEXT_BYTES = 24, /* an integer that SQLite has none for, as text */
};

struct view_table {
    struct store *store;
    const struct view_type *type;
    struct sqlite3_stmt *write;
};

void view_table_format(const struct view_type *type, char ret_format[CHECKPOINT_FORMAT_BYTES_MAX])
{
    uint64_t hash = hash_content(type->value_bytes, type->name, strlen(type->name));
    hash = hash_content(hash, &type->key_column_count, sizeof type->key_column_count);
    for (uint32_t i = 0; i < type->column_count; i++)
        hash = hash_content(hash, type->columns[i], strlen(type->columns[i]) + 1);
    snprintf(ret_format, CHECKPOINT_FORMAT_BYTES_MAX, "%d-%" PRIu32 "-%016" PRIx64, FORMAT_VERSION,
             type->version, hash);
}

/* --- statements --- */

/* "a", "b" or, with `marks`, ?, ?: one for each of the first `count` columns. */
static void append_columns(struct buffer *sql, const struct view_type *type, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_text(sql, i > 0 ? ", \"" : "\"");
        buffer_append_text(sql, type->columns[i]);
        buffer_append_text(sql, "\"");
    }
}

static void append_parts(struct buffer *sql, const char *const *parts)
{
    for (; *parts != NULL; parts++)
        buffer_append_text(sql, *parts);
}

/* "CREATE TABLE " as SQLite keeps it, or with IF NOT EXISTS as it is run. */
static void append_table(struct buffer *sql, const char *create, const struct view_type *type)
{
    buffer_append_text(sql, create);
    buffer_append_text(sql, "\"" TABLE_PREFIX);
    append_parts(sql, (const char *const[]){type->name, "\" (place INTEGER PRIMARY KEY, ", NULL});
    append_columns(sql, type, type->column_count);
    buffer_append_text(sql, ", weir_key BLOB, weir_value BLOB, weir_sum INTEGER)");
}

static void append_view(struct buffer *sql, const char *create, const struct view_type *type)
{
    append_parts(sql, (const char *const[]){create, "\"", type->name, "\" AS SELECT ", NULL});
    append_columns(sql, type, type->column_count);
    append_parts(sql,
                 (const char *const[]){" FROM \"" TABLE_PREFIX, type->name, "\" ORDER BY ", NULL});
    append_columns(sql, type, type->key_column_count);
}

static enum status make(struct store *store, const struct view_type *type,
                        struct detail *ret_detail)
{
    struct buffer sql;
    buffer_init(&sql, SQL_BYTES_MAX);
    append_table(&sql, "CREATE TABLE IF NOT EXISTS ", type);
    append_view(&sql, "; CREATE VIEW IF NOT EXISTS ", type);
    buffer_append(&sql, "", 1);
    enum status status = sql.status == STATUS_OK
                             ? store_run(store, (const char *)sql.data, ret_detail)
                             : detail_set(ret_detail, sql.status, "no room for a statement");
    buffer_fini(&sql);
    return status;
}

static enum status prepare_write(struct view_table *table, struct detail *ret_detail)
{
    char marks[3 * VIEW_COLUMNS_MAX + 1] = "";
    for (uint32_t i = 0; i < table->type->column_count; i++)
        memcpy(marks + 3 * (size_t)i, ", ?", 4);
    static const char into[] = "INSERT OR REPLACE INTO \"" TABLE_PREFIX;
    const char *const parts[] = {into,  table->type->name, "\" VALUES (?",
                                 marks, ", ?, ?, ?)",      NULL};
    return store_prepare(table->store, parts, &table->write, ret_detail);
}

enum status view_table_open(struct store *store, const struct view_type *type,
                            struct view_table **ret_table, struct detail *ret_detail)
{
    enum status status = make(store, type, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct view_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a view's table");
    table->store = store;
    table->type = type;
    status = prepare_write(table, ret_detail);
    if (status == STATUS_OK)
        *ret_table = table;
    else
        view_table_close(&table);
    return status;
}

void view_table_close(struct view_table **table)
{
    if (*table == NULL)
        return;
    sqlite3_finalize((*table)->write);
    free(*table);
    *table = NULL;
}

enum status view_table_drop(struct store *store, const char *view, struct detail *ret_detail)
{
    char sql[SQL_BYTES_MAX];
    int size = snprintf(sql, sizeof sql,
                        "DROP VIEW IF EXISTS \"%s\"; DROP TABLE IF EXISTS \"" TABLE_PREFIX "%s\"",
                        view, view);
    if (size < 0 || (size_t)size >= sizeof sql)
        return detail_set(ret_detail, STATUS_CONFIG, "the name of a view is too long");
    return store_run(store, sql, ret_detail);
}

/* --- cells --- */

/* One column as SQLite has it. */
struct cell {
    int type; /* SQLITE_INTEGER, … */
    int64_t integer;
    double real;
    struct slice bytes; /* SQLITE_TEXT, SQLITE_BLOB */
};

/* Moves past one item. `text` is room for a number that becomes text. */
static struct cell cell_read(struct mp_reader *reader, char text[CELL_TEXT_BYTES])
{
    struct cell cell = {.type = SQLITE_NULL};
    uint64_t number;
    bool truth;
    if (mp_read_nil(reader))
        return cell;
    cell.type = SQLITE_INTEGER;
    if (mp_read_int(reader, &cell.integer) == STATUS_OK)
        return cell;
    if (mp_read_bool(reader, &truth) == STATUS_OK) {
        cell.integer = truth;
        return cell;
    }
    cell.type = SQLITE_FLOAT;
    if (mp_read_float(reader, &cell.real) == STATUS_OK)
        return cell;
    cell.type = SQLITE_TEXT;
    if (mp_read_text(reader, &cell.bytes) == STATUS_OK)
        return cell;
    if (mp_read_uint(reader, &number) == STATUS_OK) {
        int size = snprintf(text, CELL_TEXT_BYTES, "%" PRIu64, number);
        cell.bytes = (struct slice){(const uint8_t *)text, (size_t)size};
        return cell;
    }
    cell.type = mp_read_raw(reader, &cell.bytes) == STATUS_OK ? SQLITE_BLOB : SQLITE_NULL;
    return cell;
}

static void cell_bind(struct sqlite3_stmt *statement, int place, const struct cell *cell,
                      bool copied)
{
    sqlite3_destructor_type life = copied ? SQLITE_TRANSIENT : SQLITE_STATIC;
    int size = (int)cell->bytes.size;
    if (cell->type == SQLITE_INTEGER)
        sqlite3_bind_int64(statement, place, cell->integer);
    else if (cell->type == SQLITE_FLOAT)
        sqlite3_bind_double(statement, place, cell->real);
    else if (cell->type == SQLITE_TEXT)
        sqlite3_bind_text(statement, place, (const char *)cell->bytes.data, size, life);
    else if (cell->type == SQLITE_BLOB)
        sqlite3_bind_blob(statement, place, cell->bytes.data, size, life);
    else
        sqlite3_bind_null(statement, place);
}

static struct slice column_bytes(struct sqlite3_stmt *statement, int place)
{
    const uint8_t *data = sqlite3_column_blob(statement, place);
    return (struct slice){data, (size_t)sqlite3_column_bytes(statement, place)};
}

static bool cell_is(struct sqlite3_stmt *statement, int place, const struct cell *cell)
{
    if (sqlite3_column_type(statement, place) != cell->type)
        return false;
    if (cell->type == SQLITE_INTEGER)
        return sqlite3_column_int64(statement, place) == cell->integer;
    if (cell->type == SQLITE_FLOAT) {
        double real = sqlite3_column_double(statement, place);
        return !(real < cell->real) && !(real > cell->real);
    }
    return cell->type == SQLITE_NULL || slice_equal(column_bytes(statement, place), cell->bytes);
}

/* Over what a row is restored from: a view's struct is never looked into before this was checked.
 */
static uint32_t checksum(struct slice key, struct slice value)
{
    return crc32c(crc32c(0, key.data, key.size), value.data, value.size);
}

/* --- writing --- */

static enum status write_row(struct view_table *table, const struct rows_change *change,
                             struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(change->columns);
    uint32_t columns = table->type->column_count;
    sqlite3_bind_int64(table->write, 1, change->place);
    for (uint32_t i = 0; i < columns; i++) {
        char text[CELL_TEXT_BYTES];
        struct cell cell = cell_read(&reader, text);
        cell_bind(table->write, (int)i + 2, &cell, (const char *)cell.bytes.data == text);
    }
    sqlite3_bind_blob(table->write, (int)columns + 2, change->key.data, (int)change->key.size,
                      SQLITE_STATIC);
    sqlite3_bind_blob(table->write, (int)columns + 3, change->value.data, (int)change->value.size,
                      SQLITE_STATIC);
    sqlite3_bind_int64(table->write, (int)columns + 4, checksum(change->key, change->value));
    return store_step(table->store, table->write, ret_detail);
}

enum status view_table_write(struct view_table *table, struct slice *changes, uint32_t rows_max,
                             struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < rows_max && changes->size > 0 && status == STATUS_OK; i++) {
        struct rows_change change = rows_change_read(changes);
        status = write_row(table, &change, ret_detail);
    }
    return status;
}

/* --- loading --- */

/* Do the readable columns say what the row says? */
static bool columns_fit(struct sqlite3_stmt *statement, const struct view_type *type,
                        const struct rows *rows, uint32_t place, struct buffer *scratch)
{
    buffer_clear(scratch);
    rows_write_columns(rows, place, scratch);
    if (scratch->status != STATUS_OK)
        return false;
    struct mp_reader reader = mp_reader_of(buffer_slice(scratch));
    for (uint32_t i = 0; i < type->column_count; i++) {
        char text[CELL_TEXT_BYTES];
        struct cell cell = cell_read(&reader, text);
        if (!cell_is(statement, (int)i + 1, &cell))
            return false;
    }
    return true;
}

static enum status load_row(struct sqlite3_stmt *statement, const struct view_type *type,
                            struct rows *rows, struct buffer *scratch)
{
    uint32_t place = rows_count(rows);
    int columns = (int)type->column_count;
    struct slice key = column_bytes(statement, columns + 1);
    struct slice value = column_bytes(statement, columns + 2);
    if (sqlite3_column_int64(statement, 0) != place ||
        sqlite3_column_int64(statement, columns + 3) != checksum(key, value))
        return STATUS_DAMAGED;
    enum status status = rows_restore(rows, key, value);
    if (status == STATUS_NO_MEMORY)
        return status;
    return status == STATUS_OK && columns_fit(statement, type, rows, place, scratch)
               ? STATUS_OK
               : STATUS_DAMAGED;
}

static enum status load_rows(struct store *store, struct sqlite3_stmt *statement,
                             const struct view_type *type, struct rows *rows,
                             struct detail *ret_detail)
{
    struct buffer scratch;
    buffer_init(&scratch, ROW_KEY_BYTES_MAX + 2 * ROW_VALUE_BYTES_MAX);
    enum status status = STATUS_OK;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && status == STATUS_OK)
        status = load_row(statement, type, rows, &scratch);
    buffer_fini(&scratch);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "database %s: row %" PRIu32 " of view %s: %s",
                          store_path(store), rows_count(rows), type->name,
                          status == STATUS_DAMAGED ? "damaged" : status_text(status));
    return code == SQLITE_DONE ? STATUS_OK : store_failure(store, "cannot be read", ret_detail);
}

/* Is what SQLite knows of table or view `name` just what `definition` says? A flipped bit there
 * makes another column of it, which nothing else would notice. NOT_FOUND, DAMAGED. */
static enum status check_definition(struct store *store, const char *const *name,
                                    struct buffer *definition)
{
    const char *const sql[] = {"SELECT sql FROM sqlite_master WHERE name = '", name[0], name[1],
                               "'", NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = store_prepare(store, sql, &statement, NULL);
    if (status == STATUS_OK && sqlite3_step(statement) != SQLITE_ROW)
        status = STATUS_NOT_FOUND;
    else if (status == STATUS_OK &&
             !slice_equal(column_bytes(statement, 0), buffer_slice(definition)))
        status = STATUS_DAMAGED;
    sqlite3_finalize(statement);
    buffer_clear(definition);
    return status;
}

static enum status check_definitions(struct store *store, const struct view_type *type,
                                     struct detail *ret_detail)
{
    struct buffer definition;
    buffer_init(&definition, SQL_BYTES_MAX);
    append_table(&definition, "CREATE TABLE ", type);
    enum status status =
        check_definition(store, (const char *const[]){TABLE_PREFIX, type->name}, &definition);
    append_view(&definition, "CREATE VIEW ", type);
    if (status == STATUS_OK)
        status = check_definition(store, (const char *const[]){"", type->name}, &definition);
    buffer_fini(&definition);
    if (status == STATUS_OK)
        return status;
    return detail_set(ret_detail, status, "database %s: the table of view %s is %s",
                      store_path(store), type->name,
                      status == STATUS_NOT_FOUND ? "missing" : "not as it was made");
}

enum status view_table_load(struct store *store, const struct view_type *type, struct rows *rows,
                            struct detail *ret_detail)
{
    const char *const sql[] = {"SELECT * FROM \"" TABLE_PREFIX, type->name, "\" ORDER BY place",
                               NULL};
    struct sqlite3_stmt *statement = NULL;
    enum status status = check_definitions(store, type, ret_detail);
    if (status == STATUS_OK)
        status = store_prepare(store, sql, &statement, ret_detail);
    if (status == STATUS_OK)
        status = load_rows(store, statement, type, rows, ret_detail);
    sqlite3_finalize(statement);
    return status;
}
