#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "projector/http/samples.h"

enum { TEXT_BYTES_MAX = SAMPLES_MAX * 1024 };

static struct samples *begin(void)
{
    struct samples *samples = calloc(1, sizeof *samples);
    assert_non_null(samples);
    return samples;
}

static void add(struct samples *samples, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t event_id = samples->last_number + 1001;
        samples_add(samples, (struct sample){.event_id = event_id, .processor_up = true});
    }
}

/* The text as JSON; the caller ends it. */
static struct buffer written(const struct samples *samples, uint64_t after)
{
    struct buffer text;
    buffer_init(&text, TEXT_BYTES_MAX);
    samples_write(samples, after, &text);
    buffer_append(&text, "", 1);
    assert_int_equal(text.status, STATUS_OK);
    return text;
}

/* The numbers of the samples written are `first` … `last`, in order. */
static void expect_numbers(const struct samples *samples, uint64_t after, uint64_t first,
                           uint64_t last)
{
    struct buffer text = written(samples, after);
    const char *at = (const char *)text.data;
    for (uint64_t number = first; number <= last; number++) {
        char member[64];
        snprintf(member, sizeof member, "{\"number\":%ju,", (uintmax_t)number);
        at = strstr(at, "{\"number\":");
        assert_non_null(at);
        assert_memory_equal(at, member, strlen(member));
        at++;
    }
    assert_null(strstr(at, "{\"number\":"));
    buffer_fini(&text);
}

static void there_is_none_at_first(void **state)
{
    (void)state;
    struct samples *samples = begin();
    assert_int_equal(samples_last(samples).number, 0);
    struct buffer text = written(samples, 0);
    assert_string_equal((const char *)text.data, "{\"samples\":[]}\n");
    buffer_fini(&text);
    free(samples);
}

static void a_sample_says_all_it_has(void **state)
{
    (void)state;
    struct samples *samples = begin();
    struct sample sample = {.time_ns = 1700000000000000001,
                            .event_id = 18446744073709551615ULL,
                            .lag = 3,
                            .accepted_per_s = 1234.56,
                            .p50_ns = 250000,
                            .p99_ns = 1500,
                            .processor_up = true};
    sample.refused_per_s[REASON_RATE_LIMITED] = 2;
    sample.refused_per_s[REASON_INVALID] = 0.25;
    samples_add(samples, sample);
    samples_add(samples, (struct sample){.time_ns = 5});
    struct buffer text = written(samples, 0);
    const char *first =
        "{\"samples\":[\n{\"number\":1,\"time\":\"1700000000000000001\",\"event_id\":"
        "\"18446744073709551615\",\"lag\":3,\"processor_up\":true,"
        "\"accepted_per_s\":1234.6,\"p50_us\":250.0,\"p99_us\":1.5,"
        "\"refused_per_s\":{";
    const char *second = "},\n{\"number\":2,\"time\":\"5\",\"event_id\":\"0\",\"lag\":0,"
                         "\"processor_up\":false,\"accepted_per_s\":0.0,\"p50_us\":0.0,"
                         "\"p99_us\":0.0,\"refused_per_s\":{}}]}\n";
    assert_memory_equal(text.data, first, strlen(first));
    assert_non_null(strstr((const char *)text.data, second));
    assert_non_null(strstr((const char *)text.data, "\"rate_limited\":2.0"));
    assert_non_null(strstr((const char *)text.data, "\"invalid\":0.2"));
    buffer_fini(&text);
    free(samples);
}

static void only_newer_ones_are_written(void **state)
{
    (void)state;
    struct samples *samples = begin();
    add(samples, 5);
    expect_numbers(samples, 0, 1, 5);
    expect_numbers(samples, 3, 4, 5);
    expect_numbers(samples, 5, 6, 5);
    expect_numbers(samples, 99, 6, 5); /* of another run of the projector */
    expect_numbers(samples, UINT64_MAX, 6, 5);
    free(samples);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    struct samples *samples = begin();
    add(samples, SAMPLES_MAX);
    expect_numbers(samples, 0, 1, SAMPLES_MAX);
    add(samples, 3);
    expect_numbers(samples, 0, 4, SAMPLES_MAX + 3);
    expect_numbers(samples, 2, 4, SAMPLES_MAX + 3);
    expect_numbers(samples, SAMPLES_MAX + 1, SAMPLES_MAX + 2, SAMPLES_MAX + 3);
    assert_int_equal(samples_last(samples).number, SAMPLES_MAX + 3);
    assert_int_equal(samples_last(samples).event_id, SAMPLES_MAX + 1003);
    free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_none_at_first),
        cmocka_unit_test(a_sample_says_all_it_has),
        cmocka_unit_test(only_newer_ones_are_written),
        cmocka_unit_test(the_oldest_go_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
