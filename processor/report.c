#include "processor/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/app/options.h"
#include "common/base/logger.h"
#include "common/event/codec.h"

static void pair_uint(struct buffer *buffer, const char *name, uint64_t value)
{
    codec_text(buffer, name);
    codec_uint(buffer, value);
}

static void pair_text(struct buffer *buffer, const char *name, const char *value)
{
    codec_text(buffer, name);
    codec_text(buffer, value);
}

static void refused_write(const struct service *service, struct buffer *buffer)
{
    codec_text(buffer, "refused");
    codec_map(buffer, REASON_COUNT);
    for (int i = 0; i < REASON_COUNT; i++)
        pair_uint(buffer, reason_text((enum reason)i), counter_get(&service->counters.refused[i]));
}

enum { COUNTER_PAIRS = 10 };

/* What stats and status have in common: COUNTER_PAIRS pairs. */
static void counters_write(const struct service *service, struct buffer *buffer)
{
    const struct counters *counters = &service->counters;
    pair_uint(buffer, "submissions", counter_get(&counters->submissions));
    pair_uint(buffer, "accepted", counter_get(&counters->accepted));
    pair_uint(buffer, "accepted_bytes", counter_get(&counters->accepted_bytes));
    refused_write(service, buffer);
    pair_uint(buffer, "batches", counter_get(&counters->batches));
    pair_uint(buffer, "syncs", counter_get(&counters->groups));
    pair_uint(buffer, "publish_failures", counter_get(&counters->publish_failures));
    pair_uint(buffer, "batches_in_flight", counter_get(&counters->in_flight));
    pair_uint(buffer, "sources", counter_get(&counters->sources));
    pair_uint(buffer, "holding", counter_get(&counters->holding));
}

void report_stats(const struct service *service, struct buffer *buffer)
{
    struct durable durable = log_durable(service->log);
    codec_map(buffer, COUNTER_PAIRS + 4);
    counters_write(service, buffer);
    pair_uint(buffer, "last_event_id", durable.last_event_id);
    pair_uint(buffer, "last_rejection_id", durable.last_rejection_id);
    pair_uint(buffer, "last_time", durable.last_time_ns);
    pair_uint(buffer, "now", log_clock_at(&service->clock, clock_boot_ns()));
}

static void durable_write(const struct durable *durable, struct buffer *buffer)
{
    codec_text(buffer, "durable");
    char digest[sizeof "0123456789abcdef"];
    snprintf(digest, sizeof digest, "%016" PRIx64, durable->state_digest);
    codec_map(buffer, 5);
    pair_text(buffer, "state_digest", digest);
    pair_uint(buffer, "batch", durable->last_batch);
    pair_uint(buffer, "time", durable->last_time_ns);
    pair_uint(buffer, "segment", durable->segment);
    pair_uint(buffer, "offset", durable->offset);
}

/* One moment on both clocks, so that a tool on the same host can place log times exactly. */
static void clocks_write(const struct service *service, struct buffer *buffer)
{
    uint64_t boot_ns = clock_boot_ns();
    pair_uint(buffer, "now", log_clock_at(&service->clock, boot_ns));
    pair_uint(buffer, "boottime", boot_ns);
}

static void rates_write(const struct service *service, struct buffer *buffer)
{
    uint64_t up_ns = log_clock_at(&service->clock, clock_boot_ns()) - service->started_at_ns;
    double seconds = (double)(up_ns + 1) / (double)NS_PER_S;
    codec_text(buffer, "rates");
    codec_map(buffer, 2);
    codec_text(buffer, "uptime_s");
    codec_float(buffer, seconds);
    codec_text(buffer, "accepted_per_s");
    codec_float(buffer, (double)counter_get(&service->counters.accepted) / seconds);
}

static const char *key_text(const struct policy *policy)
{
    static const char *const names[] = {[POLICY_KEY_SOURCE] = "source",
                                        [POLICY_KEY_SUBJECT] = "subject",
                                        [POLICY_KEY_TYPE] = "type",
                                        [POLICY_KEY_GLOBAL] = "global"};
    return policy->key == POLICY_KEY_FIELD ? policy->key_field : names[policy->key];
}

