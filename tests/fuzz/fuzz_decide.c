/* Any bytes as a submission, taken all the way that the core thread takes them: read, decided under
 * policies, applied, recorded, acknowledged. Whatever the bytes were, what goes to the log and to
 * subscribers can be read again. */
#include <stdlib.h>
#include <string.h>

#include "common/wire/feed.h"
#include "common/wire/submission.h"
#include "processor/core/admission.h"
#include "processor/ledger.h"
#include "processor/recorder.h"
#include "processor/store/source_record.h"

enum { NOW_NS = 1000000000, RECORDED_ONE_BY_ONE = 4 };

static const char policies_text[] = "[policy \"cost\"]\nkey = data.k\ncost = data.n\nquota = 9\n"
                                    "window = 1h\nmax_keys = 3\n"
                                    "[policy \"deep\"]\nmatch = o*\nkey = data.a.b\nquota = 2\n"
                                    "window = 1s\n"
                                    "[policy \"watch\"]\nkey = subject\nquota = 1\nwindow = 1s\n"
                                    "mode = shadow\n";

static const struct log_id log_id = {.bytes = "0123456789abcdef"};

/* Kept from input to input; only state and recorder are new for each. */
static struct {
    struct policy_set policies;
    struct hash_seed seed;
    struct batch_pool *pool;
    struct ledger *ledger;
    struct candidate candidate;
    struct decision decision;
    struct buffer key;
} fixed;

/* One input. */
struct run {
    struct state *state;
    struct recorder *recorder;
    struct batch *batch;
    struct submission_header header;
    uint32_t source;
    uint64_t sequences; /* used */
    uint64_t accepted;
    uint64_t refused; /* sum of what must be recorded */
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void set_up(void)
{
    struct detail detail;
    require(policy_set_parse(policies_text, "fuzz", &fixed.policies, &detail) == STATUS_OK);
    fixed.pool = batch_pool_new();
    fixed.ledger = ledger_new(&log_id);
    buffer_init(&fixed.key, 1024);
}

static void record(struct run *run, struct rejection *rejection)
{
    struct position position = state_position(run->state);
    rejection->rejection_id = position.last_rejection_id + 1;
    rejection->rejected_at_ns = NOW_NS;
    run->refused += rejection->count;
    fixed.decision.kind = DECISION_RECORDED;
    fixed.decision.count = recorder_take(run->recorder, rejection, &run->batch->rejected);
    if (fixed.decision.count > 0)
        require(state_apply(run->state, &fixed.decision) == STATUS_OK);
}

static void refuse(struct run *run, struct rejection *rejection)
{
    const struct decision *decision = &fixed.decision;
    rejection->reason = decision->reason;
    rejection->source = run->header.source;
    rejection->has_sequence = true;
    rejection->sequence = decision->sequence;
    rejection->count = decision->count;
    rejection->retry_after_ns = decision->retry_after_ns;
    if (rejection->detail.size == 0)
        rejection->detail = slice_of_text(decision->detail.text);
    if (decision->policy != POLICY_NONE) {
        rejection->policy = slice_of_text(fixed.policies.items[decision->policy].name);
        buffer_clear(&fixed.key);
        policy_key_write(&decision->charges[decision->policy_charge].key, &fixed.key);
        rejection->key = buffer_slice(&fixed.key);
    }
    struct refusal refusal = {.sequence = decision->sequence,
                              .has_reason = true,
                              .reason = decision->reason,
                              .policy = rejection->policy,
                              .retry_after_ns = decision->retry_after_ns};
    require(state_apply(run->state, decision) == STATUS_OK);
    require(ledger_refuse(fixed.ledger, run->batch, run->state, run->source, &refusal,
                          decision->count) == STATUS_OK);
    run->sequences += decision->count;
    record(run, rejection);
}

static void accept(struct run *run)
{
    struct batch *batch = run->batch;
    const struct candidate *candidate = &fixed.candidate;
    uint8_t *at = batch->accepted.data + batch->accepted.size;
    uint8_t *end = accepted_record_put(at, fixed.decision.event_id, NOW_NS, candidate->source_name,
                                       candidate->sequence, candidate->event.raw);
    batch->accepted.size += (size_t)(end - at);
    require(state_apply(run->state, &fixed.decision) == STATUS_OK);
    ledger_accept(fixed.ledger, run->source, candidate->sequence);
    run->accepted++;
    run->sequences++;
}

/* False when what follows cannot be told apart. */
static bool event_take(struct run *run, struct mp_reader *reader)
{
    static const enum reason reasons[] = {[STATUS_MALFORMED] = REASON_MALFORMED,
                                          [STATUS_TOO_LARGE] = REASON_TOO_LARGE,
                                          [STATUS_INVALID] = REASON_INVALID};
    struct candidate *candidate = &fixed.candidate;
    struct slice raw = {reader->at, (size_t)(reader->end - reader->at)};
    struct detail detail;
    enum status status = event_read(reader, &candidate->event, &raw, &detail);
    candidate->source_name = run->header.source;
    candidate->source = run->source;
    candidate->sequence = 1 + run->sequences;
    struct rejection rejection = {.evidence = raw};
    if (status != STATUS_OK) {
        uint64_t count = status == STATUS_MALFORMED ? run->header.count - run->sequences : 1;
        rejection.detail = slice_of_text(detail.text);
        admission_refuse(run->state, run->source, candidate->sequence, count, reasons[status],
                         NOW_NS, &fixed.decision);
        refuse(run, &rejection);
        return status != STATUS_MALFORMED;
    }
    admission_prepare(run->state, candidate);
    admission_decide(run->state, candidate, NOW_NS, &fixed.decision);
    if (fixed.decision.kind == DECISION_ACCEPT) {
        accept(run);
        return true;
    }
    rejection.type = candidate->event.type;
    rejection.subject = candidate->event.subject;
    rejection.evidence = candidate->event.raw;
    rejection.evidence_is_event = true;
    refuse(run, &rejection);
    return true;
}

static void submission_take(struct run *run, struct slice bytes)
{
    struct mp_reader reader = mp_reader_of(bytes);
    struct detail detail;
    if (submission_read_header(&reader, &run->header, &detail) != STATUS_OK) {
        struct rejection rejection = {.reason = REASON_MALFORMED,
                                      .count = 1,
                                      .retry_after_ns = RECORD_NEVER,
                                      .detail = slice_of_text(detail.text),
                                      .evidence = bytes};
        record(run, &rejection);
        return;
    }
    require(admission_hello(run->state, run->header.source, NOW_NS, &fixed.decision) == STATUS_OK);
    require(state_apply(run->state, &fixed.decision) == STATUS_OK);
    run->source = state_find_source(run->state, run->header.source);
    require(ledger_touch(fixed.ledger, run->state, run->source) == STATUS_OK);
    while (run->sequences < run->header.count && event_take(run, &reader)) {
    }
    require(run->sequences == run->header.count);
}

/* ---- reading it again ----------------------------------------------------------------------- */

static void accepted_check(const struct run *run)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&run->batch->accepted));
    uint64_t id = 0;
    while (!mp_at_end(&reader)) {
        struct accepted_record read;
        require(accepted_record_read(&reader, &read) == STATUS_OK && read.event_id == ++id);
    }
    require(id == run->accepted);
}

