#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "processor/core/limiter.h"

static const struct hash_seed seed = {.bytes = {7}};

static struct policy policy(uint64_t quota, uint64_t window_ns)
{
    return (struct policy){
        .quota = quota, .window_ns = window_ns, .keys_max = 1000, .units_max = 1000000};
}

static struct limiter limiter_of(const struct policy *p)
{
    struct limiter limiter;
    limiter_init(&limiter, p);
    return limiter;
}

static struct candidate_charge charge_of(struct policy_key_value key, uint64_t cost)
{
    struct candidate_charge charge;
    struct charge spends = {.key = key, .cost = cost};
    limiter_charge_init(&charge, &seed, 0, &spends);
    return charge;
}

static struct candidate_charge text(const char *key, uint64_t cost)
{
    return charge_of((struct policy_key_value){.text = slice_of_text(key), .is_text = true}, cost);
}

static void at(struct limiter *limiter, uint64_t now_ns)
{
    assert_int_equal(limiter_expire(limiter, now_ns), STATUS_OK);
}

static void spend(struct limiter *limiter, const struct candidate_charge *charge)
{
    struct assay assay = limiter_assay(limiter, charge);
    assert_true(assay_fits(&assay));
    assert_int_equal(limiter_spend(limiter, charge, assay.slot), STATUS_OK);
}

static uint64_t wait(const struct limiter *limiter, struct candidate_charge charge)
{
    return limiter_assay(limiter, &charge).wait_ns;
}

