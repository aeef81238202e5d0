#include "producer/latency_report.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"

/* The percentiles that are shown, and what they are called. */
static const struct {
    double percent;
    const char *name;
} shown[] = {{50, "p50"}, {90, "p90"}, {99, "p99"}, {99.9, "p99.9"}, {99.99, "p99.99"}};
enum { SHOWN = sizeof shown / sizeof *shown, SPAN_BYTES = 40 };

static double us(uint64_t ns)
{
    return (double)ns / (double)NS_PER_US;
}

/* "due → handed in"; the arrow is three bytes and one column wide. */
static void print_span(const struct latency_stage_text *text, FILE *stream)
{
    char span[SPAN_BYTES];
    snprintf(span, sizeof span, "%s → %s", text->from, text->to);
    for (char *at = span; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    fprintf(stream, "%-25s", span);
}

static void print_row(const struct latency *latency, enum latency_stage stage, FILE *stream)
{
    const struct histogram *histogram = latency_histogram(latency, stage);
    if (histogram_count(histogram) == 0)
        return;
    struct latency_stage_text text = latency_stage_text(stage);
    fprintf(stream, "%-12s", text.name);
    print_span(&text, stream);
    for (unsigned i = 0; i < SHOWN; i++)
        fprintf(stream, " %10.1f", us(histogram_percentile(histogram, shown[i].percent)));
    fprintf(stream, " %10.1f\n", us(histogram_max(histogram)));
}

void latency_print_table(const struct latency *latency, const struct latency_report *report,
                         FILE *stream)
{
    fprintf(stream, "%llu events at %llu/s: %llu accepted, %llu refused, %llu seen; times in µs\n",
            (unsigned long long)report->events, (unsigned long long)report->rate,
            (unsigned long long)report->accepted, (unsigned long long)report->refused,
            (unsigned long long)latency_seen_count(latency));
    if (report->left_out != NULL)
        fprintf(stream, "stages on the processor's clock are left out: %s\n", report->left_out);
    fprintf(stream, "\n%-12s%-23s", "stage", "from, to");
    for (unsigned i = 0; i < SHOWN; i++)
        fprintf(stream, " %10s", shown[i].name);
    fprintf(stream, " %10s\n", "max");
    for (unsigned stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        print_row(latency, (enum latency_stage)stage, stream);
}

static void print_member(const struct latency *latency, enum latency_stage stage, bool first,
                         FILE *stream)
{
    const struct histogram *histogram = latency_histogram(latency, stage);
    struct latency_stage_text text = latency_stage_text(stage);
    fprintf(stream,
            "%s\n    \"%s\": {\"from\": \"%s\", \"to\": \"%s\", \"count\": %llu, \"min\": %llu, "
            "\"mean\": %.0f",
            first ? "" : ",", text.name, text.from, text.to,
            (unsigned long long)histogram_count(histogram),
            (unsigned long long)histogram_min(histogram), histogram_mean(histogram));
    for (unsigned i = 0; i < SHOWN; i++)
        fprintf(stream, ", \"%s\": %llu", shown[i].name,
                (unsigned long long)histogram_percentile(histogram, shown[i].percent));
    fprintf(stream, ", \"max\": %llu}", (unsigned long long)histogram_max(histogram));
}

void latency_print_json(const struct latency *latency, const struct latency_report *report,
                        FILE *stream)
{
    fprintf(stream,
            "{\n  \"rate\": %llu,\n  \"events\": %llu,\n  \"accepted\": %llu,\n"
            "  \"refused\": %llu,\n  \"seen\": %llu,\n  \"unit\": \"ns\",\n",
            (unsigned long long)report->rate, (unsigned long long)report->events,
            (unsigned long long)report->accepted, (unsigned long long)report->refused,
            (unsigned long long)latency_seen_count(latency));
    if (report->left_out != NULL)
        fprintf(stream, "  \"left_out\": \"%s\",\n", report->left_out);
    else
        fprintf(stream, "  \"left_out\": null,\n");
    fprintf(stream, "  \"stages\": {");
    bool first = true;
    for (unsigned stage = 0; stage < LATENCY_STAGE_COUNT; stage++) {
        if (histogram_count(latency_histogram(latency, (enum latency_stage)stage)) == 0)
            continue;
        print_member(latency, (enum latency_stage)stage, first, stream);
        first = false;
    }
    fprintf(stream, "\n  }\n}\n");
}

enum status latency_write_hgrm(const struct latency *latency, const char *path,
                               struct detail *ret_detail)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return detail_set(ret_detail, STATUS_IO, "cannot write %s: %s", path, strerror(errno));
    histogram_print_hgrm(latency_histogram(latency, LATENCY_END_TO_END), (double)NS_PER_US, file);
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    if (failed)
        return detail_set(ret_detail, STATUS_IO, "cannot write %s", path);
    return STATUS_OK;
}
