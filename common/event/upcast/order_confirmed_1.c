/* order.confirmed, version 1 → 2: the amount is an integer of minor units beside its currency.
 *
 *     {"amount": 49.99, "currency": "EUR"}  →  {"amount_minor": 4999, "currency": "EUR"}
 *
 * Version 1 had an `amount` in major units, a float or an integer; its exact value is taken times
 * 100 and rounded, halves away from zero. Without a currency it is XXX, "no currency" of ISO 4217.
 * Data that has `amount_minor` already, or no amount at all, stays as it is.
 */
#include <math.h>

#include "common/event/codec.h"
#include "common/event/upcast/upcast.h"

#define MINOR_UNITS 100.0L
#define MINOR_MAX   9007199254740992.0L /* 2^53: beyond, a float has lost the minor units */

static bool has(struct slice data, const char *field, struct mp_reader *ret_value)
{
    return event_member(data, slice_of_text(field), ret_value) == STATUS_OK;
}

static enum status minor_of(struct mp_reader amount, int64_t *ret_minor, struct detail *ret_detail)
{
    int64_t whole = 0;
    double real = 0;
    if (mp_read_int(&amount, &whole) == STATUS_OK)
        real = (double)whole;
    else if (mp_read_float(&amount, &real) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID, "amount: not a number");
    long double minor = roundl((long double)real * MINOR_UNITS);
    if (!(fabsl(minor) <= MINOR_MAX))
        return detail_set(ret_detail, STATUS_INVALID, "amount: too large for minor units");
    *ret_minor = (int64_t)minor;
    return STATUS_OK;
}

static enum status copy_pairs(struct slice data, bool add_currency, int64_t minor,
                              struct buffer *ret_data)
{
    struct mp_reader reader = mp_reader_of(data);
    uint32_t pairs = 0;
    enum status status = mp_read_map(&reader, &pairs);
    codec_map(ret_data, pairs + (add_currency ? 1 : 0));
    for (uint32_t i = 0; i < pairs && status == STATUS_OK; i++) {
        struct slice key = {NULL, 0}, value = {NULL, 0};
        status = mp_read_text(&reader, &key);
        if (status == STATUS_OK)
            status = mp_read_raw(&reader, &value);
        bool amount = slice_equal_text(key, "amount");
        codec_text_slice(ret_data, amount ? slice_of_text("amount_minor") : key);
        if (amount)
            codec_int(ret_data, minor);
        else
            buffer_append(ret_data, value.data, value.size);
    }
    if (add_currency) {
        codec_text(ret_data, "currency");
        codec_text(ret_data, "XXX");
    }
    return status;
}

static enum status change(struct slice data, struct buffer *ret_data, struct detail *ret_detail)
{
    struct mp_reader value;
    int64_t minor = 0;
    if (has(data, "amount_minor", &value) || !has(data, "amount", &value))
        return STATUS_OK;
    enum status status = minor_of(value, &minor, ret_detail);
    return status == STATUS_OK ? copy_pairs(data, !has(data, "currency", &value), minor, ret_data)
                               : status;
}

const struct upcast upcast_order_confirmed_1 = {
    .name = "order_confirmed_1", .type = "order.confirmed", .from = 1, .change = change};
