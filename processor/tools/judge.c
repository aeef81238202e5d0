#include "processor/tools/judge_struct.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processor/policy_change.h"

struct judge *judge_new(const char *directory, struct findings *findings)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL)
        return NULL;
    judge->directory = directory;
    judge->findings = findings;
    buffer_init(&judge->shadow_keys, (size_t)2 * POLICIES_MAX * POLICY_KEY_BYTES_MAX);
    buffer_init(&judge->key, (size_t)2 * POLICY_KEY_BYTES_MAX);
    judge->proof = proof_new();
    judge->roll = roll_new();
    if (judge->proof == NULL || judge->roll == NULL)
        judge_destroy(&judge);
    return judge;
}

void judge_destroy(struct judge **judge)
{
    if (*judge == NULL)
        return;
    state_destroy(&(*judge)->state);
    proof_destroy(&(*judge)->proof);
    roll_destroy(&(*judge)->roll);
    buffer_fini(&(*judge)->shadow_keys);
    buffer_fini(&(*judge)->key);
    free(*judge);
    *judge = NULL;
}

enum status judge_begin(struct judge *judge, struct state *state)
{
    enum status status = proof_set_policies(judge->proof, state_policies(state));
    if (status != STATUS_OK)
        return status;
    state_destroy(&judge->state);
    judge->state = state;
    judge->proof_from_ns =
        state_position(state).last_time_ns + proof_longest_window_ns(judge->proof);
    return STATUS_OK;
}

struct judge_result judge_result(const struct judge *judge)
{
    return judge->result;
}

const struct state *judge_state(const struct judge *judge)
{
    return judge->state;
}

/* ---- findings ---- */

void judge_found(struct judge *judge, enum what of, uint64_t id, const char *format, ...)
{
    static const char *const kinds[] = {[OF_EVENT] = "event", [OF_REJECTION] = "rejection"};
    char where[FINDING_WHERE_BYTES_MAX];
    struct detail what;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what.text, sizeof what.text, format, arguments);
    va_end(arguments);
    int used = snprintf(where, sizeof where, "batch %" PRIu64, judge->batch->header.number);
    if (of != OF_BATCH)
        snprintf(where + used, sizeof where - (size_t)used, ", %s %" PRIu64, kinds[of], id);
    findings_add(judge->findings, where, what.text);
}

/* The log cannot be followed any further. */
enum status judge_lost(struct judge *judge, const char *what, struct detail *ret_detail)
{
    judge_found(judge, OF_BATCH, 0, "%s", what);
    return detail_set(ret_detail, STATUS_INVALID, "%s", what);
}

enum status judge_apply(struct judge *judge, struct detail *ret_detail)
{
    if (state_apply(judge->state, &judge->decision) == STATUS_OK)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory while folding the log");
}

void judge_wait_format(uint64_t wait_ns, char ret_text[WAIT_BYTES_MAX])
{
    if (wait_ns == RETRY_NEVER)
        snprintf(ret_text, WAIT_BYTES_MAX, "no wait");
    else
        snprintf(ret_text, WAIT_BYTES_MAX, "a wait of %" PRIu64 " ns", wait_ns);
}

/* ---- time ---- */

static enum status tick(struct judge *judge, uint64_t now_ns, struct detail *ret_detail)
{
    judge->now_ns = now_ns;
    admission_tick(now_ns, &judge->decision);
    return judge_apply(judge, ret_detail);
}

/* Time moves on to that of a record, which lies within those of its batch, in order. */
enum status judge_time_reach(struct judge *judge, enum what of, uint64_t id, uint64_t time_ns,
                             struct detail *ret_detail)
{
    if (time_ns == judge->now_ns)
        return STATUS_OK;
    if (time_ns > judge->now_ns && time_ns <= judge->batch->header.last_time_ns)
        return tick(judge, time_ns, ret_detail);
    judge_found(judge, of, id, "its time %" PRIu64 " is %s", time_ns,
                time_ns < judge->now_ns ? "before that of what stands before it"
                                        : "behind the last one of its batch");
    return STATUS_OK;
}

/* ---- acceptances ---- */

