#include "projector/query_print.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/event/event.h"
#include "common/event/json.h"
#include "projector/core/member.h"

enum {
    COLUMNS_MAX = 64,
    NUMBER_TEXT_BYTES = 32,
    CELL_BYTES_MAX = 256 * 1024,
};

static void append_uint(struct buffer *text, uint64_t value)
{
    char number[NUMBER_TEXT_BYTES];
    snprintf(number, sizeof number, "%" PRIu64, value);
    buffer_append_text(text, number);
}

/* --- JSON --- */

static bool is_printed_as_string(struct slice member)
{
    static const char *const names[] = {"event_id",      "rejection_id",      "time",
                                        "last_event_id", "last_rejection_id", "now",
                                        "since",         "boottime"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal_text(member, names[i]))
            return true;
    return false;
}

static enum status append_member(struct mp_reader *map, struct buffer *text)
{
    struct slice name, item;
    uint64_t number;
    struct mp_reader key = *map;
    enum status status = mp_read_text(&key, &name);
    if (status == STATUS_OK)
        status = mp_read_raw(map, &item);
    if (status == STATUS_OK)
        status = json_write_item(item, text);
    buffer_append_text(text, ":");
    if (status == STATUS_OK && is_printed_as_string(name)) {
        status = mp_read_uint(map, &number);
        buffer_append_text(text, "\"");
        append_uint(text, number);
        buffer_append_text(text, "\"");
        return status;
    }
    if (status == STATUS_OK)
        status = mp_read_raw(map, &item);
    return status == STATUS_OK ? json_write_item(item, text) : status;
}

enum status query_print_json(struct slice map, struct buffer *text)
{
    struct mp_reader reader = mp_reader_of(map);
    uint32_t pairs;
    enum status status = mp_read_map(&reader, &pairs);
    buffer_append_text(text, "{");
    for (uint32_t i = 0; status == STATUS_OK && i < pairs; i++) {
        buffer_append_text(text, i > 0 ? "," : "");
        status = append_member(&reader, text);
    }
    buffer_append_text(text, "}\n");
    return status == STATUS_OK ? text->status : status;
}

/* --- position --- */

enum status query_print_position(struct slice map, struct buffer *text)
{
    struct slice view, digest, note;
    uint64_t event_id, rejection_id, time_ns, since, next;
    char time[CLOCK_TEXT_BYTES] = "no time yet";
    if (!member_text(map, "view", &view) || !member_text(map, "digest", &digest) ||
        !member_uint(map, "event_id", &event_id) ||
        !member_uint(map, "rejection_id", &rejection_id) || !member_uint(map, "time", &time_ns))
        return STATUS_INVALID;
    if (time_ns > 0)
        clock_format(time_ns, time);
    buffer_append(text, view.data, view.size);
    buffer_append_text(text, " as of event ");
    append_uint(text, event_id);
    buffer_append_text(text, ", rejection ");
    append_uint(text, rejection_id);
    buffer_append_text(text, ", ");
    buffer_append_text(text, time);
    buffer_append_text(text, ", digest ");
    buffer_append(text, digest.data, digest.size);
    if (member_uint(map, "since", &since)) {
        buffer_append_text(text, "; since event ");
        append_uint(text, since);
    }
    if (member_uint(map, "next", &next)) {
        buffer_append_text(text, "; only the first ");
        append_uint(text, next);
        buffer_append_text(text, " rows");
    }
    if (member_text(map, "note", &note)) {
        buffer_append_text(text, "; ");
        buffer_append(text, note.data, note.size);
    }
    buffer_append_text(text, "\n");
    return text->status;
}

/* --- table --- */

struct column {
    struct slice name;
    size_t width; /* characters */
    bool is_number;
};

struct table {
    struct column columns[COLUMNS_MAX];
    uint32_t column_count;
    struct buffer cell; /* scratch */
    struct buffer *text;
};

/* Terminals obey control characters, so they are shown, not sent. */
static void append_plain(struct buffer *text, struct slice raw)
{
    for (size_t i = 0; i < raw.size; i++) {
        char escape[8];
        snprintf(escape, sizeof escape, "\\x%02x", raw.data[i]);
        /* 0xc2 0x80 … 0x9f are control characters too. */
        bool high = raw.data[i] == 0xc2 && i + 1 < raw.size && raw.data[i + 1] < 0xa0;
        if (raw.data[i] < 0x20 || raw.data[i] == 0x7f || high)
            buffer_append_text(text, escape);
        else
            buffer_append(text, &raw.data[i], 1);
    }
}

/* Characters of UTF-8, taken as one column each. */
static size_t width_of(struct slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (text.data[i] & 0xc0) != 0x80;
    return width;
}

