/* inventory_levels: how much of each product there is.
 *
 * inventory.stock_added adds data.quantity to its subject's level, inventory.stock_removed takes it
 * off, down to 0 at the lowest. An event without a `quantity` that is an integer ≥ 0 changes
 * nothing. A level stays at 2^64 − 1 when it would go beyond.
 */
#include "projector/views/text_rows.h"

static const char added[] = "inventory.stock_added";
static const char removed[] = "inventory.stock_removed";

struct value {
    uint64_t quantity;
};

static bool quantity_of(const struct event *event, uint64_t *ret_quantity)
{
    struct mp_reader value;
    return (slice_equal_text(event->type, added) || slice_equal_text(event->type, removed)) &&
           event_member(event->data, slice_of_text("quantity"), &value) == STATUS_OK &&
           mp_read_uint(&value, ret_quantity) == STATUS_OK;
}

static void change_level(struct value *value, const struct text_row *item)
{
    uint64_t level = value->quantity, quantity = item->amount;
    if (slice_equal_text(item->record->event.type, added))
        value->quantity = quantity <= UINT64_MAX - level ? level + quantity : UINT64_MAX;
    else
        value->quantity = quantity <= level ? level - quantity : 0;
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    struct text_rows group;
    uint64_t quantity;
    text_rows_begin(&group, rows);
    for (uint32_t i = 0; i < count; i++)
        if (quantity_of(&records[i].event, &quantity))
            text_rows_add(&group, &records[i], records[i].event.subject, quantity);
    text_rows_fetch(&group);
    for (uint32_t i = 0; i < group.count; i++) {
        struct value *value = text_rows_at(&group, i);
        if (value != NULL)
            change_level(value, &group.items[i]);
    }
}

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_uint(buffer, v->quantity);
}

static const char *const columns[] = {"product", "quantity"};

const struct view_type view_inventory_levels = {
    .name = "inventory_levels",
    .columns = columns,
    .column_count = 2,
    .key_column_count = 1,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
};
