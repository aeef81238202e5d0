#include "processor/verdict.h"

static void rejection_name_policy(struct draft *draft, struct rejection *rejection, uint32_t policy,
                                  uint32_t charge)
{
    const struct policy *named = &state_policies(draft->state)->items[policy];
    rejection->policy = slice_of_text(named->name);
    buffer_clear(&draft->key);
    policy_key_write(&draft->decision.charges[charge].key, &draft->key);
    rejection->key = buffer_slice(&draft->key);
}

/* What a refused sequence leaves: its record, its place in the ack, its verdict in the state. */
void verdict_refuse(struct draft *draft, struct slice source_name, struct rejection *rejection)
{
    const struct decision *decision = &draft->decision;
    counter_add(&draft->service->counters.refused[decision->reason], decision->count);
    rejection->reason = decision->reason;
    rejection->source = source_name;
    rejection->has_sequence = true;
    rejection->sequence = decision->sequence;
    rejection->count = decision->count;
    rejection->retry_after_ns = decision->retry_after_ns;
    if (rejection->detail.size == 0)
        rejection->detail = slice_of_text(decision->detail.text);
    if (decision->policy != POLICY_NONE)
        rejection_name_policy(draft, rejection, decision->policy, decision->policy_charge);
    struct refusal refusal = {.sequence = decision->sequence,
                              .has_reason = true,
                              .reason = decision->reason,
                              .policy = rejection->policy,
                              .retry_after_ns = decision->retry_after_ns};
    uint64_t count = decision->count;
    uint32_t source = decision->source;
    draft_apply(draft);
    if (source != SOURCE_NONE && ledger_refuse(draft->ledger, draft->batch, draft->state, source,
                                               &refusal, count) != STATUS_OK)
        draft_fail(draft, "no memory for the verdicts of a batch");
    draft_record(draft, rejection);
}

/* Shadow policies report what they would have refused; the event itself passes. */
static void shadows_report(struct draft *draft, const struct candidate *candidate)
{
    uint32_t count = draft->decision.shadow_count;
    for (uint32_t i = 0; i < count; i++) {
        struct shadow_report report = draft->decision.shadows[i];
        struct rejection rejection = {.reason = REASON_SHADOW,
                                      .source = candidate->source_name,
                                      .has_sequence = true,
                                      .sequence = candidate->sequence,
                                      .count = 1,
                                      .retry_after_ns = report.retry_after_ns,
                                      .type = candidate->event.type,
                                      .subject = candidate->event.subject};
        rejection_name_policy(draft, &rejection, report.policy, report.charge);
        counter_add(&draft->service->counters.refused[REASON_SHADOW], 1);
        draft_record(draft, &rejection);
    }
}

static void accept(struct draft *draft, const struct candidate *candidate)
{
    struct batch *batch = draft->batch;
    uint8_t *at = batch->accepted.data + batch->accepted.size;
    uint8_t *end =
        accepted_record_put(at, draft->decision.event_id, draft->now_ns, candidate->source_name,
                            candidate->sequence, candidate->event.raw);
    batch->accepted.size += (size_t)(end - at);
    batch->header.event_count++;
    draft_apply(draft);
    if (candidate->source != SOURCE_NONE)
        ledger_accept(draft->ledger, candidate->source, candidate->sequence);
    if (draft->decision.shadow_count > 0)
        shadows_report(draft, candidate);
}

bool verdict_reach(struct draft *draft, const struct candidate *candidate)
{
    admission_decide(draft->state, candidate, draft->now_ns, &draft->decision);
    if (draft->decision.kind == DECISION_ACCEPT) {
        accept(draft, candidate);
        return true;
    }
    struct rejection rejection = {.type = candidate->event.type,
                                  .subject = candidate->event.subject,
                                  .evidence = candidate->event.raw,
                                  .evidence_is_event = true};
    verdict_refuse(draft, candidate->source_name, &rejection);
    return false;
}
