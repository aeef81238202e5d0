/* What an event spends under a policy: which events match, its key and its cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/policy/policy.h"

/* ---- match ---- */

static void matches_by_a_glob_over_the_type(void **unused)
{
    (void)unused;
    struct policy policy = {.match = "order.*"};
    assert_true(policy_matches(&policy, slice_of_text("order.created")));
    assert_false(policy_matches(&policy, slice_of_text("orders")));
}

static void never_matches_our_own_types(void **unused)
{
    (void)unused;
    struct policy policy = {.match = "*"};
    assert_false(policy_matches(&policy, slice_of_text("weir.policy_changed")));
    assert_false(policy_matches(&policy, slice_of_text("weir")));
    assert_true(policy_matches(&policy, slice_of_text("wei")));
    assert_true(policy_matches(&policy, slice_of_text("order.weir")));
}

/* ---- charges ---- */

struct fixture {
    struct buffer data;
    struct event event;
    struct policy policy;
};

static struct fixture fixture(enum policy_key key, const char *key_field, const char *cost_field)
{
    struct fixture f = {
        .event = {.type = slice_of_text("order.created"), .subject = slice_of_text("order-1")},
        .policy = {.name = "per-user", .match = "*", .key = key, .cost = 7},
    };
    strcpy(f.policy.key_field, key_field);
    strcpy(f.policy.cost_field, cost_field);
    buffer_init(&f.data, 4096);
    return f;
}

static enum status charge(struct fixture *f, struct charge *ret_charge, struct detail *ret_detail)
{
    assert_int_equal(f->data.status, STATUS_OK);
    f->event.data = buffer_slice(&f->data);
    return policy_charge(&f->policy, slice_of_text("shop-1"), &f->event, ret_charge, ret_detail);
}

static void expect_text_key(enum policy_key key, const char *text)
{
    struct fixture f = fixture(key, "", "");
    struct charge charged;
    codec_map(&f.data, 0);
    assert_int_equal(charge(&f, &charged, NULL), STATUS_OK);
    assert_true(charged.key.is_text);
    assert_true(slice_equal_text(charged.key.text, text));
    assert_int_equal(charged.cost, 7);
    buffer_fini(&f.data);
}

static void keys_come_from_the_envelope(void **unused)
{
    (void)unused;
    expect_text_key(POLICY_KEY_SOURCE, "shop-1");
    expect_text_key(POLICY_KEY_SUBJECT, "order-1");
    expect_text_key(POLICY_KEY_TYPE, "order.created");
    expect_text_key(POLICY_KEY_GLOBAL, "global");
}

/* data = {"card": {"user": KEY}} with KEY written by `write`. */
static enum status charge_key(void (*write)(struct buffer *buffer), struct charge *ret_charge,
                              struct detail *ret_detail)
{
    static uint8_t kept[4096]; /* the charge borrows it */
    struct fixture f = fixture(POLICY_KEY_FIELD, "card.user", "");
    codec_map(&f.data, 1);
    codec_text(&f.data, "card");
    codec_map(&f.data, 1);
    codec_text(&f.data, "user");
    write(&f.data);
    assert_int_equal(f.data.status, STATUS_OK);
    memcpy(kept, f.data.data, f.data.size);
    f.event.data = (struct slice){.data = kept, .size = f.data.size};
    buffer_fini(&f.data);
    return policy_charge(&f.policy, slice_of_text("shop-1"), &f.event, ret_charge, ret_detail);
}

static void write_alice(struct buffer *buffer)
{
    codec_text(buffer, "alice");
}

static void write_empty(struct buffer *buffer)
{
    codec_text(buffer, "");
}

static void write_seven(struct buffer *buffer)
{
    codec_uint(buffer, 7);
}

static void write_largest(struct buffer *buffer)
{
    codec_uint(buffer, UINT64_MAX);
}

static void write_minus_seven(struct buffer *buffer)
{
    codec_int(buffer, -7);
}

static void write_nil(struct buffer *buffer)
{
    codec_nil(buffer);
}

static void write_float(struct buffer *buffer)
{
    codec_float(buffer, 7.0);
}

static void write_text_of(struct buffer *buffer, size_t size)
{
    char text[256] = {0};
    memset(text, 'x', size);
    codec_text(buffer, text);
}

