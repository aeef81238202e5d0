#include "tests/unit/projector/view_history.h"

enum { PRODUCTS = 9 };

static const char added[] = "inventory.stock_added";
static const char removed[] = "inventory.stock_removed";

static void write_row(struct buffer *buffer, const struct naive_row *row)
{
    codec_map(buffer, 2);
    codec_text(buffer, "product");
    codec_text(buffer, row->key);
    codec_text(buffer, "quantity");
    codec_uint(buffer, row->number);
}

static void add_stock(struct view_history *history, const char *type, const char *product,
                      uint64_t quantity)
{
    codec_map(&history->data, 2);
    codec_text(&history->data, "shelf");
    codec_uint(&history->data, 7);
    codec_text(&history->data, "quantity");
    codec_uint(&history->data, quantity);
    history_add(history, type, product);
}

static void adds_and_removes_by_product(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "inventory_levels");
    add_stock(&history, added, "widget-A", 100);
    add_stock(&history, added, "widget-B", 5);
    add_stock(&history, removed, "widget-A", 3);
    naive_row_at(&history, "widget-A")->number = 97;
    naive_row_at(&history, "widget-B")->number = 5;
    history_expect(&history, write_row);
    history_end(&history);
}

static void never_goes_below_zero(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "inventory_levels");
    add_stock(&history, removed, "never-there", 3);
    add_stock(&history, added, "widget-A", 2);
    add_stock(&history, removed, "widget-A", UINT64_MAX);
    add_stock(&history, added, "widget-A", 4);
    naive_row_at(&history, "never-there")->number = 0;
    naive_row_at(&history, "widget-A")->number = 4;
    history_expect(&history, write_row);
    history_end(&history);
}

static void stays_at_the_largest_number(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "inventory_levels");
    add_stock(&history, added, "widget-A", UINT64_MAX - 1);
    add_stock(&history, added, "widget-A", 2);
    naive_row_at(&history, "widget-A")->number = UINT64_MAX;
    history_expect(&history, write_row);
    history_end(&history);
}

static void a_quantity_that_is_no_natural_number_changes_nothing(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "inventory_levels");
    history_add_empty(&history, added, "widget-A");
    for (int kind = 0; kind < 4; kind++) {
        struct buffer *data = &history.data;
        codec_map(data, 1);
        codec_text(data, "quantity");
        if (kind == 0)
            codec_int(data, -3);
        else if (kind == 1)
            codec_float(data, 3.0);
        else if (kind == 2)
            codec_text(data, "3");
        else
            codec_nil(data);
        history_add(&history, added, "widget-A");
    }
    history_expect(&history, write_row);
    history_end(&history);
}

static void looks_at_no_other_type(void **state)
{
    (void)state;
    struct view_history history;
    history_begin(&history, "inventory_levels");
    add_stock(&history, "inventory.stock", "widget-A", 1);
    add_stock(&history, "inventory.stock_added_twice", "widget-A", 1);
    add_stock(&history, "inventory.counted", "widget-A", 1);
    add_stock(&history, "stock_added", "widget-A", 1);
    history_expect(&history, write_row);
    history_end(&history);
}

static void agrees_with_a_naive_list_over_random_events(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct view_history history;
    history_begin(&history, "inventory_levels");
    for (int round = 0; round < HISTORY_ROUNDS; round++) {
        for (uint64_t left = rng_below(&rng, 200); left > 0; left--) {
            char product[HISTORY_TEXT_MAX];
            uint64_t quantity = rng_below(&rng, 100);
            snprintf(product, sizeof product, "widget-%d", (int)rng_below(&rng, PRODUCTS));
            bool adds = rng_below(&rng, 2) == 0;
            add_stock(&history, adds ? added : removed, product, quantity);
            struct naive_row *row = naive_row_at(&history, product);
            int64_t level = (int64_t)row->number + (int64_t)(adds ? quantity : 0) -
                            (int64_t)(adds ? 0 : quantity);
            row->number = level < 0 ? 0 : (uint64_t)level;
        }
        history_expect(&history, write_row);
    }
    history_end(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_removes_by_product),
        cmocka_unit_test(never_goes_below_zero),
        cmocka_unit_test(stays_at_the_largest_number),
        cmocka_unit_test(a_quantity_that_is_no_natural_number_changes_nothing),
        cmocka_unit_test(looks_at_no_other_type),
        cmocka_unit_test(agrees_with_a_naive_list_over_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
