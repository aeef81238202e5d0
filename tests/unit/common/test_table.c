#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/table.h"
#include "tests/lib/seed.h"

enum { KEYS = 3000 };

/* The naive model: which keys are in, and how they hash. Slot i has key i, four bytes. */
struct model {
    uint32_t keys[KEYS];
    uint64_t hashes[KEYS];
    bool in[KEYS];
    uint32_t count;
};

static bool key_equal(const void *owner, uint32_t slot, struct slice key)
{
    const struct model *model = owner;
    assert_true(slot < KEYS && key.size == sizeof model->keys[slot]);
    return memcmp(&model->keys[slot], key.data, key.size) == 0;
}

static uint32_t find(const struct table *table, const struct model *model, uint32_t slot)
{
    struct slice key = {(const uint8_t *)&model->keys[slot], sizeof model->keys[slot]};
    return table_find(table, model->hashes[slot], key, key_equal, model);
}

static void model_init(struct model *model, struct rng *rng, unsigned hash_bits)
{
    memset(model, 0, sizeof *model);
    for (uint32_t i = 0; i < KEYS; i++) {
        model->keys[i] = i;
        model->hashes[i] = (rng_next(rng) >> (64 - hash_bits)) << 32;
    }
}

static void flip_one(struct table *table, struct model *model, uint32_t slot)
{
    if (model->in[slot]) {
        table_remove(table, model->hashes[slot], slot);
        model->count--;
    } else {
        assert_int_equal(table_insert(table, model->hashes[slot], slot), STATUS_OK);
        model->count++;
    }
    model->in[slot] = !model->in[slot];
}

/* `hash_bits`: few bits mean many equal hashes and long runs that wrap around. */
static void agree_with_the_model(struct rng *rng, unsigned hash_bits, uint32_t keys)
{
    static struct model model;
    struct table table;
    model_init(&model, rng, hash_bits);
    table_init(&table, KEYS);

    for (unsigned i = 0; i < 20 * keys; i++) {
        flip_one(&table, &model, (uint32_t)rng_below(rng, keys));
        assert_int_equal(table.count, model.count);
        uint32_t other = (uint32_t)rng_below(rng, keys);
        assert_int_equal(find(&table, &model, other), model.in[other] ? other : TABLE_NONE);
        uint32_t guess = table_guess(&table, model.hashes[other]);
        assert_true(guess == TABLE_NONE ? !model.in[other]
                                        : model.hashes[guess] == model.hashes[other]);
    }
    for (uint32_t i = 0; i < keys; i++)
        assert_int_equal(find(&table, &model, i), model.in[i] ? i : TABLE_NONE);
    assert_true((uint64_t)table.count * 10 <= (uint64_t)table.bucket_count * 7);
    table_fini(&table);
}

static void agrees_with_a_naive_model_on_random_operations(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 4);
    for (uint64_t i = 0; i < rounds; i++) {
        agree_with_the_model(&rng, 32, KEYS);
        agree_with_the_model(&rng, 32, 11);
        agree_with_the_model(&rng, 4, 100);
        agree_with_the_model(&rng, 3, 11);
        agree_with_the_model(&rng, 1, 60);
    }
}

static void finds_nothing_before_anything_was_entered(void **state)
{
    (void)state;
    struct table table;
    static struct model model;
    table_init(&table, 10);

    assert_int_equal(find(&table, &model, 0), TABLE_NONE);
    table_prefetch(&table, 7);
    table_fini(&table);
}

static void refuses_an_entry_above_its_limit(void **state)
{
    (void)state;
    struct table table;
    table_init(&table, 2);

    assert_int_equal(table_insert(&table, 1, 0), STATUS_OK);
    assert_int_equal(table_insert(&table, 2, 1), STATUS_OK);
    assert_int_equal(table_insert(&table, 3, 2), STATUS_FULL);
    table_remove(&table, 1, 0);
    assert_int_equal(table_insert(&table, 3, 2), STATUS_OK);
    table_fini(&table);
}

static void keeps_runs_whole_that_wrap_around_the_end(void **state)
{
    (void)state;
    struct table table;
    static struct model model;
    memset(&model, 0, sizeof model);
    table_init(&table, KEYS);
    /* Sixteen buckets; homes 14, 14, 15, 15, 0, 1: they stand in 14, 15, 0, 1, 2, 3. */
    const uint64_t homes[] = {14, 14, 15, 15, 0, 1};
    for (uint32_t i = 0; i < 6; i++) {
        model.keys[i] = i;
        model.hashes[i] = homes[i] << 32;
        assert_int_equal(table_insert(&table, model.hashes[i], i), STATUS_OK);
    }
    assert_int_equal(table.bucket_count, 16);

    table_remove(&table, model.hashes[0], 0);

    const uint32_t slots[] = {2, 3, 4, 5};
    assert_int_equal(table.buckets[14].slot, 1);
    assert_int_equal(table.buckets[15].slot, slots[0]);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(table.buckets[i].slot, slots[i + 1]);
    assert_int_equal(table.buckets[3].slot, TABLE_NONE);
    table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_model_on_random_operations),
        cmocka_unit_test(finds_nothing_before_anything_was_entered),
        cmocka_unit_test(refuses_an_entry_above_its_limit),
        cmocka_unit_test(keeps_runs_whole_that_wrap_around_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
