#include "producer/core/pace.h"

#include <assert.h>

#include "common/base/clock.h"

void pace_init(struct pace *pace, uint64_t rate, uint64_t count, uint64_t tick_ns, uint64_t now_ns)
{
    assert(rate <= PACE_RATE_MAX);
    *pace = (struct pace){
        .rate = rate, .count = count, .started_ns = now_ns, .tick_ns = tick_ns, .wake_ns = now_ns};
}

uint64_t pace_due_ns(const struct pace *pace, uint64_t n)
{
    if (pace->rate == 0)
        return pace->started_ns;
    uint64_t rest = n % pace->rate * NS_PER_S;
    return pace->started_ns + n / pace->rate * NS_PER_S + rest / pace->rate;
}

uint64_t pace_events_due(const struct pace *pace, uint64_t now_ns)
{
    uint64_t left = pace->count > 0 ? pace->count - pace->made : UINT64_MAX;
    if (pace->rate == 0)
        return left;
    if (now_ns < pace->wake_ns)
        return 0;
    /* Due are n = 0 … k with k × NS_PER_S / rate, rounded down, ≤ elapsed. */
    uint64_t elapsed_ns = now_ns - pace->started_ns + 1;
    uint64_t part_ns = elapsed_ns % NS_PER_S * pace->rate;
    uint64_t due = elapsed_ns / NS_PER_S * pace->rate + (part_ns + NS_PER_S - 1) / NS_PER_S;
    due = due > pace->made ? due - pace->made : 0;
    return due < left ? due : left;
}

void pace_made(struct pace *pace, uint64_t events)
{
    pace->made += events;
}

bool pace_finished(const struct pace *pace)
{
    return pace->count > 0 && pace->made == pace->count;
}

uint64_t pace_next_wake_ns(struct pace *pace)
{
    uint64_t due_ns = pace_due_ns(pace, pace->made);
    uint64_t tick_ns = pace->wake_ns + pace->tick_ns;
    pace->wake_ns = due_ns > tick_ns ? due_ns : tick_ns;
    return pace->wake_ns;
}
