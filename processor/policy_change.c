#include "processor/policy_change.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/duration.h"
#include "common/event/codec.h"
#include "common/wire/record.h"
#include "processor/core/admission.h"

void policy_change_write(struct buffer *event, uint64_t occurred_at_ns, const char *text,
                         const char *by)
{
    codec_array(event, 5);
    codec_uint(event, occurred_at_ns);
    codec_text(event, POLICY_CHANGE_TYPE);
    codec_text(event, POLICY_CHANGE_SUBJECT);
    codec_uint(event, 1);
    codec_map(event, 2);
    codec_text(event, "text");
    codec_text(event, text);
    codec_text(event, "by");
    codec_text(event, by);
}

bool policy_change_is(struct slice source, const struct event *event)
{
    return slice_equal_text(source, POLICY_CHANGE_SOURCE) &&
           slice_equal_text(event->type, POLICY_CHANGE_TYPE);
}

enum status policy_change_read(const struct event *event, struct policy_set **ret_policies,
                               struct detail *ret_detail)
{
    struct mp_reader reader;
    struct slice text;
    if (event_field(event->data, slice_of_text("text"), &reader) != STATUS_OK ||
        mp_read_text(&reader, &text) != STATUS_OK || text.size >= POLICY_TEXT_BYTES_MAX)
        return detail_set(ret_detail, STATUS_DAMAGED, "a %s event has no text", POLICY_CHANGE_TYPE);
    struct policy_set *policies = calloc(1, sizeof *policies);
    char *copy = calloc(1, text.size + 1);
    enum status status = STATUS_NO_MEMORY;
    if (policies != NULL && copy != NULL) {
        memcpy(copy, text.data, text.size);
        status = policy_set_parse(copy, "a policy in the log", policies, ret_detail);
    } else {
        detail_write(ret_detail, "out of memory");
    }
    free(copy);
    if (status != STATUS_OK) {
        free(policies);
        return status;
    }
    *ret_policies = policies;
    return STATUS_OK;
}

/* ---- filling ---- */

enum status policy_change_add(struct window_fill *fill, const struct accepted_record *record,
                              struct detail *ret_detail)
{
    struct accepted_event accepted = {.event_id = record->event_id,
                                      .accepted_at_ns = record->accepted_at_ns,
                                      .source = record->source,
                                      .event = record->event};
    return window_fill_add(fill, &accepted, ret_detail);
}

