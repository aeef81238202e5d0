#include "projector/http/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/event/reason.h"
#include "projector/core/member.h"

enum { LINE_BYTES_MAX = 512 };

static void head(struct buffer *text, const char *name, const char *type, const char *help)
{
    char line[LINE_BYTES_MAX];
    snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    buffer_append_text(text, line);
}

static void value(struct buffer *text, const char *name, uint64_t number)
{
    char line[LINE_BYTES_MAX];
    snprintf(line, sizeof line, "%s %" PRIu64 "\n", name, number);
    buffer_append_text(text, line);
}

/* Label values are names of ours or of policies: \ " and newline are escaped. */
static void labelled(struct buffer *text, const char *name, const char *label, struct slice of,
                     uint64_t number)
{
    char line[LINE_BYTES_MAX];
    snprintf(line, sizeof line, "%s{%s=\"", name, label);
    buffer_append_text(text, line);
    for (size_t i = 0; i < of.size; i++) {
        bool special = of.data[i] == '"' || of.data[i] == '\\';
        if (special)
            buffer_append_text(text, "\\");
        if (of.data[i] == '\n')
            buffer_append_text(text, "\\n");
        else
            buffer_append(text, &of.data[i], 1);
    }
    snprintf(line, sizeof line, "\"} %" PRIu64 "\n", number);
    buffer_append_text(text, line);
}

static void one(struct buffer *text, const char *name, const char *type, const char *help,
                uint64_t number)
{
    head(text, name, type, help);
    value(text, name, number);
}

/* --- this projector --- */

/* Those in SQL are the guest's. */
static void write_views(const struct metrics *metrics, struct buffer *text)
{
    static const char rows[] = "weir_projector_view_rows", parked[] = "weir_projector_view_parked";
    const struct fold_guest *guest = fold_guest(metrics->fold);
    uint32_t guests = guest != NULL ? guest->count(guest->owner) : 0;
    head(text, rows, "gauge", "Rows of a view.");
    for (uint32_t i = 0; i < fold_view_count(metrics->fold); i++)
        labelled(text, rows, "view", slice_of_text(fold_view_type(metrics->fold, i)->name),
                 rows_count(fold_view_rows(metrics->fold, i)));
    for (uint32_t i = 0; i < guests; i++)
        labelled(text, rows, "view", slice_of_text(guest->name(guest->owner, i)),
                 guest->rows(guest->owner, i));
    if (guests > 0)
        head(text, parked, "gauge",
             "1: the file of a view in SQL cannot be used, or an event failed in it.");
    for (uint32_t i = 0; i < guests; i++)
        labelled(text, parked, "view", slice_of_text(guest->name(guest->owner, i)),
                 guest->problem(guest->owner, i) != NULL);
}

static void write_projector(const struct metrics *metrics, struct buffer *text)
{
    struct fold_position position = fold_position(metrics->fold);
    uint64_t lag = metrics->newest_event_id > position.event_id
                       ? metrics->newest_event_id - position.event_id
                       : 0;
    one(text, "weir_projector_event_id", "counter", "Last event in the views.", position.event_id);
    one(text, "weir_projector_rejection_id", "counter", "Last rejection in the views.",
        position.rejection_id);
    one(text, "weir_projector_lag_events", "gauge",
        "Events that the processor has and the views do not.", lag);
    one(text, "weir_projector_live", "gauge", "1: follows live; 0: catches up.", metrics->live);
    one(text, "weir_projector_replays_total", "counter", "Gaps healed by a replay.",
        metrics->replays);
    one(text, "weir_projector_left_out_total", "counter",
        "Records that found no room in a full view.", fold_left_out(metrics->fold));
    one(text, "weir_projector_checkpoint_event_id", "counter",
        "Last event of the newest checkpoint.", metrics->kept_event_id);
    one(text, "weir_projector_http_requests_total", "counter", "Requests over HTTP.",
        metrics->requests);
    one(text, "weir_projector_http_connections", "gauge", "Connections over HTTP.",
        metrics->connections);
    write_views(metrics, text);
    delays_write(metrics->accepted_to_seen, "weir_accepted_to_seen_seconds",
                 "From an event's acceptance until it is in the views.", text);
    delays_write(metrics->published_to_seen, "weir_published_to_seen_seconds",
                 "From an event's publication until it is in the views.", text);
    delays_write(metrics->checkpoints, "weir_projector_checkpoint_seconds",
                 "Time that following stood still for a checkpoint of the views.", text);
}

