#include "processor/ledger.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/array.h"
#include "common/event/codec.h"
#include "processor/store/source_record.h"

enum {
    REDIRECT_EVERY_NS = 100 * 1000 * 1000, /* one gap or fenced answer per source and this time */
    SOURCE_RECORD_BYTES_MAX = 1 + 2 + EVENT_SOURCE_BYTES_MAX + 9 + 9 + 5, /* without its runs */
    RUN_BYTES_MAX = 2 * CODEC_UINT_BYTES_MAX,
    RESEND_REFUSAL_BYTES_MAX = 1 + CODEC_UINT_BYTES_MAX + 3, /* without reason and policy */
    ACK_REFUSALS_BYTES_MAX = ACK_REFUSALS_MAX * 160,
    ACK_FRAME_BYTES_MAX = ACK_REFUSALS_BYTES_MAX + 256,
    /* of one ack in a batch, without its refusals */
    ACK_OVERHEAD_BYTES_MAX = 2 * EVENT_SOURCE_BYTES_MAX + 128,
    /* What an entry may keep from batch to batch, and how many may keep something. */
    TOUCHED_BYTES_KEPT = 64 * 1024,
    TOUCHED_KEPT = 256,
    UNTOUCHED = UINT32_MAX,
};

/* What this batch did for one source. Entries are reused from batch to batch, the first ones with
 * their memory. */
struct touched {
    uint32_t source;
    uint64_t ack_first; /* first sequence of the ack being built; 0: none decided yet */
    uint64_t last;      /* newest sequence used in this batch; 0: none */
    struct buffer refusals;
    uint32_t refusal_count;
    struct refused_run *runs;
    uint32_t run_count, run_capacity;
};

/* What is to be answered to the resends of one source, with one ack for all where they join. */
struct resend {
    uint32_t source;
    uint64_t first; /* 0: answered */
    uint64_t last;
};

/* Kept per source from batch to batch. */
struct note {
    uint32_t touched;      /* index into touched, or UNTOUCHED */
    uint32_t resend;       /* index into resends, or UNTOUCHED */
    uint64_t gap_at_ns;    /* the last gap answer */
    uint64_t fenced_at_ns; /* the last fenced answer: an old holder must not silence the new one */
};

struct ledger {
    struct log_id log_id;
    struct note *notes; /* by source slot */
    uint32_t note_count;
    struct touched *touched;
    uint32_t touched_count, touched_capacity;
    struct resend *resends;
    uint32_t resend_count, resend_capacity;
    uint64_t resend_total;        /* sequences, over all resends */
    uint64_t run_total;           /* over all touched */
    uint64_t refusal_bytes_total; /* over all touched: refusals that no ack has taken yet */
    struct note strangers;        /* the allowance that unknown sources share */
    struct buffer frame;          /* scratch for one ack */
    struct buffer refusals;       /* scratch for the ack of a resend */
};

struct ledger *ledger_new(const struct log_id *log_id)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return NULL;
    ledger->log_id = *log_id;
    buffer_init(&ledger->frame, ACK_FRAME_BYTES_MAX);
    buffer_init(&ledger->refusals, ACK_REFUSALS_BYTES_MAX);
    return ledger;
}

void ledger_destroy(struct ledger **ledger)
{
    if (*ledger == NULL)
        return;
    for (uint32_t i = 0; i < (*ledger)->touched_capacity; i++) {
        buffer_fini(&(*ledger)->touched[i].refusals);
        free((*ledger)->touched[i].runs);
    }
    free((*ledger)->touched);
    free((*ledger)->resends);
    free((*ledger)->notes);
    buffer_fini(&(*ledger)->frame);
    buffer_fini(&(*ledger)->refusals);
    free(*ledger);
    *ledger = NULL;
}

static enum status notes_reach(struct ledger *ledger, uint32_t source)
{
    if (source < ledger->note_count)
        return STATUS_OK;
    uint32_t count = ledger->note_count == 0 ? 64 : ledger->note_count;
    while (count <= source)
        count *= 2;
    struct note *notes = realloc(ledger->notes, count * sizeof *notes);
    if (notes == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = ledger->note_count; i < count; i++)
        notes[i] = (struct note){.touched = UNTOUCHED, .resend = UNTOUCHED};
    ledger->notes = notes;
    ledger->note_count = count;
    return STATUS_OK;
}

