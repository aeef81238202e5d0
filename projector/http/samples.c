#include "projector/http/samples.h"

#include <inttypes.h>
#include <stdio.h>

void samples_add(struct samples *samples, struct sample sample)
{
    sample.number = ++samples->last_number;
    samples->items[sample.number % SAMPLES_MAX] = sample;
}

struct sample samples_last(const struct samples *samples)
{
    return samples->items[samples->last_number % SAMPLES_MAX];
}

static void write_refused(const struct sample *sample, struct buffer *text)
{
    char member[96];
    const char *comma = "";
    for (int i = 0; i < REASON_COUNT; i++) {
        if (sample->refused_per_s[i] <= 0)
            continue;
        snprintf(member, sizeof member, "%s\"%s\":%.1f", comma, reason_text((enum reason)i),
                 sample->refused_per_s[i]);
        buffer_append_text(text, member);
        comma = ",";
    }
}

static void write_sample(const struct sample *sample, struct buffer *text)
{
    char members[384];
    snprintf(members, sizeof members,
             "{\"number\":%" PRIu64 ",\"time\":\"%" PRIu64 "\",\"event_id\":\"%" PRIu64
             "\",\"lag\":%" PRIu64 ",\"processor_up\":%s,\"accepted_per_s\":%.1f,\"p50_us\":%.1f,"
             "\"p99_us\":%.1f,\"refused_per_s\":{",
             sample->number, sample->time_ns, sample->event_id, sample->lag,
             sample->processor_up ? "true" : "false", sample->accepted_per_s,
             (double)sample->p50_ns / 1e3, (double)sample->p99_ns / 1e3);
    buffer_append_text(text, members);
    write_refused(sample, text);
    buffer_append_text(text, "}}");
}

void samples_write(const struct samples *samples, uint64_t after, struct buffer *text)
{
    uint64_t kept = samples->last_number < SAMPLES_MAX ? samples->last_number : SAMPLES_MAX;
    uint64_t first = samples->last_number - kept + 1;
    if (after >= first)
        first = after < samples->last_number ? after + 1 : samples->last_number + 1;
    buffer_append_text(text, "{\"samples\":[");
    for (uint64_t number = first; number <= samples->last_number; number++) {
        buffer_append_text(text, number > first ? ",\n" : "\n");
        write_sample(&samples->items[number % SAMPLES_MAX], text);
    }
    buffer_append_text(text, "]}\n");
}