static void rejected_check(const struct run *run)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&run->batch->rejected));
    uint64_t id = 0, sum = 0;
    while (!mp_at_end(&reader)) {
        struct rejection read;
        require(rejection_read(&reader, &read) == STATUS_OK && read.rejection_id == ++id);
        sum += read.count;
    }
    require(sum == run->refused);
}

static void acks_check(const struct run *run)
{
    struct slice source, frame;
    size_t offset = 0;
    uint64_t covered = 0;
    while (batch_ack_next(run->batch, &offset, &source, &frame)) {
        struct ack ack;
        require(ack_read(frame, &ack) == STATUS_OK && slice_equal(ack.source, run->header.source));
        struct mp_reader reader = mp_reader_of(ack.refusals);
        for (uint32_t i = 0; i < ack.refusal_count; i++) {
            struct refusal refusal;
            require(refusal_read(&reader, &refusal) == STATUS_OK);
            require(refusal.sequence >= ack.first_sequence);
            require(refusal.sequence <= ack.last_sequence);
        }
        covered += ack.last_sequence - ack.first_sequence + 1;
    }
    require(covered == 2 * run->sequences); /* told once, and again to the resend */
}

static void source_record_check(const struct run *run)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&run->batch->sources));
    struct source_record read;
    if (run->sequences == 0)
        return;
    require(source_record_read(&reader, &read) == STATUS_OK && mp_at_end(&reader));
    require(read.last_sequence == run->sequences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fixed.pool == NULL)
        set_up();
    struct run run = {.state = state_new(&fixed.policies, &fixed.seed),
                      .recorder = recorder_new(RECORDED_ONE_BY_ONE),
                      .batch = batch_pool_take(fixed.pool)};
    require(run.state != NULL && run.recorder != NULL && run.batch != NULL);
    admission_tick(NOW_NS, &fixed.decision);
    require(state_apply(run.state, &fixed.decision) == STATUS_OK);
    submission_take(&run, (struct slice){data, size});
    struct position position = state_position(run.state);
    (void)recorder_close(run.recorder, position.last_rejection_id + 1, NOW_NS,
                         position.last_event_id, &run.batch->rejected);
    ledger_close(fixed.ledger, run.batch, run.state);
    if (run.sequences > 0)
        ledger_resend(fixed.ledger, run.batch, run.state, run.source, 1, run.sequences);
    ledger_close(fixed.ledger, run.batch, run.state);
    accepted_check(&run);
    rejected_check(&run);
    acks_check(&run);
    source_record_check(&run);
    batch_release(run.batch);
    recorder_destroy(&run.recorder);
    state_destroy(&run.state);
    return 0;
}
