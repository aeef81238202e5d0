#include "processor/recover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/array.h"
#include "processor/core/admission.h"
#include "processor/policy_change.h"

/* A source that the batch at hand touched, and how far its refused sequences have been applied. */
struct returning {
    uint32_t source;
    uint64_t last_sequence;
    struct refused_run run; /* the next one; count 0: none left */
    uint32_t runs_left;     /* in the reader */
    struct mp_reader runs;
};

struct recovery {
    const char *directory; /* the store's */
    struct state *state;
    struct genesis genesis;
    char policy_text[POLICY_TEXT_BYTES_MAX];
    struct buffer genesis_record;
    struct slice only; /* as in state_narrow */
    struct fold_end end;
    bool ended;
    struct returning *returning; /* the batch's sources */
    uint32_t returning_count, returning_capacity;
    uint32_t *returning_of; /* source slot → index into returning, for this batch */
    uint32_t returning_of_count;
    uint64_t now_ns; /* of what was applied last in the batch at hand */
    struct accepted_record records[ADMISSION_GROUP_MAX]; /* the group that is being applied */
    struct candidate group[ADMISSION_GROUP_MAX];
    struct decision decision;
};

struct recovery *recovery_new(const char *directory)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery == NULL)
        return NULL;
    recovery->directory = directory;
    recovery->end = (struct fold_end){.event_id = UINT64_MAX, .time_ns = UINT64_MAX};
    buffer_init(&recovery->genesis_record, GENESIS_BYTES_MAX);
    return recovery;
}

void recovery_destroy(struct recovery **recovery)
{
    if (*recovery == NULL)
        return;
    state_destroy(&(*recovery)->state);
    buffer_fini(&(*recovery)->genesis_record);
    free((*recovery)->returning);
    free((*recovery)->returning_of);
    free(*recovery);
    *recovery = NULL;
}

struct state *recovery_take_state(struct recovery *recovery)
{
    struct state *state = recovery->state;
    recovery->state = NULL;
    return state;
}

const struct genesis *recovery_genesis(const struct recovery *recovery)
{
    return &recovery->genesis;
}

const struct state *recovery_state(const struct recovery *recovery)
{
    return recovery->state;
}

struct slice recovery_genesis_record(const struct recovery *recovery)
{
    return buffer_slice(&recovery->genesis_record);
}

void recovery_narrow(struct recovery *recovery, struct slice key)
{
    recovery->only = key;
}

void recovery_end_at(struct recovery *recovery, struct fold_end end)
{
    recovery->end = end;
}

static enum status genesis_keep(struct recovery *recovery, struct slice record,
                                struct detail *ret_detail)
{
    struct genesis genesis;
    if (record.data != recovery->genesis_record.data) {
        buffer_clear(&recovery->genesis_record);
        buffer_append(&recovery->genesis_record, record.data, record.size);
    }
    if (genesis_read(record, &genesis) != STATUS_OK ||
        recovery->genesis_record.status != STATUS_OK ||
        genesis.policy_text.size >= sizeof recovery->policy_text)
        return detail_set(ret_detail, STATUS_DAMAGED, "the log's genesis record cannot be read");
    memcpy(recovery->policy_text, genesis.policy_text.data, genesis.policy_text.size);
    recovery->policy_text[genesis.policy_text.size] = '\0';
    recovery->genesis = genesis;
    recovery->genesis.policy_text = slice_of_text(recovery->policy_text);
    return STATUS_OK;
}

enum status recovery_resume(struct recovery *recovery, struct slice genesis, struct state *state,
                            struct detail *ret_detail)
{
    enum status status = genesis_keep(recovery, genesis, ret_detail);
    if (status == STATUS_OK)
        recovery->state = state;
    return status;
}