static void policies_write(const struct service *service, const struct policy_set *set,
                           struct buffer *buffer)
{
    codec_text(buffer, "policies");
    codec_array(buffer, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct policy *policy = &set->items[i];
        codec_map(buffer, 9);
        pair_text(buffer, "name", policy->name);
        pair_text(buffer, "key", key_text(policy));
        pair_text(buffer, "mode", policy->mode == POLICY_SHADOW ? "shadow" : "enforce");
        pair_uint(buffer, "quota", policy->quota);
        pair_uint(buffer, "window", policy->window_ns);
        pair_uint(buffer, "keys", counter_get(&service->counters.policy_keys[i]));
        pair_uint(buffer, "max_keys", policy->keys_max);
        pair_uint(buffer, "units", counter_get(&service->counters.policy_units[i]));
        pair_uint(buffer, "max_units", policy->units_max);
    }
    pair_text(buffer, "policy", set->text);
    pair_text(buffer, "genesis_policy", service->genesis_policy);
}

static void limits_write(struct buffer *buffer)
{
    codec_text(buffer, "limits");
    codec_map(buffer, 4);
    pair_uint(buffer, "max_sources", SOURCES_MAX);
    pair_uint(buffer, "max_batches_in_flight", BATCHES_IN_FLIGHT_MAX);
    pair_uint(buffer, "verdicts_kept_per_source", VERDICTS_KEPT);
    pair_uint(buffer, "max_policies", POLICIES_MAX);
}

static void problems_write(const struct service *service, const char *damage, struct buffer *buffer)
{
    bool no_space = log_room(service->log).no_space;
    bool damaged = damage[0] != '\0';
    codec_text(buffer, "problems");
    codec_array(buffer, (no_space ? 1U : 0U) + (damaged ? 1U : 0U));
    if (no_space)
        codec_text(buffer, "no_space");
    if (damaged)
        codec_text(buffer, damage);
}

void report_status(const struct service *service, const struct status_notes *notes,
                   struct buffer *buffer)
{
    struct durable durable = log_durable(service->log);
    codec_map(buffer, COUNTER_PAIRS + 18);
    pair_text(buffer, "version", WEIR_VERSION);
    pair_text(buffer, "role", "primary");
    codec_text(buffer, "log_id");
    codec_bin(buffer, (struct slice){service->log_id.bytes, LOG_ID_BYTES});
    pair_uint(buffer, "last_event_id", durable.last_event_id);
    pair_uint(buffer, "last_rejection_id", durable.last_rejection_id);
    pair_uint(buffer, "first_event_id", notes->first->event_id);
    pair_uint(buffer, "first_rejection_id", notes->first->rejection_id);
    pair_text(buffer, "first_policy", notes->first->policy_text);
    durable_write(&durable, buffer);
    clocks_write(service, buffer); /* two pairs */
    rates_write(service, buffer);
    policies_write(service, notes->policies, buffer); /* three pairs */
    limits_write(buffer);
    problems_write(service, notes->damage, buffer);
    codec_text(buffer, "projectors");
    presence_write(notes->presence, clock_boot_ns(), buffer);
    counters_write(service, buffer);
}

static uint64_t refused_events(const struct service *service)
{
    static const enum reason recorded[] = {REASON_RATE_LIMITED, REASON_INVALID, REASON_TOO_LARGE,
                                           REASON_UNAVAILABLE, REASON_MALFORMED};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++)
        sum += counter_get(&service->counters.refused[recorded[i]]);
    return sum;
}

void report_summary(const struct service *service, struct report_line *line)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t accepted = counter_get(&service->counters.accepted);
    uint64_t refused = refused_events(service);
    double seconds = (double)(now_ns - line->at_ns + 1) / (double)NS_PER_S;
    struct durable durable = log_durable(service->log);
    log_info("summary",
             "accepted_per_s=%.0f refused_per_s=%.0f last_event_id=%" PRIu64
             " last_rejection_id=%" PRIu64 " rate_limited=%" PRIu64 " sources=%" PRIu64
             " syncs=%" PRIu64 "%s",
             (double)(accepted - line->accepted) / seconds,
             (double)(refused - line->refused) / seconds, durable.last_event_id,
             durable.last_rejection_id,
             counter_get(&service->counters.refused[REASON_RATE_LIMITED]),
             counter_get(&service->counters.sources), counter_get(&service->counters.groups),
             log_room(service->log).no_space ? " problem=no_space" : "");
    *line = (struct report_line){.at_ns = now_ns, .accepted = accepted, .refused = refused};
}