static bool is_time(struct slice name)
{
    return name.size > 3 && slice_equal_text((struct slice){name.data + name.size - 3, 3}, "_at");
}

static enum status render_uint(const struct column *column, struct mp_reader *value,
                               struct buffer *cell)
{
    uint64_t number;
    char time[CLOCK_TEXT_BYTES];
    enum status status = mp_read_uint(value, &number);
    if (status != STATUS_OK)
        return status;
    if (is_time(column->name)) {
        clock_format(number, time);
        buffer_append_text(cell, time);
    } else {
        append_uint(cell, number);
    }
    return cell->status;
}

/* Renders the next item into table->cell and moves past it. */
static enum status render(struct table *table, const struct column *column,
                          struct mp_reader *reader, enum mp_type *ret_type)
{
    struct slice item, text;
    buffer_clear(&table->cell);
    enum status status = mp_peek(reader, ret_type);
    if (status == STATUS_OK)
        status = mp_read_raw(reader, &item);
    if (status != STATUS_OK)
        return status;
    struct mp_reader value = mp_reader_of(item);
    if (*ret_type == MP_UINT)
        return render_uint(column, &value, &table->cell);
    if (*ret_type == MP_TEXT && mp_read_text(&value, &text) == STATUS_OK)
        append_plain(&table->cell, text);
    else if (*ret_type == MP_NIL)
        buffer_append_text(&table->cell, "-");
    else
        return json_write_data(item, &table->cell);
    return table->cell.status;
}

static void append_padded(struct table *table, const struct column *column, struct slice cell)
{
    size_t spaces = column->width - width_of(cell);
    bool last = column == &table->columns[table->column_count - 1];
    if (column->is_number)
        for (size_t i = 0; i < spaces; i++)
            buffer_append(table->text, " ", 1);
    buffer_append(table->text, cell.data, cell.size);
    if (!column->is_number && !last)
        for (size_t i = 0; i < spaces; i++)
            buffer_append(table->text, " ", 1);
    buffer_append_text(table->text, last ? "\n" : "  ");
}

/* One row: a map with the columns in order. `measure`: only widens the columns. */
static enum status row_pass(struct table *table, struct mp_reader *reader, bool measure)
{
    uint32_t pairs;
    struct slice name;
    enum mp_type type;
    enum status status = mp_read_map(reader, &pairs);
    if (status == STATUS_OK && pairs != table->column_count)
        return STATUS_INVALID;
    for (uint32_t i = 0; i < pairs && status == STATUS_OK; i++) {
        struct column *column = &table->columns[i];
        status = mp_read_text(reader, &name);
        if (status == STATUS_OK)
            status = render(table, column, reader, &type);
        if (status != STATUS_OK)
            break;
        struct slice cell = buffer_slice(&table->cell);
        if (!measure) {
            append_padded(table, column, cell);
            continue;
        }
        if (column->width < width_of(cell))
            column->width = width_of(cell);
        bool number = (type == MP_UINT && !is_time(column->name)) || type == MP_NEGATIVE;
        column->is_number = column->is_number && number;
    }
    return status;
}

static enum status rows_pass(struct table *table, struct mp_reader rows, uint32_t count,
                             bool measure)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
        status = row_pass(table, &rows, measure);
    return status;
}

/* The columns of the first row. */
static enum status read_columns(struct table *table, struct mp_reader rows)
{
    enum status status = mp_read_map(&rows, &table->column_count);
    if (status == STATUS_OK && (table->column_count == 0 || table->column_count > COLUMNS_MAX))
        return STATUS_INVALID;
    for (uint32_t i = 0; i < table->column_count && status == STATUS_OK; i++) {
        struct column *column = &table->columns[i];
        status = mp_read_text(&rows, &column->name);
        column->width = width_of(column->name);
        column->is_number = true;
        if (status == STATUS_OK)
            status = mp_skip(&rows);
    }
    return status;
}

enum status query_print_table(struct slice map, struct buffer *text)
{
    struct mp_reader rows;
    uint32_t count = 0;
    struct table table = {.text = text};
    enum status status = event_field(map, slice_of_text("rows"), &rows);
    if (status == STATUS_OK)
        status = mp_read_array(&rows, &count);
    if (status != STATUS_OK || count == 0)
        return status;
    buffer_init(&table.cell, CELL_BYTES_MAX);
    status = read_columns(&table, rows);
    if (status == STATUS_OK)
        status = rows_pass(&table, rows, count, true);
    for (uint32_t i = 0; i < table.column_count && status == STATUS_OK; i++)
        append_padded(&table, &table.columns[i], table.columns[i].name);
    if (status == STATUS_OK)
        status = rows_pass(&table, rows, count, false);
    buffer_fini(&table.cell);
    return status == STATUS_OK ? text->status : status;
}
