/* histogram: counts of durations, small and of fixed size however many are recorded.
 *
 * Log-linear, as HdrHistogram: below 2,048 every value has a bucket of its own; above, each
 * doubling is cut into 1,024 buckets of equal width. So a value that is read is at most 1/1,024
 * (less than 0.1 %, three significant digits) above one that was recorded; minimum, maximum and
 * mean are exact.
 *
 *     value    0 … 2047 │ 2048 … 4095 │ 4096 … 8191 │ …
 *     width        1    │      2      │      4      │ …
 *
 * Values above HISTOGRAM_VALUE_MAX count as that. Not thread-safe.
 */
#ifndef WEIR_COMMON_BASE_HISTOGRAM_H
#define WEIR_COMMON_BASE_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/status.h"

/* In ns 73 minutes. */
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 42) - 1)

struct histogram; /* opaque; about 270 KB */

MUST_USE enum status histogram_new(struct histogram **ret_histogram);
void histogram_destroy(struct histogram **histogram);

void histogram_record(struct histogram *histogram, uint64_t value);

uint64_t histogram_count(const struct histogram *histogram);
/* Exact; 0 of an empty one. */
uint64_t histogram_min(const struct histogram *histogram);
uint64_t histogram_max(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram);

/* The smallest value, up to the precision, that at least `percent` (0 … 100) of the recorded ones
 * do not exceed: of n values in order, number ceil (n × percent / 100), and the first for 0. Never
 * above the maximum. 0 of an empty one. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Writes the percentile distribution in HdrHistogram's text format (.hgrm), five steps for each
 * halving of the rest, values divided by `units_per_value`. The stream's own error flag says how
 * it went. */
void histogram_print_hgrm(const struct histogram *histogram, double units_per_value, FILE *stream);

#endif
