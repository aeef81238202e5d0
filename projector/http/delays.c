#include "projector/http/delays.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

enum { FINE_BITS = 4, FINE_STEPS = 1 << FINE_BITS };

static const struct bound {
    uint64_t ns;
    const char *text; /* s */
} bounds[DELAY_BOUNDS] = {
    {100 * NS_PER_US, "0.0001"}, {200 * NS_PER_US, "0.0002"}, {500 * NS_PER_US, "0.0005"},
    {1 * NS_PER_MS, "0.001"},    {2 * NS_PER_MS, "0.002"},    {5 * NS_PER_MS, "0.005"},
    {10 * NS_PER_MS, "0.01"},    {20 * NS_PER_MS, "0.02"},    {50 * NS_PER_MS, "0.05"},
    {100 * NS_PER_MS, "0.1"},    {200 * NS_PER_MS, "0.2"},    {500 * NS_PER_MS, "0.5"},
    {1 * NS_PER_S, "1"},         {2 * NS_PER_S, "2"},         {5 * NS_PER_S, "5"},
    {10 * NS_PER_S, "10"},
};

/* Below 16 µs one bucket for each; then the four bits behind the leading one choose. */
static uint32_t fine_of(uint64_t delay_ns)
{
    uint64_t us = delay_ns / NS_PER_US;
    uint32_t shift = 0;
    while (us >> shift >= 2 * FINE_STEPS)
        shift++;
    uint64_t place = us < FINE_STEPS ? us : shift * (uint64_t)FINE_STEPS + (us >> shift);
    return place < DELAY_FINE_MAX ? (uint32_t)place : DELAY_FINE_MAX - 1;
}

/* The largest delay of the bucket. */
static uint64_t fine_end_ns(uint32_t place)
{
    if (place < 2 * FINE_STEPS)
        return (place + 1) * NS_PER_US;
    uint32_t shift = place / FINE_STEPS - 1;
    return ((uint64_t)(place % FINE_STEPS + FINE_STEPS + 1) << shift) * NS_PER_US;
}

void delays_record(struct delays *delays, uint64_t delay_ns, uint64_t count)
{
    uint32_t i = 0;
    while (i < DELAY_BOUNDS && delay_ns > bounds[i].ns)
        i++;
    delays->counts[i] += count;
    delays->sum_ns += delay_ns * count;
    delays->fine[fine_of(delay_ns)] += count;
    delays->fine_count += count;
}

uint64_t delays_percentile(const struct delays *delays, double percent)
{
    uint64_t before = 0;
    double wanted = (double)delays->fine_count * percent / 100;
    if (delays->fine_count == 0)
        return 0;
    for (uint32_t i = 0; i < DELAY_FINE_MAX; i++) {
        before += delays->fine[i];
        if (before > 0 && (double)before >= wanted)
            return fine_end_ns(i);
    }
    return fine_end_ns(DELAY_FINE_MAX - 1);
}

void delays_next_second(struct delays *delays)
{
    memset(delays->fine, 0, sizeof delays->fine);
    delays->fine_count = 0;
}

void delays_write(const struct delays *delays, const char *name, const char *help,
                  struct buffer *text)
{
    char line[256];
    uint64_t count = 0;
    snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    buffer_append_text(text, line);
    for (uint32_t i = 0; i <= DELAY_BOUNDS; i++) {
        count += delays->counts[i];
        snprintf(line, sizeof line, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name,
                 i < DELAY_BOUNDS ? bounds[i].text : "+Inf", count);
        buffer_append_text(text, line);
    }
    snprintf(line, sizeof line, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name,
             (double)delays->sum_ns / (double)NS_PER_S, name, count);
    buffer_append_text(text, line);
}
