/* latency_report: a measurement as a table for people, as JSON, or as HdrHistogram's percentile
 * text for tools that draw it. Writes to streams, decides nothing.
 */
#ifndef WEIR_PRODUCER_LATENCY_REPORT_H
#define WEIR_PRODUCER_LATENCY_REPORT_H

#include <stdio.h>

#include "producer/core/latency.h"

struct latency_report {
    uint64_t rate;     /* events per second */
    uint64_t events;   /* handed in */
    uint64_t accepted; /* of them */
    uint64_t refused;
    const char *left_out; /* why there are no times on the processor's clock; NULL: there are */
};

/* One line for each stage that was measured, in µs. */
void latency_print_table(const struct latency *latency, const struct latency_report *report,
                         FILE *stream);
/* One object, times in ns; docs/performance.md has the members. */
void latency_print_json(const struct latency *latency, const struct latency_report *report,
                        FILE *stream);
/* The end-to-end distribution, in µs, into the file. IO. */
MUST_USE enum status latency_write_hgrm(const struct latency *latency, const char *path,
                                        struct detail *ret_detail);

#endif
