#include "common/base/histogram.h"

#include <math.h>
#include <stdlib.h>

enum {
    HALF_BITS = 10,
    HALF = 1 << HALF_BITS, /* buckets in each doubling */
    VALUE_BITS = 42,
    BUCKETS = (VALUE_BITS - HALF_BITS + 1) * HALF,
    HGRM_STEPS_PER_HALVING = 5,
};

struct histogram {
    uint64_t count, min, max;
    double sum;
    uint64_t buckets[BUCKETS];
};

enum status histogram_new(struct histogram **ret_histogram)
{
    struct histogram *histogram = calloc(1, sizeof *histogram);
    if (histogram == NULL)
        return STATUS_NO_MEMORY;
    histogram->min = UINT64_MAX;
    *ret_histogram = histogram;
    return STATUS_OK;
}

void histogram_destroy(struct histogram **histogram)
{
    free(*histogram);
    *histogram = NULL;
}

/* How far a value is shifted to the right so that 2 × HALF buckets hold it. */
static unsigned shift_of(uint64_t value)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);
    return bits > HALF_BITS + 1 ? bits - (HALF_BITS + 1) : 0;
}

static uint32_t bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return shift * HALF + (uint32_t)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t bucket_last(uint32_t bucket)
{
    if (bucket < 2 * HALF)
        return bucket;
    unsigned shift = bucket / HALF - 1;
    uint64_t step = bucket - shift * HALF;
    return ((step + 1) << shift) - 1;
}

/* The middle one, for sums over buckets. */
static double bucket_middle(uint32_t bucket)
{
    unsigned shift = bucket < 2 * HALF ? 0 : bucket / HALF - 1;
    uint64_t width = UINT64_C(1) << shift;
    return (double)bucket_last(bucket) - (double)(width - 1) / 2;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram->count;
}

uint64_t histogram_min(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->min : 0;
}

uint64_t histogram_max(const struct histogram *histogram)
{
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}

/* Reading. */

/* The rank, from 1, of the value that stands for `percent`. */
static uint64_t rank_of(const struct histogram *histogram, double percent)
{
    double exact = (double)histogram->count * percent / 100;
    double rank = ceil(exact - 1e-9 * exact); /* 99.9 % of 1,000 is 999, not 1,000 */
    if (rank < 1)
        return 1;
    return rank < (double)histogram->count ? (uint64_t)rank : histogram->count;
}

/* The bucket of the value of this rank, and how many values lie in it and below. */
static uint32_t bucket_of_rank(const struct histogram *histogram, uint64_t rank,
                               uint64_t *ret_up_to)
{
    uint64_t up_to = 0;
    uint32_t bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
        up_to += histogram->buckets[bucket];
        if (up_to >= rank)
            break;
    }
    *ret_up_to = up_to;
    return bucket;
}

static uint64_t value_of_bucket(const struct histogram *histogram, uint32_t bucket)
{
    uint64_t last = bucket_last(bucket);
    return last < histogram->max ? last : histogram->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    if (histogram->count == 0)
        return 0;
    uint64_t up_to;
    return value_of_bucket(histogram,
                           bucket_of_rank(histogram, rank_of(histogram, percent), &up_to));
}

/* The text format. */

static double deviation(const struct histogram *histogram)
{
    double mean = histogram_mean(histogram);
    double sum = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        double distance = bucket_middle(bucket) - mean;
        sum += distance * distance * (double)histogram->buckets[bucket];
    }
    return histogram->count > 0 ? sqrt(sum / (double)histogram->count) : 0;
}

/* Five equal steps to the next percentile that halves the rest: 0, 10, … 50, 55, … 75, 77.5, … */
static double next_percent(double percent)
{
    double halvings = floor(log2(100 / (100 - percent)) + 1e-9) + 1;
    return percent + 100 / (HGRM_STEPS_PER_HALVING * exp2(halvings));
}

void histogram_print_hgrm(const struct histogram *histogram, double units_per_value, FILE *stream)
{
    fprintf(stream, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    uint64_t up_to = 0;
    for (double percent = 0; histogram->count > 0; percent = next_percent(percent)) {
        uint32_t bucket = bucket_of_rank(histogram, rank_of(histogram, percent), &up_to);
        if (up_to == histogram->count)
            break;
        fprintf(stream, "%12.3f %2.12f %10llu %14.2f\n",
                (double)value_of_bucket(histogram, bucket) / units_per_value, percent / 100,
                (unsigned long long)up_to, 100 / (100 - percent));
    }
    fprintf(stream, "%12.3f %2.12f %10llu\n", (double)histogram->max / units_per_value, 1.0,
            (unsigned long long)histogram->count);
    fprintf(stream, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
            histogram_mean(histogram) / units_per_value, deviation(histogram) / units_per_value);
    fprintf(stream, "#[Max     = %12.3f, Total count    = %12llu]\n",
            (double)histogram->max / units_per_value, (unsigned long long)histogram->count);
    fprintf(stream, "#[Buckets = %12d, SubBuckets     = %12d]\n", BUCKETS / HALF, 2 * HALF);
}
