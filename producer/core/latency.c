#include "producer/core/latency.h"

#include <assert.h>
#include <stdlib.h>

struct moment {
    uint64_t due_ns, handed_in_ns;
};

struct latency {
    uint64_t handed_in; /* the newest sequence of each kind */
    uint64_t seen;
    uint64_t acknowledged;
    uint64_t seen_count; /* events */
    struct histogram *stages[LATENCY_STAGE_COUNT];
    struct moment moments[LATENCY_EVENTS_MAX]; /* by sequence, modulo */
};

struct latency_stage_text latency_stage_text(enum latency_stage stage)
{
    static const struct latency_stage_text texts[LATENCY_STAGE_COUNT] = {
#define X(name, text, from, to) [LATENCY_##name] = {text, from, to},
        LATENCY_STAGE_TABLE(X)
#undef X
    };
    assert((unsigned)stage < LATENCY_STAGE_COUNT);
    return texts[stage];
}

enum status latency_new(uint64_t last_sequence, struct latency **ret_latency)
{
    struct latency *latency = calloc(1, sizeof *latency);
    if (latency == NULL)
        return STATUS_NO_MEMORY;
    latency->handed_in = latency->seen = latency->acknowledged = last_sequence;
    for (unsigned stage = 0; stage < LATENCY_STAGE_COUNT; stage++) {
        if (histogram_new(&latency->stages[stage]) != STATUS_OK) {
            latency_destroy(&latency);
            return STATUS_NO_MEMORY;
        }
    }
    *ret_latency = latency;
    return STATUS_OK;
}

void latency_destroy(struct latency **latency)
{
    if (*latency == NULL)
        return;
    for (unsigned stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        histogram_destroy(&(*latency)->stages[stage]);
    free(*latency);
    *latency = NULL;
}

/* NULL when it is no longer remembered, or was not handed in. */
static struct moment *moment_of(struct latency *latency, uint64_t sequence)
{
    bool known =
        sequence <= latency->handed_in && latency->handed_in - sequence < LATENCY_EVENTS_MAX;
    return known ? &latency->moments[sequence % LATENCY_EVENTS_MAX] : NULL;
}

void latency_handed_in(struct latency *latency, uint64_t due_ns, uint64_t handed_in_ns)
{
    latency->handed_in++;
    struct moment *moment = moment_of(latency, latency->handed_in);
    moment->due_ns = due_ns;
    moment->handed_in_ns = handed_in_ns;
}

/* Time that cannot have run backwards. */
static uint64_t between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static uint64_t clamp(uint64_t at_ns, uint64_t first_ns, uint64_t last_ns)
{
    if (at_ns > last_ns)
        at_ns = last_ns;
    return at_ns > first_ns ? at_ns : first_ns;
}

static void record(struct latency *latency, enum latency_stage stage, uint64_t from_ns,
                   uint64_t to_ns)
{
    histogram_record(latency->stages[stage], between(from_ns, to_ns));
}

void latency_seen(struct latency *latency, uint64_t sequence, const struct latency_batch *batch)
{
    const struct moment *moment = moment_of(latency, sequence);
    if (moment == NULL || sequence <= latency->seen)
        return;
    latency->seen = sequence;
    latency->seen_count++;
    uint64_t handed_in_ns = clamp(moment->handed_in_ns, moment->due_ns, batch->seen_ns);
    record(latency, LATENCY_SEND, moment->due_ns, handed_in_ns);
    record(latency, LATENCY_END_TO_END, moment->due_ns, batch->seen_ns);
    if (!batch->has_log_times) {
        record(latency, LATENCY_SYNC, batch->decided_ns, batch->durable_ns);
        return;
    }
    uint64_t durable_ns = clamp(batch->durable_ns, handed_in_ns, batch->seen_ns);
    uint64_t decided_ns = clamp(batch->decided_ns, handed_in_ns, durable_ns);
    record(latency, LATENCY_DECIDE, handed_in_ns, decided_ns);
    record(latency, LATENCY_SYNC, decided_ns, durable_ns);
    record(latency, LATENCY_DELIVER, durable_ns, batch->seen_ns);
}

void latency_acknowledged(struct latency *latency, uint64_t sequence, uint64_t now_ns)
{
    while (latency->acknowledged < sequence) {
        const struct moment *moment = moment_of(latency, ++latency->acknowledged);
        if (moment != NULL)
            record(latency, LATENCY_ACKNOWLEDGE, moment->due_ns, now_ns);
    }
}

uint64_t latency_seen_count(const struct latency *latency)
{
    return latency->seen_count;
}

const struct histogram *latency_histogram(const struct latency *latency, enum latency_stage stage)
{
    return latency->stages[stage];
}