static void refuses_one_more_than_the_quota_until_the_window_has_passed(void **unused)
{
    (void)unused;
    struct policy p = policy(2, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    at(&limiter, 50);
    spend(&limiter, &alice);
    assert_int_equal(wait(&limiter, alice), 60);
    at(&limiter, 109);
    assert_int_equal(wait(&limiter, alice), 1);
    at(&limiter, 110);
    spend(&limiter, &alice);
    assert_int_equal(wait(&limiter, alice), 40);
    limiter_fini(&limiter);
}

static void keys_do_not_share_a_window(void **unused)
{
    (void)unused;
    struct policy p = policy(1, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 1), bob = text("bob", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    spend(&limiter, &bob);
    assert_int_equal(wait(&limiter, alice), 100);
    assert_int_equal(wait(&limiter, bob), 100);
    assert_int_equal(wait(&limiter, text("", 1)), 0);
    limiter_fini(&limiter);
}

static void a_text_and_an_integer_and_its_negative_twin_are_different_keys(void **unused)
{
    (void)unused;
    struct policy p = policy(1, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge keys[] = {
        text("5", 1),
        text("\x05", 1),
        charge_of((struct policy_key_value){.bits = 5}, 1),
        charge_of((struct policy_key_value){.bits = UINT64_MAX}, 1),
        charge_of((struct policy_key_value){.bits = UINT64_MAX, .is_negative = true}, 1),
    };
    at(&limiter, 10);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        spend(&limiter, &keys[i]);
    assert_int_equal(limiter.keys_live, 5);
    limiter_fini(&limiter);
}

static void keys_of_every_length_are_found_again(void **unused)
{
    (void)unused;
    struct policy p = policy(1, 100);
    struct limiter limiter = limiter_of(&p);
    char key[POLICY_KEY_BYTES_MAX + 1];
    for (uint64_t round = 0; round < 3; round++) {
        at(&limiter, round * 100);
        for (size_t size = 0; size <= POLICY_KEY_BYTES_MAX; size++) {
            memset(key, 'x', size);
            key[size] = '\0';
            struct candidate_charge charge = text(key, 1);
            spend(&limiter, &charge);
            assert_int_equal(wait(&limiter, charge), 100);
        }
        assert_int_equal(limiter.keys_live, POLICY_KEY_BYTES_MAX + 1);
    }
    limiter_fini(&limiter);
}

static void a_cost_above_the_quota_never_fits(void **unused)
{
    (void)unused;
    struct policy p = policy(3, 100);
    struct limiter limiter = limiter_of(&p);
    at(&limiter, 10);
    assert_int_equal(wait(&limiter, text("alice", 3)), 0);
    assert_true(wait(&limiter, text("alice", 4)) == WINDOW_NEVER);
    assert_true(wait(&limiter, text("alice", UINT64_MAX)) == WINDOW_NEVER);
    limiter_fini(&limiter);
}

static void a_cost_of_0_fits_a_full_window_and_a_full_policy(void **unused)
{
    (void)unused;
    struct policy p = policy(1, 100);
    p.keys_max = 1;
    p.units_max = 1;
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    struct candidate_charge free_ones[] = {text("alice", 0), text("bob", 0)};
    for (size_t i = 0; i < 2; i++) {
        struct assay assay = limiter_assay(&limiter, &free_ones[i]);
        assert_true(assay_fits(&assay));
    }
    limiter_fini(&limiter);
}

static void costs_recorded_above_the_quota_fill_the_window_and_do_not_overflow(void **unused)
{
    (void)unused;
    struct policy p = policy(10, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge huge = text("alice", UINT64_MAX);
    at(&limiter, 10);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(limiter_spend(&limiter, &huge, TABLE_NONE), STATUS_OK);
    assert_int_equal(wait(&limiter, text("alice", 1)), 100);
    at(&limiter, 110);
    assert_int_equal(limiter.keys_live, 0);
    limiter_fini(&limiter);
}

static void a_sum_past_64_bits_is_too_large(void **unused)
{
    (void)unused;
    struct policy p = policy(POLICY_QUOTA_MAX, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge huge = text("alice", UINT64_MAX);
    at(&limiter, 10);
    assert_int_equal(limiter_spend(&limiter, &huge, TABLE_NONE), STATUS_OK);
    assert_int_equal(limiter_spend(&limiter, &huge, TABLE_NONE), STATUS_OK);
    assert_int_equal(limiter_spend(&limiter, &huge, TABLE_NONE), STATUS_TOO_LARGE);
    limiter_fini(&limiter);
}

/* ---- caps ---- */

static void a_new_key_at_the_cap_has_no_room_until_a_live_one_ends(void **unused)
{
    (void)unused;
    struct policy p = policy(5, 100);
    p.keys_max = 2;
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 1), bob = text("bob", 1),
                            carol = text("carol", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    at(&limiter, 20);
    spend(&limiter, &bob);
    at(&limiter, 30);
    spend(&limiter, &alice);
    assert_int_equal(limiter_assay(&limiter, &carol).room, LIMITER_KEYS_FULL);
    assert_int_equal(limiter_assay(&limiter, &bob).room, LIMITER_ROOM);
    at(&limiter, 119);
    assert_int_equal(limiter_assay(&limiter, &carol).room, LIMITER_KEYS_FULL);
    at(&limiter, 120);
    assert_int_equal(limiter.keys_live, 1);
    spend(&limiter, &carol);
    assert_int_equal(wait(&limiter, text("alice", 5)), 10);
    limiter_fini(&limiter);
}

static void acceptances_at_the_cap_have_no_room_until_the_oldest_ends(void **unused)
{
    (void)unused;
    struct policy p = policy(100, 100);
    p.units_max = 3;
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 10), bob = text("bob", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    spend(&limiter, &bob);
    at(&limiter, 20);
    spend(&limiter, &alice);
    assert_int_equal(limiter_units(&limiter), 3);
    assert_int_equal(limiter_assay(&limiter, &bob).room, LIMITER_UNITS_FULL);
    at(&limiter, 109);
    assert_int_equal(limiter_assay(&limiter, &alice).room, LIMITER_UNITS_FULL);
    at(&limiter, 110);
    assert_int_equal(limiter_units(&limiter), 1);
    spend(&limiter, &bob);
    limiter_fini(&limiter);
}

/* ---- live keys against a plain count ---- */

enum { KEYS = 300 };

static void counts_live_keys_as_a_plain_list_does(void **unused)
{
    (void)unused;
    struct rng rng;
    rng_init(&rng, 11);
    struct policy p = policy(1000000, 5000);
    struct limiter limiter = limiter_of(&p);
    uint64_t newest_ns[KEYS] = {0}, now_ns = 10000;
    for (unsigned i = 0; i < 60000; i++) {
        now_ns += rng_below(&rng, 60) * (rng_below(&rng, 50) == 0 ? 100 : 1);
        at(&limiter, now_ns);
        uint32_t live = 0;
        for (unsigned k = 0; k < KEYS; k++)
            live += newest_ns[k] != 0 && newest_ns[k] + p.window_ns > now_ns;
        assert_int_equal(limiter.keys_live, live);
        assert_int_equal(limiter.table.count, live);
        uint64_t k = rng_below(&rng, rng_below(&rng, KEYS) + 1);
        char name[64];
        snprintf(name, sizeof name, "%s-%llu",
                 k % 2 == 0 ? "key" : "a-key-that-does-not-fit-a-slot-inline",
                 (unsigned long long)k);
        struct candidate_charge charge = text(name, 1 + k % 3);
        spend(&limiter, &charge);
        newest_ns[k] = now_ns;
    }
    limiter_fini(&limiter);
}

static void stale_hints_do_no_harm(void **unused)
{
    (void)unused;
    struct policy p = policy(1, 100);
    struct limiter limiter = limiter_of(&p);
    struct candidate_charge alice = text("alice", 1), bob = text("bob", 1);
    at(&limiter, 10);
    spend(&limiter, &alice);
    limiter_prefetch_bucket(&limiter, &alice);
    limiter_prefetch_slot(&limiter, &alice);
    limiter_prefetch_window(&limiter, &alice);
    at(&limiter, 110); /* alice is forgotten, and bob gets her slot */
    assert_int_equal(wait(&limiter, alice), 0);
    spend(&limiter, &bob);
    assert_int_equal(wait(&limiter, alice), 0);
    assert_int_equal(limiter_assay(&limiter, &alice).slot, TABLE_NONE);
    bob.slot_hint = 12345;
    assert_int_equal(wait(&limiter, bob), 100);
    limiter_trim(&limiter, &bob);
    assert_int_equal(wait(&limiter, bob), 100);
    limiter_fini(&limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_one_more_than_the_quota_until_the_window_has_passed),
        cmocka_unit_test(keys_do_not_share_a_window),
        cmocka_unit_test(a_text_and_an_integer_and_its_negative_twin_are_different_keys),
        cmocka_unit_test(keys_of_every_length_are_found_again),
        cmocka_unit_test(a_cost_above_the_quota_never_fits),
        cmocka_unit_test(a_cost_of_0_fits_a_full_window_and_a_full_policy),
        cmocka_unit_test(costs_recorded_above_the_quota_fill_the_window_and_do_not_overflow),
        cmocka_unit_test(a_sum_past_64_bits_is_too_large),
        cmocka_unit_test(a_new_key_at_the_cap_has_no_room_until_a_live_one_ends),
        cmocka_unit_test(acceptances_at_the_cap_have_no_room_until_the_oldest_ends),
        cmocka_unit_test(counts_live_keys_as_a_plain_list_does),
        cmocka_unit_test(stale_hints_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
