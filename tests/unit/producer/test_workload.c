#include "producer/core/workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/base/hash.h"
#include "common/event/event.h"

#define TIME_NS 1767323045000000006ULL /* 2026-01-02T03:04:05.000000006Z */

enum { EVENTS = 20000, STREAM_BYTES = EVENTS * WORKLOAD_EVENT_BYTES_MAX };

/* `events` events one after another; the caller frees `data`. */
static struct slice stream_of(struct workload_options options, unsigned events)
{
    struct workload *workload = NULL;
    assert_int_equal(workload_new(&options, &workload), STATUS_OK);
    uint8_t *bytes = malloc(STREAM_BYTES);
    assert_non_null(bytes);
    uint8_t *at = bytes;
    for (unsigned i = 0; i < events; i++)
        at = workload_put(workload, at, TIME_NS + i);
    workload_destroy(&workload);
    return (struct slice){bytes, (size_t)(at - bytes)};
}

static void free_stream(struct slice stream)
{
    free((void *)(uintptr_t)stream.data);
}

static struct slice text_field(const struct event *event, const char *name)
{
    struct mp_reader value;
    struct slice text;
    assert_int_equal(event_field(event->data, slice_of_text(name), &value), STATUS_OK);
    assert_int_equal(mp_read_text(&value, &text), STATUS_OK);
    return text;
}

static uint64_t uint_field(const struct event *event, const char *name)
{
    struct mp_reader value;
    uint64_t number;
    assert_int_equal(event_field(event->data, slice_of_text(name), &value), STATUS_OK);
    assert_int_equal(mp_read_uint(&value, &number), STATUS_OK);
    return number;
}

static unsigned number_of(struct slice subject)
{
    unsigned number = 0;
    for (size_t i = 0; i < subject.size; i++)
        if (subject.data[i] >= '0' && subject.data[i] <= '9')
            number = number * 10 + (unsigned)(subject.data[i] - '0');
    return number;
}