static enum status touched_reach(struct ledger *ledger)
{
    uint32_t initialised = ledger->touched_capacity;
    struct touched *touched = array_reach(ledger->touched, &ledger->touched_capacity,
                                          ledger->touched_count, sizeof *touched);
    if (touched == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = initialised; i < ledger->touched_capacity; i++) {
        touched[i] = (struct touched){0};
        buffer_init(&touched[i].refusals, ACK_REFUSALS_BYTES_MAX);
    }
    ledger->touched = touched;
    return STATUS_OK;
}

enum status ledger_touch(struct ledger *ledger, const struct state *state, uint32_t source)
{
    assert(source < state_source_count(state));
    if (notes_reach(ledger, source) != STATUS_OK || touched_reach(ledger) != STATUS_OK)
        return STATUS_NO_MEMORY;
    if (ledger->notes[source].touched != UNTOUCHED)
        return STATUS_OK;
    ledger->notes[source].touched = ledger->touched_count;
    struct touched *touched = &ledger->touched[ledger->touched_count++];
    touched->source = source;
    touched->ack_first = 0;
    touched->last = 0;
    touched->refusal_count = 0;
    touched->run_count = 0;
    buffer_clear(&touched->refusals);
    return STATUS_OK;
}

static struct touched *touched_of(struct ledger *ledger, uint32_t source)
{
    assert(source < ledger->note_count && ledger->notes[source].touched != UNTOUCHED);
    return &ledger->touched[ledger->notes[source].touched];
}

static void touched_use(struct touched *touched, uint64_t sequence)
{
    if (touched->ack_first == 0)
        touched->ack_first = sequence;
    touched->last = sequence;
}

void ledger_accept(struct ledger *ledger, uint32_t source, uint64_t sequence)
{
    touched_use(touched_of(ledger, source), sequence);
}

static enum status runs_add(struct ledger *ledger, struct touched *touched, uint64_t first,
                            uint64_t count)
{
    if (touched->run_count > 0) {
        struct refused_run *last = &touched->runs[touched->run_count - 1];
        if (last->first + last->count == first) {
            last->count += count;
            return STATUS_OK;
        }
    }
    struct refused_run *runs =
        array_reach(touched->runs, &touched->run_capacity, touched->run_count, sizeof *runs);
    if (runs == NULL)
        return STATUS_NO_MEMORY;
    touched->runs = runs;
    touched->runs[touched->run_count++] = (struct refused_run){first, count};
    ledger->run_total++;
    return STATUS_OK;
}

static void ack_emit(struct ledger *ledger, struct batch *batch, struct ack *ack)
{
    ack->log_id = ledger->log_id;
    buffer_clear(&ledger->frame);
    ack_write(&ledger->frame, ack);
    if (ledger->frame.status == STATUS_OK)
        batch_ack_add(batch, ack->source, buffer_slice(&ledger->frame));
}

static void resend_ack(struct ledger *ledger, struct batch *batch, struct ack *ack)
{
    ack->refusals = buffer_slice(&ledger->refusals);
    if (ledger->refusals.status == STATUS_OK)
        ack_emit(ledger, batch, ack);
    ack->first_sequence = ack->last_sequence + 1;
    ack->refusal_count = 0;
    buffer_clear(&ledger->refusals);
}

/* Acks first … last, each with one status; splits where an ack has all the refusals it may hold. */
static void verdicts_ack(struct ledger *ledger, struct batch *batch, const struct state *state,
                         const struct resend *range)
{
    uint32_t source = range->source;
    struct source_info info = state_source(state, source);
    struct ack ack = {.source = info.name, .epoch = info.epoch, .first_sequence = range->first};
    buffer_clear(&ledger->refusals);
    for (uint64_t sequence = range->first;; sequence++) {
        enum verdict verdict = state_verdict(state, source, sequence);
        ack.status = verdict == VERDICT_FORGOTTEN ? ACK_FORGOTTEN : ACK_OK;
        ack.last_sequence = sequence;
        if (verdict == VERDICT_REFUSED) {
            struct refusal refusal = {.sequence = sequence, .retry_after_ns = RECORD_NEVER};
            refusal_write(&ledger->refusals, &refusal);
            ack.refusal_count++;
        }
        if (sequence == range->last)
            break;
        bool forgotten_ends = verdict == VERDICT_FORGOTTEN &&
                              state_verdict(state, source, sequence + 1) != VERDICT_FORGOTTEN;
        if (forgotten_ends || ack.refusal_count == ACK_REFUSALS_MAX)
            resend_ack(ledger, batch, &ack);
    }
    resend_ack(ledger, batch, &ack);
}

