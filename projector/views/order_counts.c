/* order_counts: how many order events there were with each status.
 *
 * Every event of type order.… counts one for the text in its data.status; `unknown` if it has none,
 * or one of more than STATUS_BYTES_MAX bytes.
 */
#include "common/event/codec.h"
#include "projector/views/view.h"

enum { STATUS_BYTES_MAX = 256 };

struct value {
    uint64_t count; /* events */
};

static bool is_order(struct slice type)
{
    static const char category[] = "order.";
    size_t size = sizeof category - 1;
    return type.size > size && memcmp(type.data, category, size) == 0;
}

static struct slice status_of(const struct event *event)
{
    struct mp_reader value;
    struct slice text;
    if (event_field(event->data, slice_of_text("status"), &value) == STATUS_OK &&
        mp_read_text(&value, &text) == STATUS_OK && text.size <= STATUS_BYTES_MAX)
        return text;
    return slice_of_text("unknown");
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    uint8_t key[STATUS_BYTES_MAX + CODEC_TEXT_HEADER_BYTES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        if (!is_order(records[i].event.type))
            continue;
        uint8_t *end = codec_put_text(key, status_of(&records[i].event));
        struct slice item = {key, (size_t)(end - key)};
        struct value *value = rows_at(rows, rows_hash(rows, item), item);
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