static bool begins_with(struct slice text, const char *prefix)
{
    return text.size >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static void makes_the_same_bytes_from_the_same_seed(void **state)
{
    (void)state;
    struct workload_options options = {.seed = 5, .subjects = 1000, .bursts = true};
    struct slice first = stream_of(options, EVENTS);
    struct slice second = stream_of(options, EVENTS);
    options.seed = 6;
    struct slice other = stream_of(options, EVENTS);
    assert_true(slice_equal(first, second));
    assert_false(slice_equal(first, other));
    free_stream(first);
    free_stream(second);
    free_stream(other);
}

static void makes_the_bytes_that_it_always_made(void **state)
{
    (void)state;
    static const char first[] = "\x95\xcf\x18\x86\xca\xf2\x1c\x96\x32\x06"
                                "\xad"
                                "order.created"
                                "\xab"
                                "order-00702"
                                "\x01\x84"
                                "\xa6"
                                "status"
                                "\xa7"
                                "pending"
                                "\xac"
                                "amount_minor"
                                "\xcd\x4e\x18"
                                "\xa8"
                                "currency"
                                "\xa3"
                                "EUR"
                                "\xa4"
                                "user"
                                "\xaa"
                                "user-00969";
    struct slice stream = stream_of((struct workload_options){.seed = 1, .subjects = 1000}, 1000);
    assert_memory_equal(stream.data, first, sizeof first - 1);
    assert_true(hash_content(0, stream.data, stream.size) == 0x53bc176e98b71ec6ULL);
    free_stream(stream);
}

static void makes_events_that_pass_the_check_for_any_number_of_subjects(void **state)
{
    (void)state;
    static const uint32_t subjects[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 100, 99999, 100001, 12345678};
    for (unsigned i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct workload_options options = {
            .seed = i, .subjects = subjects[i], .bursts = i % 2 == 1};
        struct slice stream = stream_of(options, EVENTS);
        struct mp_reader reader = mp_reader_of(stream);
        for (unsigned n = 0; n < EVENTS; n++) {
            struct event event;
            struct detail detail = {{0}};
            enum status status = event_read(&reader, &event, NULL, &detail);
            assert_string_equal(detail.text, "");
            assert_int_equal(status, STATUS_OK);
            assert_true(event.occurred_at_ns == TIME_NS + n);
            assert_true(event.raw.size <= WORKLOAD_EVENT_BYTES_MAX);
        }
        assert_true(mp_at_end(&reader));
        free_stream(stream);
    }
}

static void makes_events_of_about_a_hundred_bytes(void **state)
{
    (void)state;
    struct slice stream = stream_of((struct workload_options){.seed = 1, .subjects = 1000}, EVENTS);
    assert_in_range(stream.size / EVENTS, 80, 120);
    free_stream(stream);
}

struct order {
    uint64_t amount_minor;
    struct slice currency, user, status;
};

/* What may follow what, written as a person would. */
static bool may_follow(struct slice before, struct slice after)
{
    bool ended = before.size == 0 || slice_equal_text(before, "shipped") ||
                 slice_equal_text(before, "cancelled");
    if (slice_equal_text(after, "pending"))
        return ended;
    if (slice_equal_text(after, "confirmed"))
        return slice_equal_text(before, "pending");
    if (slice_equal_text(after, "shipped"))
        return slice_equal_text(before, "confirmed");
    return slice_equal_text(after, "cancelled") && !ended;
}

static void check_order(struct order *order, const struct event *event)
{
    struct slice status = text_field(event, "status");
    struct order now = {uint_field(event, "amount_minor"), text_field(event, "currency"),
                        text_field(event, "user"), status};
    assert_true(may_follow(order->status, status));
    if (order->status.size > 0) {
        assert_int_equal(now.amount_minor, order->amount_minor);
        assert_true(slice_equal(now.currency, order->currency));
        assert_true(slice_equal(now.user, order->user));
    }
    assert_true(slice_equal_text(status, "pending") ==
                slice_equal_text(event->type, "order.created"));
    *order = now;
}

static void tells_a_story_that_makes_sense_for_each_subject(void **state)
{
    (void)state;
    enum { SUBJECTS = 200 };
    struct slice stream =
        stream_of((struct workload_options){.seed = 3, .subjects = SUBJECTS}, EVENTS);
    struct order orders[SUBJECTS] = {0};
    int64_t stock[SUBJECTS] = {0};
    bool registered[SUBJECTS] = {false};
    struct mp_reader reader = mp_reader_of(stream);
    while (!mp_at_end(&reader)) {
        struct event event;
        assert_int_equal(event_read_stored(&reader, &event), STATUS_OK);
        unsigned number = number_of(event.subject);
        assert_true(number < SUBJECTS);
        if (begins_with(event.type, "order.")) {
            check_order(&orders[number], &event);
        } else if (begins_with(event.type, "inventory.")) {
            int64_t quantity = (int64_t)uint_field(&event, "quantity");
            bool added = slice_equal_text(event.type, "inventory.stock_added");
            stock[number] += added ? quantity : -quantity;
            assert_true(stock[number] >= 0);
        } else if (begins_with(event.type, "user.")) {
            assert_true(registered[number] != slice_equal_text(event.type, "user.registered"));
            registered[number] = true;
        } else {
            assert_true(slice_equal_text(event.type, "payment.processed"));
            unsigned order = number_of(text_field(&event, "order"));
            if (orders[order].status.size > 0)
                assert_int_equal(uint_field(&event, "amount_minor"), orders[order].amount_minor);
        }
    }
    free_stream(stream);
}

/* The largest number of events that one subject has among any 64 in a row, from the first on. */
static unsigned densest(struct slice stream, uint32_t subjects)
{
    enum { WINDOW = 64 };
    unsigned *counts = calloc(subjects, sizeof *counts);
    unsigned *recent = calloc(WINDOW, sizeof *recent);
    assert_true(counts != NULL && recent != NULL);
    unsigned most = 0;
    struct mp_reader reader = mp_reader_of(stream);
    for (unsigned n = 0; !mp_at_end(&reader); n++) {
        struct event event;
        assert_int_equal(event_read_stored(&reader, &event), STATUS_OK);
        if (n >= WINDOW)
            counts[recent[n % WINDOW]]--;
        recent[n % WINDOW] = number_of(event.subject);
        unsigned count = ++counts[recent[n % WINDOW]];
        most = count > most ? count : most;
    }
    free(counts);
    free(recent);
    return most;
}

static void makes_some_subjects_bursty_when_asked(void **state)
{
    (void)state;
    struct workload_options options = {.seed = 1, .subjects = 10000};
    struct slice even = stream_of(options, EVENTS);
    options.bursts = true;
    struct slice bursty = stream_of(options, EVENTS);
    assert_true(densest(even, options.subjects) <= 4);
    assert_true(densest(bursty, options.subjects) >= 32);
    free_stream(even);
    free_stream(bursty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_same_bytes_from_the_same_seed),
        cmocka_unit_test(makes_the_bytes_that_it_always_made),
        cmocka_unit_test(makes_events_that_pass_the_check_for_any_number_of_subjects),
        cmocka_unit_test(makes_events_of_about_a_hundred_bytes),
        cmocka_unit_test(tells_a_story_that_makes_sense_for_each_subject),
        cmocka_unit_test(makes_some_subjects_bursty_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