/* What the open batch decided is told, with reasons, by an ack of its own, and acks go up: so only
 * what comes before it is answered here. */
static void resend_answer(struct ledger *ledger, struct batch *batch, const struct state *state,
                          uint32_t source)
{
    const struct note *note = &ledger->notes[source];
    if (note->resend == UNTOUCHED || ledger->resends[note->resend].first == 0)
        return;
    struct resend *resend = &ledger->resends[note->resend];
    struct resend range = *resend;
    ledger->resend_total -= resend->last - resend->first + 1;
    resend->first = 0;
    if (note->touched != UNTOUCHED) {
        uint64_t ack_first = ledger->touched[note->touched].ack_first;
        if (ack_first != 0 && ack_first <= range.last)
            range.last = ack_first - 1;
    }
    if (range.first <= range.last)
        verdicts_ack(ledger, batch, state, &range);
}

/* The ack of what was decided since the last one, behind the answer to resends. */
static void touched_ack(struct ledger *ledger, struct batch *batch, const struct state *state,
                        struct touched *touched)
{
    resend_answer(ledger, batch, state, touched->source);
    if (touched->ack_first == 0)
        return;
    struct source_info info = state_source(state, touched->source);
    struct ack ack = {.source = info.name,
                      .epoch = info.epoch,
                      .first_sequence = touched->ack_first,
                      .last_sequence = touched->last,
                      .status = ACK_OK,
                      .refusal_count = touched->refusal_count,
                      .refusals = buffer_slice(&touched->refusals)};
    if (touched->refusals.status == STATUS_OK)
        ack_emit(ledger, batch, &ack);
    ledger->refusal_bytes_total -= touched->refusals.size;
    touched->ack_first = 0;
    touched->refusal_count = 0;
    buffer_clear(&touched->refusals);
}

enum status ledger_refuse(struct ledger *ledger, struct batch *batch, const struct state *state,
                          uint32_t source, const struct refusal *refusal, uint64_t count)
{
    struct touched *touched = touched_of(ledger, source);
    struct refusal each = *refusal;
    for (uint64_t i = 0; i < count; i++) {
        size_t before = touched->refusals.size;
        each.sequence = refusal->sequence + i;
        refusal_write(&touched->refusals, &each);
        ledger->refusal_bytes_total += touched->refusals.size - before;
        touched->refusal_count++;
        touched_use(touched, each.sequence);
        if (touched->refusal_count == ACK_REFUSALS_MAX)
            touched_ack(ledger, batch, state, touched);
    }
    return runs_add(ledger, touched, refusal->sequence, count);
}

/* ---- resends ---- */

/* The source's entry, made if it is new; NULL when out of memory: then the sender asks again. */
static struct resend *resend_of(struct ledger *ledger, uint32_t source)
{
    if (notes_reach(ledger, source) != STATUS_OK)
        return NULL;
    if (ledger->notes[source].resend != UNTOUCHED)
        return &ledger->resends[ledger->notes[source].resend];
    struct resend *resends = array_reach(ledger->resends, &ledger->resend_capacity,
                                         ledger->resend_count, sizeof *resends);
    if (resends == NULL)
        return NULL;
    ledger->resends = resends;
    ledger->notes[source].resend = ledger->resend_count;
    struct resend *resend = &ledger->resends[ledger->resend_count++];
    *resend = (struct resend){.source = source};
    return resend;
}

void ledger_resend(struct ledger *ledger, struct batch *batch, const struct state *state,
                   uint32_t source, uint64_t first, uint64_t last)
{
    struct resend *resend = resend_of(ledger, source);
    if (resend == NULL)
        return;
    if (resend->first != 0 && first - 1 <= resend->last && resend->first - 1 <= last) {
        ledger->resend_total -= resend->last - resend->first + 1;
        first = first < resend->first ? first : resend->first;
        last = last > resend->last ? last : resend->last;
    } else {
        resend_answer(ledger, batch, state, source);
    }
    resend->first = first;
    resend->last = last;
    ledger->resend_total += last - first + 1;
}