static void acceptance_compare(struct judge *judge, const struct accepted_record *record)
{
    const struct decision *decision = &judge->decision;
    if (decision->kind == DECISION_ACCEPT)
        return;
    char wait[WAIT_BYTES_MAX];
    judge_wait_format(decision->retry_after_ns, wait);
    judge_found(judge, OF_EVENT, record->event_id,
                "accepted, but decided again it is refused as %s by policy %s with %s %s",
                reason_text(decision->reason),
                decision->policy == POLICY_NONE
                    ? "-"
                    : state_policies(judge->state)->items[decision->policy].name,
                wait, decision->detail.text);
}

static enum status acceptance_judge(struct judge *judge, uint32_t index, struct detail *ret_detail)
{
    const struct accepted_record *record = &judge->records[index];
    struct candidate *candidate = &judge->group[index];
    struct detail what;
    judge_shadows_leave(judge);
    admission_decide(judge->state, candidate, judge->now_ns, &judge->decision);
    if (judge->decision.kind == DECISION_ACCEPT) {
        if (judge->decision.shadow_count > 0)
            judge_shadows_expect(judge);
    } else {
        acceptance_compare(judge, record);
        admission_recorded(judge->state, candidate, judge->now_ns, &judge->decision);
    }
    enum status status = judge_apply(judge, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = proof_accept(judge->proof, index, judge->now_ns, &what);
    if (status == STATUS_INVALID)
        judge_found(judge, OF_EVENT, record->event_id, "%s", what.text);
    return status == STATUS_INVALID ? STATUS_OK : status;
}

static enum status event_take(struct judge *judge, uint32_t index, struct detail *ret_detail)
{
    const struct accepted_record *record = &judge->records[index];
    struct candidate *candidate = &judge->group[index];
    if (record->event_id != state_position(judge->state).last_event_id + 1)
        return judge_lost(judge, "an event's id is not the next", ret_detail);
    enum status status =
        judge_time_reach(judge, OF_EVENT, record->event_id, record->accepted_at_ns, ret_detail);
    if (status == STATUS_OK && record->sequence != 0) {
        status = judge_source_find(judge, OF_EVENT, record->event_id, record->source,
                                   &candidate->source, ret_detail);
        if (status == STATUS_OK)
            status = judge_sequence_reach(judge, OF_EVENT, record->event_id, candidate->source,
                                          record->sequence, ret_detail);
    }
    if (status == STATUS_OK)
        status = acceptance_judge(judge, index, ret_detail);
    judge->result.events++;
    digest_add(&judge->result.records, judge->record_bytes[index].data,
               judge->record_bytes[index].size);
    return status;
}

/* Reads and prepares the next events, up to a group. */
static enum status group_read(struct judge *judge, struct mp_reader *reader, uint32_t *ret_count,
                              struct detail *ret_detail)
{
    uint32_t count = 0;
    while (count < PROOF_GROUP_MAX && !mp_at_end(reader)) {
        const uint8_t *first = reader->at;
        if (accepted_record_read(reader, &judge->records[count]) != STATUS_OK)
            return judge_lost(judge, "an accepted record cannot be read", ret_detail);
        judge->record_bytes[count++] = (struct slice){first, (size_t)(reader->at - first)};
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct accepted_record *record = &judge->records[i];
        struct candidate *candidate = &judge->group[i];
        candidate->event = record->event;
        candidate->source_name = record->source;
        candidate->source = SOURCE_NONE;
        candidate->sequence = record->sequence;
        admission_prepare(judge->state, candidate);
        proof_prepare(judge->proof, i, record->source, &record->event);
    }
    for (uint32_t i = 0; i < count; i++) {
        admission_prefetch(judge->state, &judge->group[i]);
        proof_prefetch(judge->proof, i);
    }
    for (uint32_t i = 0; i < count; i++)
        admission_prefetch_windows(judge->state, &judge->group[i]);
    *ret_count = count;
    return STATUS_OK;
}

/* ---- batches ---- */

static enum status events_take(struct judge *judge, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(judge->batch->accepted);
    while (!mp_at_end(&reader)) {
        uint32_t count = 0;
        enum status status = group_read(judge, &reader, &count, ret_detail);
        for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
            const struct accepted_record *record = &judge->records[i];
            status = judge_rejections_take(judge, record->event_id, ret_detail);
            if (status == STATUS_OK)
                status = event_take(judge, i, ret_detail);
            if (status == STATUS_OK && policy_change_is(record->source, &record->event))
                status = judge_policies_change(judge, record, ret_detail);
        }
        if (status != STATUS_OK)
            return status;
    }
    return judge_rejections_take(judge, UINT64_MAX, ret_detail);
}