/* A log_visit_fn; the context is the fill. */
static enum status fill_visit(void *fill, const struct batch_view *batch, struct detail *ret_detail)
{
    if (batch->header.kind != BATCH_ORDINARY)
        return STATUS_OK;
    struct mp_reader reader = mp_reader_of(batch->accepted);
    while (!mp_at_end(&reader)) {
        struct accepted_record record;
        if (accepted_record_read(&reader, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_DAMAGED, "an accepted record cannot be read");
        enum status status = policy_change_add(fill, &record, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status reaches_too_far(const struct window_fill *fill, const struct batch_header *first,
                                   uint64_t now_ns, struct detail *ret_detail)
{
    const struct policy *longest = window_fill_longest(fill);
    const uint64_t kept_s = (now_ns - first->first_time_ns) / NS_PER_S;
    char window[DURATION_TEXT_BYTES], begin[CLOCK_TEXT_BYTES];
    duration_format(longest->window_ns, window);
    clock_format(first->first_time_ns, begin);
    return detail_set(ret_detail, STATUS_GONE,
                      "policy %s: its window of %s reaches back to what is no longer kept: the log "
                      "begins with event %" PRIu64 ", at %s, so a window of at most %" PRIu64
                      "s can be filled",
                      longest->name, window, first->first_event_id, begin, kept_s);
}

enum status policy_change_expect_kept(const struct window_fill *fill,
                                      const struct change_place *place, struct reader *reader,
                                      struct detail *ret_detail)
{
    struct batch_header first;
    enum status status = reader_first(reader, &place->end, &first, ret_detail);
    /* What was dropped is not later than what is kept. */
    if (status != STATUS_OK || first.number == 0 || window_fill_length_ns(fill) == 0 ||
        first.first_time_ns < window_fill_from_ns(fill, place->now_ns))
        return status;
    return reaches_too_far(fill, &first, place->now_ns, ret_detail);
}

enum status policy_change_fill(const struct change_place *place, const struct state *state,
                               const struct policy_set *policies, struct window_fill **ret_fill,
                               struct detail *ret_detail)
{
    struct reader *reader = NULL;
    struct window_fill *fill = window_fill_new(state, policies);
    if (fill == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    enum status status = STATUS_OK;
    if (window_fill_length_ns(fill) > 0) {
        status = reader_new(place->directory, &reader, ret_detail);
        if (status == STATUS_OK)
            status = policy_change_expect_kept(fill, place, reader, ret_detail);
        if (status == STATUS_OK)
            status = reader_visit(reader, &place->end, window_fill_from_ns(fill, place->now_ns),
                                  fill_visit, fill, ret_detail);
    }
    reader_destroy(&reader);
    if (status != STATUS_OK) {
        window_fill_destroy(&fill);
        return status;
    }
    *ret_fill = fill;
    return STATUS_OK;
}

/* ---- making a change ---- */

/* The batch that holds nothing but the event, which is applied. */
static enum status event_append(struct log *log, const struct state *state,
                                const struct accepted_record *record, struct detail *ret_detail)
{
    struct durable durable = log_durable(log);
    struct batch_view batch = {.header = {.kind = BATCH_ORDINARY,
                                          .number = durable.last_batch + 1,
                                          .first_event_id = record->event_id,
                                          .first_rejection_id = durable.last_rejection_id + 1,
                                          .event_count = 1,
                                          .first_time_ns = record->accepted_at_ns,
                                          .last_time_ns = record->accepted_at_ns,
                                          .state_digest = state_digest(state)}};
    struct slice raw = record->event.raw;
    uint8_t *bytes = malloc(RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + raw.size);
    if (bytes == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    uint8_t *end = accepted_record_put(bytes, record->event_id, record->accepted_at_ns,
                                       record->source, record->sequence, raw);
    batch.accepted = (struct slice){bytes, (size_t)(end - bytes)};
    enum status status = log_append(log, &batch, 1, ret_detail);
    free(bytes);
    return status;
}

enum status policy_change_apply(struct state *state, struct window_fill *fill,
                                const struct accepted_record *record, struct decision *decision)
{
    *decision = (struct decision){.kind = DECISION_ACCEPT,
                                  .time_ns = record->accepted_at_ns,
                                  .source = SOURCE_NONE,
                                  .event_id = record->event_id};
    enum status status = state_apply(state, decision);
    window_fill_decide(fill, record->accepted_at_ns, decision);
    if (status == STATUS_OK)
        status = state_apply(state, decision);
    return status;
}

enum status policy_change_record(const struct state *state, const char *text, const char *by,
                                 uint64_t now_ns, struct buffer *event,
                                 struct accepted_record *ret_record)
{
    policy_change_write(event, now_ns, text, by);
    struct mp_reader reader = mp_reader_of(buffer_slice(event));
    *ret_record = (struct accepted_record){.event_id = state_position(state).last_event_id + 1,
                                           .accepted_at_ns = now_ns,
                                           .source = slice_of_text(POLICY_CHANGE_SOURCE)};
    return event->status == STATUS_OK ? event_read_stored(&reader, &ret_record->event)
                                      : event->status;
}

enum status policy_change_make(struct log *log, const char *directory, struct state *state,
                               const struct policy_set *policies, uint64_t now_ns,
                               struct detail *ret_detail)
{
    const struct change_place place = {
        .directory = directory, .end = log_durable(log), .now_ns = now_ns};
    struct window_fill *fill = NULL;
    struct accepted_record record;
    struct buffer event;
    struct decision *decision = calloc(1, sizeof *decision);
    if (decision == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    buffer_init(&event, POLICY_CHANGE_BYTES_MAX);
    enum status status =
        policy_change_record(state, policies->text, "the command line", now_ns, &event, &record);
    if (status == STATUS_OK)
        status = policy_change_fill(&place, state, policies, &fill, ret_detail);
    else
        detail_write(ret_detail, "the policy event cannot be made: %s", status_text(status));
    if (status == STATUS_OK)
        status = policy_change_add(fill, &record, ret_detail);
    if (status == STATUS_OK) {
        status = policy_change_apply(state, fill, &record, decision);
        if (status != STATUS_OK)
            detail_write(ret_detail, "out of memory");
    }
    window_fill_destroy(&fill);
    free(decision);
    if (status == STATUS_OK) /* its header holds the digest of the state behind it */
        status = event_append(log, state, &record, ret_detail);
    buffer_fini(&event);
    return status;
}