/* --- the processor --- */

static const struct counter {
    const char *member, *name, *type, *help;
} counters[] = {
    {"last_event_id", "weir_processor_event_id", "counter", "Last durable event."},
    {"last_rejection_id", "weir_processor_rejection_id", "counter", "Last durable rejection."},
    {"submissions", "weir_processor_submissions_total", "counter", "Submissions taken in."},
    {"accepted", "weir_processor_accepted_total", "counter", "Events accepted since its start."},
    {"accepted_bytes", "weir_processor_accepted_bytes_total", "counter", "Bytes of those events."},
    {"batches", "weir_processor_batches_total", "counter", "Batches made durable."},
    {"syncs", "weir_processor_syncs_total", "counter", "Calls of fdatasync."},
    {"publish_failures", "weir_processor_publish_failures_total", "counter",
     "Messages that could not be published."},
    {"batches_in_flight", "weir_processor_batches_in_flight", "gauge", "Batches not durable yet."},
    {"sources", "weir_processor_sources", "gauge", "Sources known."},
    {"holding", "weir_processor_holding", "gauge", "1: takes nothing in for lack of space."},
};

static void write_refused(struct slice processor, struct buffer *text)
{
    static const char name[] = "weir_processor_refused_total";
    struct mp_reader reader;
    struct slice map;
    uint64_t number;
    if (event_field(processor, slice_of_text("refused"), &reader) != STATUS_OK ||
        mp_read_raw(&reader, &map) != STATUS_OK)
        return;
    head(text, name, "counter", "Events refused since its start.");
    for (int i = 0; i < REASON_COUNT; i++) {
        const char *reason = reason_text((enum reason)i);
        if (member_uint(map, reason, &number))
            labelled(text, name, "reason", slice_of_text(reason), number);
    }
}

static void write_policies(struct slice processor, const char *member, const char *name,
                           const char *help, struct buffer *text)
{
    struct mp_reader list, reader;
    struct slice policy, of;
    uint32_t count;
    uint64_t number;
    if (event_field(processor, slice_of_text("policies"), &list) != STATUS_OK ||
        mp_read_array(&list, &count) != STATUS_OK)
        return;
    head(text, name, "gauge", help);
    for (uint32_t i = 0; i < count && mp_read_raw(&list, &policy) == STATUS_OK; i++)
        if (event_field(policy, slice_of_text("name"), &reader) == STATUS_OK &&
            mp_read_text(&reader, &of) == STATUS_OK && member_uint(policy, member, &number))
            labelled(text, name, "policy", of, number);
}

static void write_processor(const struct metrics *metrics, struct buffer *text)
{
    uint64_t number;
    char line[LINE_BYTES_MAX];
    one(text, "weir_processor_up", "gauge", "1: the processor answers.", metrics->processor_up);
    head(text, "weir_processor_accepted_per_second", "gauge",
         "Events accepted in the last second.");
    snprintf(line, sizeof line, "weir_processor_accepted_per_second %.1f\n", metrics->events_per_s);
    buffer_append_text(text, line);
    if (metrics->processor.size == 0)
        return;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        if (member_uint(metrics->processor, counters[i].member, &number))
            one(text, counters[i].name, counters[i].type, counters[i].help, number);
    write_refused(metrics->processor, text);
    write_policies(metrics->processor, "keys", "weir_processor_policy_keys", "Live keys.", text);
    write_policies(metrics->processor, "units", "weir_processor_policy_units",
                   "Units in all windows.", text);
}

void metrics_write(const struct metrics *metrics, struct buffer *text)
{
    write_projector(metrics, text);
    write_processor(metrics, text);
}
