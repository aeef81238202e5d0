/* account_balances: a view as anyone may add one. Copy this file into projector/views and build:
 * that is all, for the build, the queries, the digests and the replays find it by its name.
 *
 * account.opened makes a row with 0, account.deposited adds data.amount and account.withdrew takes
 * it off, each by subject. Without an integer `amount` ≥ 0 nothing changes. A balance may go below
 * 0; it stays within 64 bits.
 */
#include "projector/views/text_rows.h"

struct value {
    int64_t balance;
};

static bool is_booking(struct slice type)
{
    return slice_equal_text(type, "account.deposited") ||
           slice_equal_text(type, "account.withdrew");
}

static bool amount_of(const struct event *event, uint64_t *ret_amount)
{
    struct mp_reader value;
    *ret_amount = 0;
    if (slice_equal_text(event->type, "account.opened"))
        return true;
    return is_booking(event->type) &&
           event_member(event->data, slice_of_text("amount"), &value) == STATUS_OK &&
           mp_read_uint(&value, ret_amount) == STATUS_OK && *ret_amount <= INT64_MAX;
}

static void book(struct value *value, const struct text_row *item)
{
    int64_t amount = (int64_t)item->amount, balance = value->balance;
    if (slice_equal_text(item->record->event.type, "account.withdrew"))
        value->balance = balance >= INT64_MIN + amount ? balance - amount : INT64_MIN;
    else
        value->balance = balance <= INT64_MAX - amount ? balance + amount : INT64_MAX;
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    struct text_rows group;
    uint64_t amount;
    text_rows_begin(&group, rows);
    for (uint32_t i = 0; i < count; i++)
        if (amount_of(&records[i].event, &amount))
            text_rows_add(&group, &records[i], records[i].event.subject, amount);
    text_rows_fetch(&group);
    for (uint32_t i = 0; i < group.count; i++) {
        struct value *value = text_rows_at(&group, i);
        if (value != NULL)
            book(value, &group.items[i]);
    }
}

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_int(buffer, v->balance);
}

static const char *const columns[] = {"account", "balance"};

const struct view_type view_account_balances = {
    .name = "account_balances",
    .columns = columns,
    .column_count = 2,
    .key_column_count = 1,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
};
