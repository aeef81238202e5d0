/* order_counts: how many order events there were with each status.
 *
 * Every event of type order.… counts one for the text in its data.status; `unknown` if it has none,
 * or one of more than STATUS_BYTES_MAX bytes.
 */
#include "projector/views/text_rows.h"

enum { STATUS_BYTES_MAX = TEXT_ROWS_KEY_BYTES_MAX };

struct value {
    uint64_t count; /* events */
};

static const char category[] = "order.";

static struct slice status_of(const struct event *event)
{
    struct mp_reader value;
    struct slice text;
    if (event_member(event->data, slice_of_text("status"), &value) == STATUS_OK &&
        mp_read_text(&value, &text) == STATUS_OK && text.size <= STATUS_BYTES_MAX)
        return text;
    return slice_of_text("unknown");
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    struct text_rows group;
    text_rows_begin(&group, rows);
    for (uint32_t i = 0; i < count; i++)
        if (type_is_of(records[i].event.type, category))
            text_rows_add(&group, &records[i], status_of(&records[i].event), 1);
    text_rows_fetch(&group);
    for (uint32_t i = 0; i < group.count; i++) {
        struct value *value = text_rows_at(&group, i);
        if (value != NULL)
            value->count++;
    }
}

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_uint(buffer, v->count);
}

static const char *const columns[] = {"status", "count"};

const struct view_type view_order_counts = {
    .name = "order_counts",
    .columns = columns,
    .column_count = 2,
    .key_column_count = 1,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
};