static void write_128_bytes(struct buffer *buffer)
{
    write_text_of(buffer, 128);
}

static void write_129_bytes(struct buffer *buffer)
{
    write_text_of(buffer, 129);
}

static void keys_from_data_are_texts_or_integers_and_stay_what_they_are(void **unused)
{
    (void)unused;
    static const struct {
        void (*write)(struct buffer *buffer);
        const char *written;
        size_t size;
    } keys[] = {
        {write_alice,
         "\xa5"
         "alice",
         6},
        {write_empty, "\xa0", 1},
        {write_seven, "\x07", 1},
        {write_minus_seven, "\xf9", 1},
        {write_largest, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct charge charged;
        struct buffer written;
        buffer_init(&written, 256);
        assert_int_equal(charge_key(keys[i].write, &charged, NULL), STATUS_OK);
        policy_key_write(&charged.key, &written);
        assert_int_equal(written.size, keys[i].size);
        assert_memory_equal(written.data, keys[i].written, keys[i].size);
        buffer_fini(&written);
    }
}

static void a_key_of_128_bytes_is_the_longest(void **unused)
{
    (void)unused;
    struct charge charged;
    struct detail detail;
    assert_int_equal(charge_key(write_128_bytes, &charged, &detail), STATUS_OK);
    assert_int_equal(charged.key.text.size, 128);
    assert_int_equal(charge_key(write_129_bytes, &charged, &detail), STATUS_INVALID);
    assert_string_equal(detail.text, "policy per-user: data.card.user is longer than 128 bytes");
}

static void a_key_of_another_type_is_invalid(void **unused)
{
    (void)unused;
    struct charge charged;
    struct detail detail;
    assert_int_equal(charge_key(write_nil, &charged, &detail), STATUS_INVALID);
    assert_string_equal(detail.text,
                        "policy per-user: data.card.user is neither a string nor an integer");
    assert_int_equal(charge_key(write_float, &charged, &detail), STATUS_INVALID);
}

static void a_missing_key_is_invalid_and_named(void **unused)
{
    (void)unused;
    struct fixture f = fixture(POLICY_KEY_FIELD, "user", "");
    struct charge charged;
    struct detail detail;
    codec_map(&f.data, 0);
    assert_int_equal(charge(&f, &charged, &detail), STATUS_INVALID);
    assert_string_equal(detail.text, "policy per-user: data.user is missing");
    buffer_fini(&f.data);
}

static void expect_cost(void (*write)(struct buffer *buffer), enum status status, uint64_t cost)
{
    struct fixture f = fixture(POLICY_KEY_GLOBAL, "", "amount");
    struct charge charged = {.cost = 0};
    struct detail detail;
    codec_map(&f.data, 1);
    codec_text(&f.data, "amount");
    write(&f.data);
    assert_int_equal(charge(&f, &charged, &detail), status);
    if (status == STATUS_OK)
        assert_true(charged.cost == cost);
    else
        assert_string_equal(detail.text,
                            "policy per-user: data.amount is not an integer from 0 on");
    buffer_fini(&f.data);
}

static void write_zero(struct buffer *buffer)
{
    codec_uint(buffer, 0);
}

static void costs_from_data_are_integers_from_0_on(void **unused)
{
    (void)unused;
    expect_cost(write_zero, STATUS_OK, 0);
    expect_cost(write_seven, STATUS_OK, 7);
    expect_cost(write_largest, STATUS_OK, UINT64_MAX);
    expect_cost(write_minus_seven, STATUS_INVALID, 0);
    expect_cost(write_float, STATUS_INVALID, 0);
    expect_cost(write_alice, STATUS_INVALID, 0);
    expect_cost(write_nil, STATUS_INVALID, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_by_a_glob_over_the_type),
        cmocka_unit_test(never_matches_our_own_types),
        cmocka_unit_test(keys_come_from_the_envelope),
        cmocka_unit_test(keys_from_data_are_texts_or_integers_and_stay_what_they_are),
        cmocka_unit_test(a_key_of_128_bytes_is_the_longest),
        cmocka_unit_test(a_key_of_another_type_is_invalid),
        cmocka_unit_test(a_missing_key_is_invalid_and_named),
        cmocka_unit_test(costs_from_data_are_integers_from_0_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