/* ---- redirects ---- */

/* What is known of the source is told; what follows joins on to it. */
static void source_ack(struct ledger *ledger, struct batch *batch, const struct state *state,
                       uint32_t source)
{
    if (source >= ledger->note_count)
        return;
    if (ledger->notes[source].touched != UNTOUCHED)
        touched_ack(ledger, batch, state, touched_of(ledger, source));
    else
        resend_answer(ledger, batch, state, source);
}

/* May this source be redirected now? Then it is noted. */
static bool redirect_allowed(struct ledger *ledger, const struct redirect *redirect,
                             uint64_t now_ns)
{
    struct note *note = &ledger->strangers;
    if (redirect->source != SOURCE_NONE && notes_reach(ledger, redirect->source) == STATUS_OK)
        note = &ledger->notes[redirect->source];
    uint64_t *at_ns = redirect->status == ACK_GAP ? &note->gap_at_ns : &note->fenced_at_ns;
    if (*at_ns != 0 && now_ns - *at_ns < REDIRECT_EVERY_NS)
        return false;
    *at_ns = now_ns;
    return true;
}

void ledger_redirect(struct ledger *ledger, struct batch *batch, const struct state *state,
                     const struct redirect *redirect, uint64_t now_ns)
{
    if (!redirect_allowed(ledger, redirect, now_ns))
        return;
    struct source_info info = {.name = redirect->name};
    if (redirect->source != SOURCE_NONE) {
        info = state_source(state, redirect->source);
        source_ack(ledger, batch, state, redirect->source);
    }
    struct ack ack = {.source = redirect->name,
                      .epoch = info.epoch,
                      .first_sequence = info.last_sequence + 1,
                      .last_sequence = info.last_sequence,
                      .status = redirect->status};
    ack_emit(ledger, batch, &ack);
}

size_t ledger_source_bytes(const struct ledger *ledger)
{
    return ledger->touched_count * (size_t)SOURCE_RECORD_BYTES_MAX +
           (size_t)ledger->run_total * RUN_BYTES_MAX;
}

size_t ledger_ack_bytes(const struct ledger *ledger)
{
    size_t resends = ledger->resend_total * (size_t)RESEND_REFUSAL_BYTES_MAX;
    size_t acks = ledger->touched_count + 2 * (size_t)ledger->resend_count +
                  (size_t)ledger->resend_total / ACK_REFUSALS_MAX;
    return (size_t)ledger->refusal_bytes_total + resends + acks * ACK_OVERHEAD_BYTES_MAX;
}

bool ledger_is_empty(const struct ledger *ledger)
{
    return ledger->touched_count == 0 && ledger->resend_count == 0;
}

/* A flood must not be paid for in memory for ever. */
static void touched_shrink(struct touched *touched, uint32_t index)
{
    size_t bytes = touched->refusals.capacity + touched->run_capacity * sizeof *touched->runs;
    if (index < TOUCHED_KEPT && bytes <= TOUCHED_BYTES_KEPT)
        return;
    buffer_fini(&touched->refusals);
    buffer_init(&touched->refusals, ACK_REFUSALS_BYTES_MAX);
    free(touched->runs);
    touched->runs = NULL;
    touched->run_capacity = 0;
}

void ledger_close(struct ledger *ledger, struct batch *batch, const struct state *state)
{
    for (uint32_t i = 0; i < ledger->touched_count; i++) {
        struct touched *touched = &ledger->touched[i];
        struct source_info info = state_source(state, touched->source);
        source_record_write(&batch->sources, info.name, info.epoch, info.last_sequence,
                            touched->runs, touched->run_count);
        touched_ack(ledger, batch, state, touched);
        touched_shrink(touched, i);
        ledger->notes[touched->source].touched = UNTOUCHED;
    }
    for (uint32_t i = 0; i < ledger->resend_count; i++) {
        resend_answer(ledger, batch, state, ledger->resends[i].source);
        ledger->notes[ledger->resends[i].source].resend = UNTOUCHED;
    }
    ledger->touched_count = 0;
    ledger->resend_count = 0;
    ledger->run_total = 0;
}
