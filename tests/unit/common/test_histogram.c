#include "common/base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/lib/seed.h"

static struct histogram *new_histogram(void)
{
    struct histogram *histogram;
    assert_int_equal(histogram_new(&histogram), STATUS_OK);
    return histogram;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* The rank that the header promises: ceil (n × per_million / 1,000,000), at least 1. */
static uint64_t exact_percentile(const uint64_t *sorted, uint64_t count, uint64_t per_million)
{
    uint64_t rank = (count * per_million + 999999) / 1000000;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void agrees_with_sorting_within_three_digits(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    static const uint64_t per_million[] = {0,      1,      250000, 500000, 900000,
                                           990000, 999000, 999900, 999999, 1000000};
    for (unsigned round = 0; round < 40; round++) {
        uint64_t count = 1 + rng_below(&rng, 20000);
        unsigned shift = (unsigned)rng_below(&rng, 42);
        uint64_t *values = malloc(count * sizeof *values);
        assert_non_null(values);
        struct histogram *histogram = new_histogram();
        double sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            values[i] = rng_below(&rng, HISTOGRAM_VALUE_MAX) >> rng_below(&rng, shift + 1);
            sum += (double)values[i];
            histogram_record(histogram, values[i]);
        }
        qsort(values, count, sizeof *values, compare);
        for (size_t i = 0; i < sizeof per_million / sizeof *per_million; i++) {
            uint64_t exact = exact_percentile(values, count, per_million[i]);
            uint64_t read = histogram_percentile(histogram, (double)per_million[i] / 10000);
            assert_true(read >= exact && read - exact <= exact / 1024);
        }
        assert_int_equal(histogram_count(histogram), count);
        assert_int_equal(histogram_min(histogram), values[0]);
        assert_int_equal(histogram_max(histogram), values[count - 1]);
        double mean = sum / (double)count;
        assert_true(histogram_mean(histogram) >= mean * 0.999999);
        assert_true(histogram_mean(histogram) <= mean * 1.000001);
        histogram_destroy(&histogram);
        free(values);
    }
}

static void is_exact_below_2048(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    for (uint64_t value = 0; value < 2048; value++)
        histogram_record(histogram, value);
    for (uint64_t value = 0; value < 2048; value++)
        assert_int_equal(histogram_percentile(histogram, (double)(value + 1) * 100 / 2048), value);
    histogram_destroy(&histogram);
}

static void never_reads_more_than_the_maximum(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    histogram_record(histogram, 1000000001);
    assert_int_equal(histogram_percentile(histogram, 50), 1000000001);
    assert_int_equal(histogram_percentile(histogram, 100), 1000000001);
    histogram_destroy(&histogram);
}

static void counts_what_is_beyond_its_range_as_the_largest(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    histogram_record(histogram, UINT64_MAX);
    histogram_record(histogram, HISTOGRAM_VALUE_MAX + 1);
    assert_int_equal(histogram_count(histogram), 2);
    assert_true(histogram_max(histogram) == HISTOGRAM_VALUE_MAX);
    assert_true(histogram_percentile(histogram, 1) == HISTOGRAM_VALUE_MAX);
    histogram_destroy(&histogram);
}

static void an_empty_one_reads_as_zero(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    assert_int_equal(histogram_count(histogram), 0);
    assert_int_equal(histogram_min(histogram), 0);
    assert_int_equal(histogram_max(histogram), 0);
    assert_int_equal(histogram_percentile(histogram, 99), 0);
    assert_true(histogram_mean(histogram) == 0);
    histogram_destroy(&histogram);
    histogram_destroy(&histogram);
}

static void prints_what_readers_of_hdrhistogram_files_expect(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    for (uint64_t i = 1; i <= 4; i++)
        histogram_record(histogram, i * 1000);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    histogram_print_hgrm(histogram, 1000, stream);
    assert_int_equal(fclose(stream), 0);
    static const char expected[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
                                   "\n"
                                   "       1.000 0.000000000000          1           1.00\n"
                                   "       1.000 0.100000000000          1           1.11\n"
                                   "       1.000 0.200000000000          1           1.25\n"
                                   "       2.000 0.300000000000          2           1.43\n"
                                   "       2.000 0.400000000000          2           1.67\n"
                                   "       2.000 0.500000000000          2           2.00\n"
                                   "       3.001 0.550000000000          3           2.22\n"
                                   "       3.001 0.600000000000          3           2.50\n"
                                   "       3.001 0.650000000000          3           2.86\n"
                                   "       3.001 0.700000000000          3           3.33\n"
                                   "       3.001 0.750000000000          3           4.00\n"
                                   "       4.000 1.000000000000          4\n"
                                   "#[Mean    =        2.500, StdDeviation   =        1.118]\n"
                                   "#[Max     =        4.000, Total count    =            4]\n"
                                   "#[Buckets =           33, SubBuckets     =         2048]\n";
    assert_string_equal(text, expected);
    free(text);
    histogram_destroy(&histogram);
}

static void prints_an_empty_distribution(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    histogram_print_hgrm(histogram, 1, stream);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "       0.000 1.000000000000          0\n"));
    free(text);
    histogram_destroy(&histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_sorting_within_three_digits),
        cmocka_unit_test(is_exact_below_2048),
        cmocka_unit_test(never_reads_more_than_the_maximum),
        cmocka_unit_test(counts_what_is_beyond_its_range_as_the_largest),
        cmocka_unit_test(an_empty_one_reads_as_zero),
        cmocka_unit_test(prints_what_readers_of_hdrhistogram_files_expect),
        cmocka_unit_test(prints_an_empty_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
