#include "producer/core/burst.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/submission.h"

static const struct injection_place place = {
    .source = {(const uint8_t *)"inject-0123", 11},
    .epoch = 2,
    .first_sequence = 50,
    .marker = {(const uint8_t *)"inject-0123.9", 13},
    .time_ns = 1,
};

/* Plans over `limits` (--limit items, NULL-terminated). */
static enum status plan_limits(const char *const *limits, struct burst *ret_burst)
{
    struct policy_set *set = calloc(1, sizeof *set);
    assert_non_null(set);
    for (; *limits != NULL; limits++)
        assert_int_equal(policy_set_add_limit(set, *limits, NULL), STATUS_OK);
    burst_init(ret_burst);
    struct detail detail;
    enum status status = burst_plan(set, &place, ret_burst, &detail);
    if (status != STATUS_OK)
        assert_true(strlen(detail.text) > 0);
    free(set);
    return status;
}

#define PLAN(ret_burst, ...) plan_limits((const char *const[]){__VA_ARGS__, NULL}, ret_burst)

static struct event event_of(const struct burst *burst)
{
    struct event event;
    struct mp_reader reader = mp_reader_of(buffer_slice(&burst->event));
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    assert_true(mp_at_end(&reader));
    return event;
}

static void goes_a_little_over_the_quota(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst, "\"per-source\";q=10;w=60;pk=source"), STATUS_OK);
    assert_int_equal(burst.fits, 10);
    assert_int_equal(burst.events, 10 + BURST_BEYOND);
    assert_int_equal(burst.window_ns, 60000000000ULL);
    assert_int_equal(burst.key, POLICY_KEY_SOURCE);
    assert_string_equal(burst.policy, "per-source");
    assert_true(slice_equal_text(event_of(&burst).type, BURST_TYPE));
    assert_true(slice_equal(event_of(&burst).subject, place.marker));
    burst_fini(&burst);
}

static void a_fixed_cost_counts(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst, "\"p\";q=100;w=60;pk=subject;cost=7"), STATUS_OK);
    assert_int_equal(burst.fits, 14);
    burst_fini(&burst);
}

static void fills_the_fields_that_policies_read(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst,
                          "\"p\";match=pay.*;q=1000000;w=60;pk=data.card.id;cost=data.amount",
                          "\"other\";q=50;w=60;pk=data.shop;cost=data.weight"),
                     STATUS_OK);
    assert_int_equal(burst.fits, 10);
    assert_string_equal(burst.policy, "other"); /* BURST_TYPE goes before other types */
    struct event event = event_of(&burst);
    struct mp_reader value;
    struct slice key;
    assert_int_equal(event_field(event.data, slice_of_text("shop"), &value), STATUS_OK);
    assert_int_equal(mp_read_text(&value, &key), STATUS_OK);
    assert_true(slice_equal(key, place.marker));
    burst_fini(&burst);
}

static void takes_a_type_from_the_policys_pattern(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst, "\"p\";match=pay.?-*;q=5;w=60;pk=data.card.id"), STATUS_OK);
    assert_true(slice_equal_text(event_of(&burst).type, "pay.x-inject"));
    burst_fini(&burst);
}

static void takes_the_policy_of_the_fewest_events(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(
        PLAN(&burst, "\"wide\";q=500;w=60;pk=source", "\"narrow\";q=20;w=60;pk=subject"),
        STATUS_OK);
    assert_string_equal(burst.policy, "narrow");
    assert_int_equal(burst.fits, 20);
    burst_fini(&burst);
}

static void what_others_share_is_spared(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst, "\"own\";q=20;w=60;pk=source", "\"all\";q=10000;w=60;pk=global"),
                     STATUS_OK);
    assert_string_equal(burst.policy, "own");
    burst_fini(&burst);
    assert_int_equal(PLAN(&burst, "\"own\";q=20;w=60;pk=source", "\"all\";q=100;w=60;pk=global"),
                     STATUS_NOT_FOUND);
    burst_fini(&burst);
}

static void finds_nothing_where_no_policy_can_be_exceeded_alone(void **state)
{
    (void)state;
    static const char *const limits[] = {
        "\"all\";q=10;w=60;pk=global",
        "\"large\";q=100000;w=60;pk=source",
        "\"short\";q=10;wms=999;pk=source",
        "\"shadow\";q=10;w=60;pk=source;mode=shadow",
        "\"free\";q=10;w=60;pk=source;cost=0",
        "\"type\";match=order.created;q=10;w=60;pk=type",
        "\"number\";q=10;w=60;pk=data.n;cost=data.n",
        "\"clash\";q=10;w=60;pk=data.a;cost=data.a.b",
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct burst burst;
        print_message("%s\n", limits[i]);
        assert_int_equal(PLAN(&burst, limits[i]), STATUS_NOT_FOUND);
        burst_fini(&burst);
    }
    struct burst burst;
    static const char *const none[] = {NULL};
    assert_int_equal(plan_limits(none, &burst), STATUS_NOT_FOUND);
    burst_fini(&burst);
}

static void parts_a_large_burst_into_good_submissions(void **state)
{
    (void)state;
    struct burst burst;
    assert_int_equal(PLAN(&burst, "\"p\";q=15000;w=60;pk=source"), STATUS_OK);
    struct buffer bytes;
    buffer_init(&bytes, INJECTION_BYTES_MAX);
    struct injection_place at = place;
    uint64_t left = burst.events;
    while (left > 0) {
        buffer_clear(&bytes);
        uint32_t events = burst_build(&burst, &at, left, &bytes);
        assert_in_range(events, 1, SUBMISSION_EVENTS_MAX);
        assert_true(bytes.size <= SUBMISSION_BYTES_MAX);
        struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
        struct submission_header header;
        assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
        assert_int_equal(header.count, events);
        assert_int_equal(header.first_sequence, at.first_sequence);
        assert_int_equal(reader.end - reader.at, events * burst.event.size);
        at.first_sequence += events;
        left -= events;
    }
    assert_int_equal(at.first_sequence, place.first_sequence + burst.events);
    buffer_fini(&bytes);
    burst_fini(&burst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_a_little_over_the_quota),
        cmocka_unit_test(a_fixed_cost_counts),
        cmocka_unit_test(fills_the_fields_that_policies_read),
        cmocka_unit_test(takes_a_type_from_the_policys_pattern),
        cmocka_unit_test(takes_the_policy_of_the_fewest_events),
        cmocka_unit_test(what_others_share_is_spared),
        cmocka_unit_test(finds_nothing_where_no_policy_can_be_exceeded_alone),
        cmocka_unit_test(parts_a_large_burst_into_good_submissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