static enum status genesis_visit(struct recovery *recovery, const struct batch_view *batch,
                                 struct detail *ret_detail)
{
    enum status status = genesis_keep(recovery, batch->sources, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct policy_set *policies = calloc(1, sizeof *policies);
    if (policies == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    status = policy_set_parse(recovery->policy_text, "the log's genesis", policies, ret_detail);
    if (status == STATUS_OK) {
        struct hash_seed seed = state_seed(batch->salt);
        recovery->state = state_new(policies, &seed);
        if (recovery->state == NULL)
            status = detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
        else
            state_narrow(recovery->state, recovery->only);
    }
    free(policies);
    return status;
}

static enum status apply(struct recovery *recovery, struct detail *ret_detail)
{
    if (state_apply(recovery->state, &recovery->decision) == STATUS_OK)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory while folding the log");
}

static enum status impossible(const struct batch_view *batch, const char *what,
                              struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_DAMAGED, "batch %" PRIu64 ": %s", batch->header.number,
                      what);
}

/* ---- the sources of a batch ---- */

static enum status returning_reach(struct recovery *recovery, uint32_t source)
{
    void *reached = array_reach(recovery->returning, &recovery->returning_capacity,
                                recovery->returning_count, sizeof *recovery->returning);
    if (reached == NULL)
        return STATUS_NO_MEMORY;
    recovery->returning = reached;
    if (source >= recovery->returning_of_count) {
        uint32_t count = source < 64 ? 128 : 2 * source;
        void *grown = realloc(recovery->returning_of, count * sizeof *recovery->returning_of);
        if (grown == NULL)
            return STATUS_NO_MEMORY;
        recovery->returning_of = grown;
        for (uint32_t i = recovery->returning_of_count; i < count; i++)
            recovery->returning_of[i] = UINT32_MAX;
        recovery->returning_of_count = count;
    }
    return STATUS_OK;
}

static enum status run_advance(struct returning *returning)
{
    returning->run.count = 0;
    if (returning->runs_left == 0)
        return STATUS_OK;
    returning->runs_left--;
    return refused_run_read(&returning->runs, &returning->run);
}

static enum status source_enter(struct recovery *recovery, const struct batch_view *batch,
                                const struct source_record *record, struct detail *ret_detail)
{
    uint32_t source = state_find_source(recovery->state, record->source);
    if (source == SOURCE_NONE || state_source(recovery->state, source).epoch < record->epoch) {
        recovery->decision = (struct decision){.kind = DECISION_HELLO,
                                               .time_ns = batch->header.first_time_ns,
                                               .source = source,
                                               .name = record->source,
                                               .epoch = record->epoch};
        enum status status = apply(recovery, ret_detail);
        if (status != STATUS_OK)
            return status;
        source = state_find_source(recovery->state, record->source);
    }
    if (returning_reach(recovery, source) != STATUS_OK)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory while folding the log");
    recovery->returning_of[source] = recovery->returning_count;
    struct returning *returning = &recovery->returning[recovery->returning_count++];
    *returning = (struct returning){.source = source,
                                    .last_sequence = record->last_sequence,
                                    .runs_left = record->run_count,
                                    .runs = record->runs};
    if (run_advance(returning) != STATUS_OK)
        return impossible(batch, "a source record cannot be read", ret_detail);
    return STATUS_OK;
}

static enum status sources_enter(struct recovery *recovery, const struct batch_view *batch,
                                 struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(batch->sources);
    while (!mp_at_end(&reader)) {
        struct source_record record;
        if (source_record_read(&reader, &record) != STATUS_OK)
            return impossible(batch, "a source record cannot be read", ret_detail);
        enum status status = source_enter(recovery, batch, &record, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Applies the refusals of a source that come before `sequence`. */
static enum status refusals_apply(struct recovery *recovery, const struct batch_view *batch,
                                  struct returning *returning, uint64_t sequence,
                                  struct detail *ret_detail)
{
    while (returning->run.count > 0 && returning->run.first < sequence) {
        uint64_t last = state_source(recovery->state, returning->source).last_sequence;
        if (returning->run.first != last + 1)
            return impossible(batch, "a refused sequence is not the next", ret_detail);
        admission_refuse(recovery->state, returning->source, returning->run.first,
                         returning->run.count, REASON_RATE_LIMITED, recovery->now_ns,
                         &recovery->decision);
        enum status status = apply(recovery, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (run_advance(returning) != STATUS_OK)
            return impossible(batch, "a source record cannot be read", ret_detail);
    }
    return STATUS_OK;
}

static enum status sources_leave(struct recovery *recovery, const struct batch_view *batch,
                                 struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < recovery->returning_count && status == STATUS_OK; i++) {
        struct returning *returning = &recovery->returning[i];
        status = refusals_apply(recovery, batch, returning, UINT64_MAX, ret_detail);
        if (status == STATUS_OK && state_source(recovery->state, returning->source).last_sequence !=
                                       returning->last_sequence)
            status = impossible(batch, "a source's sequences do not add up", ret_detail);
        recovery->returning_of[returning->source] = UINT32_MAX;
    }
    recovery->returning_count = 0;
    return status;
}

/* ---- the accepted events of a batch ---- */

/* Time moves on to `now_ns`. */
static enum status tick(struct recovery *recovery, uint64_t now_ns, struct detail *ret_detail)
{
    recovery->now_ns = now_ns;
    admission_tick(now_ns, &recovery->decision);
    return apply(recovery, ret_detail);
}

/* Online a batch has one time; a batch of recorded events has that of each. */
static enum status time_expect(struct recovery *recovery, const struct batch_view *batch,
                               uint64_t accepted_at_ns, struct detail *ret_detail)
{
    if (accepted_at_ns == recovery->now_ns)
        return STATUS_OK;
    if (accepted_at_ns < recovery->now_ns || accepted_at_ns > batch->header.last_time_ns)
        return impossible(batch, "an event's time is not within those of its batch, in order",
                          ret_detail);
    return tick(recovery, accepted_at_ns, ret_detail);
}

static enum status sequence_expect(struct recovery *recovery, const struct batch_view *batch,
                                   const struct accepted_record *record, uint32_t *ret_source,
                                   struct detail *ret_detail)
{
    uint32_t source = state_find_source(recovery->state, record->source);
    if (source == SOURCE_NONE || source >= recovery->returning_of_count ||
        recovery->returning_of[source] == UINT32_MAX)
        return impossible(batch, "an accepted event's source is not in the batch", ret_detail);
    struct returning *returning = &recovery->returning[recovery->returning_of[source]];
    enum status status = refusals_apply(recovery, batch, returning, record->sequence, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (state_source(recovery->state, source).last_sequence + 1 != record->sequence)
        return impossible(batch, "an accepted sequence is not the next", ret_detail);
    *ret_source = source;
    return STATUS_OK;
}

static enum status accepted_apply(struct recovery *recovery, const struct batch_view *batch,
                                  uint32_t place, struct detail *ret_detail)
{
    const struct accepted_record *record = &recovery->records[place];
    struct candidate *candidate = &recovery->group[place];
    if (record->event_id != state_position(recovery->state).last_event_id + 1)
        return impossible(batch, "an event id is not the next", ret_detail);
    enum status status = time_expect(recovery, batch, record->accepted_at_ns, ret_detail);
    if (status == STATUS_OK && record->sequence != 0)
        status = sequence_expect(recovery, batch, record, &candidate->source, ret_detail);
    if (status != STATUS_OK)
        return status;
    admission_recorded(recovery->state, candidate, record->accepted_at_ns, &recovery->decision);
    return apply(recovery, ret_detail);
}

/* Other policies from here on: their windows are filled from the log up to and with this batch. */
static enum status policy_visit(struct recovery *recovery, const struct batch_view *batch,
                                const struct accepted_record *record, struct detail *ret_detail)
{
    struct policy_set *policies;
    struct window_fill *fill = NULL;
    const struct batch_header *header = &batch->header;
    const struct change_place place = {.directory = recovery->directory,
                                       .end = {.last_batch = header->number,
                                               .last_event_id = header->first_event_id,
                                               .last_rejection_id = header->first_rejection_id - 1,
                                               .last_time_ns = header->last_time_ns,
                                               .segment = batch->segment,
                                               .offset = batch->end_offset},
                                       .now_ns = record->accepted_at_ns};
    if (header->event_count != 1)
        return impossible(batch, "a policy change is not alone", ret_detail);
    if (state_is_narrow(recovery->state))
        return detail_set(ret_detail, STATUS_UNAVAILABLE, "the state is narrow");
    enum status status = policy_change_read(&record->event, &policies, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = policy_change_fill(&place, recovery->state, policies, &fill, ret_detail);
    free(policies);
    if (status == STATUS_GONE && ret_detail != NULL) {
        const struct detail why = *ret_detail;
        detail_write(ret_detail, "event %" PRIu64 " changed the policies: %s", record->event_id,
                     why.text);
    }
    if (status != STATUS_OK)
        return status;
    window_fill_decide(fill, record->accepted_at_ns, &recovery->decision);
    status = apply(recovery, ret_detail);
    window_fill_destroy(&fill);
    return status;
}

/* Does the fold end before this event? */
static bool ends_before(struct recovery *recovery, uint64_t event_id, uint64_t time_ns)
{
    if (event_id <= recovery->end.event_id && time_ns <= recovery->end.time_ns)
        return false;
    recovery->ended = true;
    return true;
}

/* Reads and prepares the next events, up to a group, so that the cache misses of all of them
 * overlap. A policy change is alone in its batch, so the policies are the same for all. */
static enum status group_read(struct recovery *recovery, struct mp_reader *reader,
                              uint32_t *ret_count)
{
    uint32_t count = 0;
    for (; count < ADMISSION_GROUP_MAX && !mp_at_end(reader); count++) {
        struct accepted_record *record = &recovery->records[count];
        struct candidate *candidate = &recovery->group[count];
        if (accepted_record_read(reader, record) != STATUS_OK)
            return STATUS_DAMAGED;
        candidate->event = record->event;
        candidate->source_name = record->source;
        candidate->sequence = record->sequence;
        candidate->source = SOURCE_NONE;
        admission_prepare(recovery->state, candidate);
    }
    for (uint32_t i = 0; i < count; i++)
        admission_prefetch(recovery->state, &recovery->group[i]);
    for (uint32_t i = 0; i < count; i++)
        admission_prefetch_windows(recovery->state, &recovery->group[i]);
    *ret_count = count;
    return STATUS_OK;
}

static enum status group_apply(struct recovery *recovery, const struct batch_view *batch,
                               uint32_t count, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct accepted_record *record = &recovery->records[i];
        if (ends_before(recovery, record->event_id, record->accepted_at_ns))
            return STATUS_OK;
        status = accepted_apply(recovery, batch, i, ret_detail);
        if (status == STATUS_OK && policy_change_is(record->source, &record->event))
            status = policy_visit(recovery, batch, record, ret_detail);
    }
    return status;
}

static enum status accepted_visit(struct recovery *recovery, const struct batch_view *batch,
                                  struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(batch->accepted);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !mp_at_end(&reader) && !recovery->ended) {
        uint32_t count = 0;
        if (group_read(recovery, &reader, &count) != STATUS_OK)
            return impossible(batch, "an accepted record cannot be read", ret_detail);
        status = group_apply(recovery, batch, count, ret_detail);
    }
    return status;
}

static enum status rejected_visit(struct recovery *recovery, const struct batch_view *batch,
                                  struct detail *ret_detail)
{
    if (batch->header.rejection_count == 0)
        return STATUS_OK;
    recovery->decision = (struct decision){.kind = DECISION_RECORDED,
                                           .time_ns = batch->header.last_time_ns,
                                           .count = batch->header.rejection_count};
    return apply(recovery, ret_detail);
}

/* The state behind the batch is that of whoever wrote it. */
static enum status digest_expect(struct recovery *recovery, const struct batch_view *batch,
                                 struct detail *ret_detail)
{
    const struct batch_header *header = &batch->header;
    uint64_t folded = state_digest(recovery->state);
    if (header->state_digest == 0 || header->state_digest == folded)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_DIVERGED,
                      "batch %" PRIu64 " (up to event %" PRIu64 ", rejection %" PRIu64
                      "): the state's digest was %016" PRIx64
                      " when it was written, folding the log gives %016" PRIx64
                      ". This is a bug: please report it, and keep the store",
                      header->number, header->first_event_id + header->event_count - 1,
                      header->first_rejection_id + header->rejection_count - 1,
                      header->state_digest, folded);
}

/* Behind the last event that is asked for; time passes up to the end. */
static enum status end_here(struct recovery *recovery, struct detail *ret_detail)
{
    uint64_t end_ns = recovery->end.time_ns;
    recovery->ended = true;
    for (uint32_t i = 0; i < recovery->returning_count; i++)
        recovery->returning_of[recovery->returning[i].source] = UINT32_MAX;
    recovery->returning_count = 0;
    if (end_ns == UINT64_MAX || end_ns <= state_position(recovery->state).last_time_ns)
        return STATUS_END;
    enum status status = tick(recovery, end_ns, ret_detail);
    return status == STATUS_OK ? STATUS_END : status;
}

/* The records of the batch are all applied. */
static enum status batch_close(struct recovery *recovery, const struct batch_view *batch,
                               struct detail *ret_detail)
{
    enum status status = sources_leave(recovery, batch, ret_detail);
    if (status == STATUS_OK)
        status = rejected_visit(recovery, batch, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct position position = state_position(recovery->state);
    if (position.last_event_id + 1 != batch->header.first_event_id + batch->header.event_count ||
        position.last_rejection_id + 1 !=
            batch->header.first_rejection_id + batch->header.rejection_count)
        return impossible(batch, "its records are not those that its header counts", ret_detail);
    if (position.last_time_ns != batch->header.last_time_ns)
        return impossible(batch, "its last time is not that of its records", ret_detail);
    return digest_expect(recovery, batch, ret_detail);
}

static enum status ordinary_visit(struct recovery *recovery, const struct batch_view *batch,
                                  struct detail *ret_detail)
{
    if (recovery->state == NULL)
        return impossible(batch, "it stands before the log's genesis", ret_detail);
    if (ends_before(recovery, batch->header.first_event_id, batch->header.first_time_ns))
        return end_here(recovery, ret_detail);
    enum status status = tick(recovery, batch->header.first_time_ns, ret_detail);
    if (status == STATUS_OK)
        status = sources_enter(recovery, batch, ret_detail);
    if (status == STATUS_OK)
        status = accepted_visit(recovery, batch, ret_detail);
    if (status != STATUS_OK)
        return status;
    return recovery->ended ? end_here(recovery, ret_detail)
                           : batch_close(recovery, batch, ret_detail);
}

enum status recovery_visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct recovery *recovery = context;
    if (batch->header.kind == BATCH_GENESIS)
        return genesis_visit(recovery, batch, ret_detail);
    return ordinary_visit(recovery, batch, ret_detail);
}

enum status recovery_finish(struct recovery *recovery, struct detail *ret_detail)
{
    if (recovery->state == NULL)
        return detail_set(ret_detail, STATUS_DAMAGED, "the log has no genesis");
    enum status status = end_here(recovery, ret_detail);
    return status == STATUS_END ? STATUS_OK : status;
}
