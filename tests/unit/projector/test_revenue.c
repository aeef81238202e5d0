#include "tests/unit/projector/view_history.h"

enum { CURRENCIES = 4 };

static void write_row(struct buffer *buffer, const struct naive_row *row)
{
    codec_map(buffer, 2);
    codec_text(buffer, "currency");
    codec_text(buffer, row->key);
    codec_text(buffer, "total_minor");
    codec_uint(buffer, row->number);
}

static void add_order(struct view_history *history, const char *type, const char *currency,
                      uint64_t minor)
{
    codec_map(&history->data, 3);
    codec_text(&history->data, "amount_minor");
    codec_uint(&history->data, minor);
    codec_text(&history->data, "status");
    codec_text(&history->data, "confirmed");
    codec_text(&history->data, "currency");
    codec_text(&history->data, currency);
    history_add(history, type, "order-1");
}

static void sums_confirmed_orders_by_currency(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "revenue");
    add_order(&history, "order.confirmed", "EUR", 4999);
    add_order(&history, "order.confirmed", "USD", 100);
    add_order(&history, "order.confirmed", "EUR", 1);
    add_order(&history, "order.confirmed", "CHF", 0);
    naive_row_at(&history, "CHF")->number = 0;
    naive_row_at(&history, "EUR")->number = 5000;
    naive_row_at(&history, "USD")->number = 100;
    history_expect(&history, write_row);
    history_end(&history);
}

static void looks_at_no_other_type(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "revenue");
    add_order(&history, "order.created", "EUR", 4999);
    add_order(&history, "order.confirmed_late", "EUR", 4999);
    add_order(&history, "payment.processed", "EUR", 4999);
    history_expect(&history, write_row);
    history_end(&history);
}

static void stays_at_the_largest_number(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "revenue");
    add_order(&history, "order.confirmed", "EUR", UINT64_MAX - 1);
    add_order(&history, "order.confirmed", "EUR", 5);
    naive_row_at(&history, "EUR")->number = UINT64_MAX;
    history_expect(&history, write_row);
    history_end(&history);
}

/* Data with an amount of one of several kinds. */
static void write_odd_amount(struct buffer *data, int kind)
{
    codec_map(data, kind == 0 ? 1 : 2);
    codec_text(data, "currency");
    codec_text(data, "EUR");
    if (kind > 0)
        codec_text(data, "amount_minor");
    if (kind == 1)
        codec_int(data, -4999);
    else if (kind == 2)
        codec_float(data, 49.99);
    else if (kind == 3)
        codec_text(data, "4999");
}

static void without_an_amount_and_a_currency_nothing_changes(void **state)
{
    (void)state;
    static const char longest[] = "12345678901234567890123456789012";
    static const char too_long[] = "123456789012345678901234567890123";
    struct view_history history;
    history_begin(&history, "revenue");
    history_add_empty(&history, "order.confirmed", "order-1");
    for (int kind = 0; kind < 4; kind++) {
        write_odd_amount(&history.data, kind);
        history_add(&history, "order.confirmed", "order-1");
    }
    codec_map(&history.data, 1);
    codec_text(&history.data, "amount_minor");
    codec_uint(&history.data, 4999);
    history_add(&history, "order.confirmed", "order-1");
    add_order(&history, "order.confirmed", "", 4999);
    add_order(&history, "order.confirmed", too_long, 4999);
    add_order(&history, "order.confirmed", longest, 4999);
    naive_row_at(&history, longest)->number = 4999;
    history_expect(&history, write_row);
    history_end(&history);
}

static void agrees_with_a_naive_list_over_random_events(void **state)
{
    (void)state;
    static const char *const currencies[CURRENCIES] = {"EUR", "USD", "GBP", "¥"};
    static const char *const types[] = {"order.created", "order.confirmed", "payment.processed"};
    struct rng rng = test_rng();
    struct view_history history;
    history_begin(&history, "revenue");
    for (int round = 0; round < HISTORY_ROUNDS; round++) {
        for (uint64_t left = rng_below(&rng, 200); left > 0; left--) {
            const char *currency = currencies[rng_below(&rng, CURRENCIES)];
            uint64_t minor = rng_below(&rng, 1000000), type = rng_below(&rng, 3);
            add_order(&history, types[type], currency, minor);
            if (type == 1)
                naive_row_at(&history, currency)->number += minor;
        }
        history_expect(&history, write_row);
    }
    history_end(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_confirmed_orders_by_currency),
        cmocka_unit_test(looks_at_no_other_type),
        cmocka_unit_test(stays_at_the_largest_number),
        cmocka_unit_test(without_an_amount_and_a_currency_nothing_changes),
        cmocka_unit_test(agrees_with_a_naive_list_over_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
