/* revenue: what confirmed orders bring in, by currency, in minor units (cents).
 *
 * Every order.confirmed adds its data.amount_minor, an integer ≥ 0, to the total of its
 * data.currency, a text of 1 to CURRENCY_BYTES_MAX bytes. Without both it changes nothing. A total
 * stays at 2^64 − 1 when it would go beyond.
 */
#include "projector/views/text_rows.h"

enum { CURRENCY_BYTES_MAX = 32 };

struct value {
    uint64_t total_minor;
};

static bool amount_of(const struct event *event, struct slice *ret_currency, uint64_t *ret_minor)
{
    struct mp_reader currency, minor;
    return slice_equal_text(event->type, "order.confirmed") &&
           event_member(event->data, slice_of_text("currency"), &currency) == STATUS_OK &&
           mp_read_text(&currency, ret_currency) == STATUS_OK && ret_currency->size > 0 &&
           ret_currency->size <= CURRENCY_BYTES_MAX &&
           event_member(event->data, slice_of_text("amount_minor"), &minor) == STATUS_OK &&
           mp_read_uint(&minor, ret_minor) == STATUS_OK;
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    struct text_rows group;
    struct slice currency;
    uint64_t minor;
    text_rows_begin(&group, rows);
    for (uint32_t i = 0; i < count; i++)
        if (amount_of(&records[i].event, &currency, &minor))
            text_rows_add(&group, &records[i], currency, minor);
    text_rows_fetch(&group);
    for (uint32_t i = 0; i < group.count; i++) {
        struct value *value = text_rows_at(&group, i);
        if (value == NULL)
            continue;
        uint64_t room = UINT64_MAX - value->total_minor, more = group.items[i].amount;
        value->total_minor += more <= room ? more : room;
    }
}

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_uint(buffer, v->total_minor);
}

static const char *const columns[] = {"currency", "total_minor"};

const struct view_type view_revenue = {
    .name = "revenue",
    .columns = columns,
    .column_count = 2,
    .key_column_count = 1,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
};