/* Behind a batch: the state stands where its header says. */
static enum status batch_leave(struct judge *judge, struct detail *ret_detail)
{
    const struct batch_header *header = &judge->batch->header;
    struct position position = state_position(judge->state);
    if (position.last_event_id + 1 != header->first_event_id + header->event_count ||
        position.last_rejection_id + 1 != header->first_rejection_id + header->rejection_count)
        return judge_lost(judge, "its records are not those that its header counts", ret_detail);
    if (position.last_time_ns != header->last_time_ns)
        judge_found(judge, OF_BATCH, 0,
                    "its last time %" PRIu64 " is not that of its records, %" PRIu64,
                    header->last_time_ns, position.last_time_ns);
    uint64_t digest = state_digest(judge->state);
    if (header->state_digest != 0 && header->state_digest != digest)
        judge_found(judge, OF_BATCH, 0,
                    "the digest of the state behind it is %016" PRIx64
                    ", its header says %016" PRIx64,
                    digest, header->state_digest);
    return STATUS_OK;
}

static enum status ordinary_visit(struct judge *judge, struct detail *ret_detail)
{
    if (judge->state == NULL)
        return judge_lost(judge, "it stands before the log's genesis", ret_detail);
    memset(judge->summed_up, 0, sizeof judge->summed_up);
    judge->shadows_missing = 0;
    judge->last_source = SOURCE_NONE;
    judge->rejections = mp_reader_of(judge->batch->rejected);
    enum status status = tick(judge, judge->batch->header.first_time_ns, ret_detail);
    if (status == STATUS_OK)
        status = judge_sources_enter(judge, ret_detail);
    if (status == STATUS_OK)
        status = judge_rejection_read_next(judge, ret_detail);
    if (status == STATUS_OK)
        status = events_take(judge, ret_detail);
    judge_shadows_leave(judge);
    if (status == STATUS_OK)
        status = judge_sources_leave(judge, ret_detail);
    return status == STATUS_OK ? batch_leave(judge, ret_detail) : status;
}

static enum status genesis_visit(struct judge *judge, struct detail *ret_detail)
{
    char *text = calloc(1, POLICY_TEXT_BYTES_MAX);
    struct policy_set *policies = calloc(1, sizeof *policies);
    struct genesis genesis;
    struct hash_seed seed = state_seed(judge->batch->salt);
    enum status status = STATUS_NO_MEMORY;
    detail_write(ret_detail, "out of memory");
    if (text == NULL || policies == NULL)
        goto out;
    if (genesis_read(judge->batch->sources, &genesis) != STATUS_OK ||
        genesis.policy_text.size >= POLICY_TEXT_BYTES_MAX) {
        status = judge_lost(judge, "the log's genesis record cannot be read", ret_detail);
        goto out;
    }
    memcpy(text, genesis.policy_text.data, genesis.policy_text.size);
    status = policy_set_parse(text, "the log's genesis", policies, ret_detail);
    if (status != STATUS_OK) {
        status = judge_lost(judge, "the policies in the log's genesis record cannot be read",
                            ret_detail);
        goto out;
    }
    judge->state = state_new(policies, &seed);
    status = judge->state == NULL ? STATUS_NO_MEMORY : proof_set_policies(judge->proof, policies);
out:
    free(text);
    free(policies);
    return status;
}

enum status judge_visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct judge *judge = context;
    judge->batch = batch;
    judge->result.batches++;
    if (batch->header.kind == BATCH_GENESIS)
        return genesis_visit(judge, ret_detail);
    return ordinary_visit(judge, ret_detail);
}
