#include "producer/core/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/wire/submission.h"

enum {
    SEALED_SLOTS_MIN = 64,
};

/* One submission's bytes: room for the header, then the events. The header is written last, so that
 * it ends where the events begin. */
struct sealed {
    uint8_t *bytes;
    uint32_t start; /* of the header in `bytes` */
    uint32_t end;   /* of the last event in `bytes` */
    uint32_t count; /* events */
    uint64_t first_sequence;
};

struct outbox {
    struct outbox_options options; /* source points at source_bytes */
    uint8_t source_bytes[EVENT_SOURCE_BYTES_MAX];

    uint64_t acknowledged;   /* newest sequence with a verdict */
    uint64_t sent_sequence;  /* newest sequence ever handed to the socket */
    uint64_t sealed_through; /* newest sequence in a sealed submission */

    struct sealed *sealed; /* ring of slot_count (a power of two), indexed modulo */
    uint64_t slot_count;
    uint64_t head, cursor, tail; /* oldest held, next to send, one behind the newest */
    uint64_t sent_through;       /* one behind the newest ever sent; > cursor while resending */

    uint8_t *open; /* NULL: none */
    size_t open_size, open_capacity;
    size_t open_bytes_usual; /* what the next one probably needs: so that it need not grow */
    uint32_t open_count;     /* events */

    size_t sealed_bytes;
    uint64_t hole_resent_at; /* acknowledged when we last went back because of a lost ack */
    uint64_t gap_resent_at;  /* last_sequence of the gap that we last went back for */
    uint64_t deadline_ns;    /* OUTBOX_NEVER: nothing is awaited */
    uint64_t quiet_ns;       /* the present back-off */
    uint32_t asked_in_vain;  /* times that the timer went back, since the last verdict */
    bool sent_since_timer;
    struct rng rng;
    struct outbox_counts counts;
};

static struct sealed *slot(const struct outbox *outbox, uint64_t index)
{
    return &outbox->sealed[index & (outbox->slot_count - 1)];
}

enum status outbox_new(const struct outbox_options *options, struct outbox **ret_outbox)
{
    assert(options->source.size >= 1 && options->source.size <= EVENT_SOURCE_BYTES_MAX);
    assert(options->events_max >= 1 && options->events_max <= OUTBOX_EVENTS_MAX);
    assert(options->bytes_max <= OUTBOX_BYTES_MAX);

    struct outbox *outbox = calloc(1, sizeof *outbox);
    if (outbox == NULL)
        return STATUS_NO_MEMORY;
    outbox->options = *options;
    memcpy(outbox->source_bytes, options->source.data, options->source.size);
    outbox->options.source.data = outbox->source_bytes;
    outbox->acknowledged = options->last_sequence;
    outbox->sent_sequence = options->last_sequence;
    outbox->sealed_through = options->last_sequence;
    outbox->hole_resent_at = UINT64_MAX;
    outbox->gap_resent_at = UINT64_MAX;
    outbox->deadline_ns = OUTBOX_NEVER;
    outbox->quiet_ns = OUTBOX_QUIET_NS_FIRST;
    rng_init(&outbox->rng, options->seed);
    *ret_outbox = outbox;
    return STATUS_OK;
}

void outbox_destroy(struct outbox **outbox)
{
    struct outbox *o = *outbox;
    if (o == NULL)
        return;
    for (uint64_t i = o->head; i < o->tail; i++)
        free(slot(o, i)->bytes);
    free(o->sealed);
    free(o->open);
    free(o);
    *outbox = NULL;
}

uint32_t outbox_room(const struct outbox *outbox)
{
    uint64_t pending = outbox_pending(outbox);
    uint64_t room = outbox->options.events_max - pending;
    uint64_t frame_room = SUBMISSION_EVENTS_MAX - outbox->open_count;
    return (uint32_t)(room < frame_room ? room : frame_room);
}

/* Makes sure that one more submission can be sealed. */
static enum status reserve_slot(struct outbox *outbox)
{
    if (outbox->tail - outbox->head < outbox->slot_count)
        return STATUS_OK;
    uint64_t slot_count = outbox->slot_count > 0 ? 2 * outbox->slot_count : SEALED_SLOTS_MIN;
    struct sealed *sealed = malloc(slot_count * sizeof *sealed);
    if (sealed == NULL)
        return STATUS_NO_MEMORY;
    for (uint64_t i = outbox->head; i < outbox->tail; i++)
        sealed[i & (slot_count - 1)] = *slot(outbox, i);
    free(outbox->sealed);
    outbox->sealed = sealed;
    outbox->slot_count = slot_count;
    return STATUS_OK;
}

static enum status reserve_open(struct outbox *outbox, size_t size)
{
    if (outbox->open != NULL && size <= outbox->open_capacity)
        return STATUS_OK;
    size_t capacity = outbox->open != NULL ? 2 * outbox->open_capacity : outbox->open_bytes_usual;
    if (capacity < size)
        capacity = size;
    uint8_t *open = realloc(outbox->open, capacity);
    if (open == NULL)
        return STATUS_NO_MEMORY;
    if (outbox->open == NULL)
        outbox->open_size = SUBMISSION_HEADER_BYTES_MAX;
    outbox->open = open;
    outbox->open_capacity = capacity;
    return STATUS_OK;
}

enum status outbox_reserve(struct outbox *outbox, size_t bytes, uint8_t **ret_at)
{
    assert(bytes <= SUBMISSION_BYTES_MAX - SUBMISSION_HEADER_BYTES_MAX);

    bool grows_too_large = outbox->open_size + bytes > SUBMISSION_BYTES_MAX;
    if (grows_too_large || outbox->open_count == SUBMISSION_EVENTS_MAX)
        outbox_seal(outbox);
    if (outbox_room(outbox) == 0)
        return STATUS_FULL;
    /* An empty outbox takes anything that makes a submission. */
    size_t held = outbox_bytes(outbox);
    if (held > 0 && held + bytes > outbox->options.bytes_max)
        return STATUS_FULL;

    enum status status = reserve_slot(outbox);
    size_t used = outbox->open != NULL ? outbox->open_size : SUBMISSION_HEADER_BYTES_MAX;
    if (status == STATUS_OK)
        status = reserve_open(outbox, used + bytes);
    if (status == STATUS_OK)
        *ret_at = outbox->open + outbox->open_size;
    return status;
}

void outbox_added(struct outbox *outbox, const uint8_t *end, uint32_t events)
{
    assert(end >= outbox->open + outbox->open_size);
    assert(end <= outbox->open + outbox->open_capacity);
    assert(events <= outbox_room(outbox));
    outbox->open_size = (size_t)(end - outbox->open);
    outbox->open_count += events;
}

size_t outbox_open_bytes(const struct outbox *outbox)
{
    return outbox->open_count > 0 ? outbox->open_size - SUBMISSION_HEADER_BYTES_MAX : 0;
}

/* Returns the start of the header, written so that it ends where the events begin. */
static uint32_t put_header_in_front(const struct outbox *outbox, uint8_t *bytes)
{
    struct submission_header header = {
        .source = outbox->options.source,
        .epoch = outbox->options.epoch,
        .first_sequence = outbox->sealed_through + 1,
        .count = outbox->open_count,
    };
    uint8_t written[SUBMISSION_HEADER_BYTES_MAX];
    size_t size = (size_t)(submission_put_header(written, &header) - written);
    assert(size <= sizeof written);
    memcpy(bytes + SUBMISSION_HEADER_BYTES_MAX - size, written, size);
    return (uint32_t)(SUBMISSION_HEADER_BYTES_MAX - size);
}

void outbox_seal(struct outbox *outbox)
{
    if (outbox->open_count == 0)
        return;
    uint8_t *bytes = outbox->open;
    outbox->open_bytes_usual = outbox->open_size / 4 * 5;
    if (outbox->open_size < outbox->open_capacity / 2) {
        uint8_t *smaller = realloc(bytes, outbox->open_size);
        if (smaller != NULL)
            bytes = smaller;
    }
    struct sealed sealed = {
        .bytes = bytes,
        .start = put_header_in_front(outbox, bytes),
        .end = (uint32_t)outbox->open_size,
        .count = outbox->open_count,
        .first_sequence = outbox->sealed_through + 1,
    };
    *slot(outbox, outbox->tail++) = sealed;
    outbox->sealed_through += sealed.count;
    outbox->sealed_bytes += sealed.end;
    outbox->open = NULL;
    outbox->open_size = outbox->open_capacity = 0;
    outbox->open_count = 0;
}

bool outbox_next_to_send(const struct outbox *outbox, struct slice *ret_submission)
{
    if (outbox->cursor == outbox->tail)
        return false;
    const struct sealed *sealed = slot(outbox, outbox->cursor);
    *ret_submission = (struct slice){sealed->bytes + sealed->start, sealed->end - sealed->start};
    return true;
}

/* 3/4 … 5/4 of the present back-off from now, so that many senders do not speak at once. */
static void arm(struct outbox *outbox, uint64_t now_ns)
{
    uint64_t jitter = rng_below(&outbox->rng, outbox->quiet_ns / 2);
    outbox->deadline_ns = now_ns + outbox->quiet_ns / 4 * 3 + jitter;
}

void outbox_sent(struct outbox *outbox, uint64_t now_ns)
{
    assert(outbox->cursor < outbox->tail);
    const struct sealed *sealed = slot(outbox, outbox->cursor);
    uint64_t last = sealed->first_sequence + sealed->count - 1;
    outbox->cursor++;
    if (outbox->cursor <= outbox->sent_through)
        outbox->counts.resends++;
    else
        outbox->sent_through = outbox->cursor;
    if (last > outbox->sent_sequence)
        outbox->sent_sequence = last;
    outbox->sent_since_timer = true;
    if (outbox->deadline_ns == OUTBOX_NEVER)
        arm(outbox, now_ns);
}

/* Moves the cursor back to the submission that holds `sequence`, if it is behind the cursor. */
static void rewind_to(struct outbox *outbox, uint64_t sequence)
{
    uint64_t low = outbox->head, high = outbox->cursor;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct sealed *sealed = slot(outbox, middle);
        if (sealed->first_sequence + sealed->count <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    outbox->cursor = low;
}

/* Some acks were lost: asks for the verdicts again, once for each place where we can be stuck. What
 * is lost again is left to the timer, so a burst of later acks cannot start a storm. */
static bool resend_for_lost_ack(struct outbox *outbox)
{
    if (outbox->hole_resent_at == outbox->acknowledged)
        return false;
    outbox->hole_resent_at = outbox->acknowledged;
    rewind_to(outbox, outbox->acknowledged + 1);
    return true;
}

static enum outbox_result take_gap(struct outbox *outbox, uint64_t last_sequence)
{
    if (last_sequence < outbox->acknowledged || last_sequence == outbox->gap_resent_at)
        return OUTBOX_IGNORED;
    outbox->gap_resent_at = last_sequence;
    if (last_sequence > outbox->acknowledged)
        (void)resend_for_lost_ack(outbox);
    rewind_to(outbox, last_sequence + 1);
    return OUTBOX_RESEND;
}

/* An ack that carries our own epoch answers an older holder; one with a lower epoch may be a late
 * answer to an older holder, unless we have been asking in vain: then the log went back in time. */
static enum outbox_result take_fenced(const struct outbox *outbox, uint64_t epoch)
{
    bool newer_holder = epoch > outbox->options.epoch;
    bool log_went_back = epoch < outbox->options.epoch && outbox->asked_in_vain >= 2;
    return newer_holder || log_went_back ? OUTBOX_FENCED : OUTBOX_IGNORED;
}

/* Adds the verdicts of acknowledged + 1 … last; false if the list cannot be read. */
static bool count_verdicts(struct outbox *outbox, const struct ack *ack)
{
    uint64_t decided = ack->last_sequence - outbox->acknowledged;
    struct outbox_counts counts = outbox->counts;
    if (ack->status == ACK_FORGOTTEN) {
        outbox->counts.forgotten += decided;
        return true;
    }
    uint64_t refused = 0;
    struct mp_reader reader = mp_reader_of(ack->refusals);
    for (uint32_t i = 0; i < ack->refusal_count; i++) {
        struct refusal refusal;
        if (refusal_read(&reader, &refusal) != STATUS_OK)
            return false;
        if (refusal.sequence <= outbox->acknowledged || refusal.sequence > ack->last_sequence)
            continue;
        refused++;
        if (refusal.has_reason)
            counts.refused_by[refusal.reason]++;
        else
            counts.refused_unknown_reason++;
    }
    if (refused > decided)
        return false;
    counts.refused += refused;
    counts.accepted += decided - refused;
    outbox->counts = counts;
    return true;
}

static void release_acknowledged(struct outbox *outbox)
{
    while (outbox->head < outbox->tail) {
        struct sealed *sealed = slot(outbox, outbox->head);
        if (sealed->first_sequence + sealed->count - 1 > outbox->acknowledged)
            break;
        outbox->sealed_bytes -= sealed->end;
        free(sealed->bytes);
        outbox->head++;
    }
    if (outbox->cursor < outbox->head)
        outbox->cursor = outbox->head;
}

static enum outbox_result take_range(struct outbox *outbox, const struct ack *ack, uint64_t now_ns)
{
    if (ack->last_sequence <= outbox->acknowledged)
        return OUTBOX_IGNORED;
    if (ack->first_sequence > outbox->acknowledged + 1)
        return resend_for_lost_ack(outbox) ? OUTBOX_RESEND : OUTBOX_IGNORED;
    if (!count_verdicts(outbox, ack))
        return OUTBOX_IGNORED;

    outbox->acknowledged = ack->last_sequence;
    release_acknowledged(outbox);
    outbox->quiet_ns = OUTBOX_QUIET_NS_MIN;
    outbox->asked_in_vain = 0;
    if (outbox->sent_sequence > outbox->acknowledged)
        arm(outbox, now_ns);
    else
        outbox->deadline_ns = OUTBOX_NEVER;
    return OUTBOX_ADVANCED;
}

enum outbox_result outbox_ack(struct outbox *outbox, const struct ack *ack, uint64_t now_ns)
{
    if (!slice_equal(ack->source, outbox->options.source))
        return OUTBOX_IGNORED;
    if (!log_id_equal(&ack->log_id, &outbox->options.log_id))
        return OUTBOX_FOREIGN_LOG;
    if (ack->status == ACK_FENCED)
        return take_fenced(outbox, ack->epoch);
    bool from_the_future = ack->last_sequence > outbox->sent_sequence;
    if (ack->epoch != outbox->options.epoch || from_the_future)
        return OUTBOX_IGNORED;
    if (ack->status == ACK_GAP)
        return take_gap(outbox, ack->last_sequence);
    return take_range(outbox, ack, now_ns);
}

bool outbox_timer(struct outbox *outbox, uint64_t now_ns)
{
    if (now_ns < outbox->deadline_ns)
        return false;
    rewind_to(outbox, outbox->acknowledged + 1);
    /* While nobody takes anything there is nothing to hold back. */
    if (outbox->sent_since_timer) {
        outbox->asked_in_vain++;
        outbox->quiet_ns *= 2;
    }
    if (outbox->quiet_ns > OUTBOX_QUIET_NS_MAX)
        outbox->quiet_ns = OUTBOX_QUIET_NS_MAX;
    outbox->sent_since_timer = false;
    arm(outbox, now_ns);
    return true;
}

uint64_t outbox_deadline_ns(const struct outbox *outbox)
{
    return outbox->deadline_ns;
}

struct slice outbox_source(const struct outbox *outbox)
{
    return outbox->options.source;
}

uint64_t outbox_acknowledged(const struct outbox *outbox)
{
    return outbox->acknowledged;
}

uint64_t outbox_next_sequence(const struct outbox *outbox)
{
    return outbox->sealed_through + outbox->open_count + 1;
}

uint64_t outbox_pending(const struct outbox *outbox)
{
    return outbox->sealed_through + outbox->open_count - outbox->acknowledged;
}

size_t outbox_bytes(const struct outbox *outbox)
{
    return outbox->sealed_bytes + (outbox->open_count > 0 ? outbox->open_size : 0);
}

const struct outbox_counts *outbox_counts(const struct outbox *outbox)
{
    return &outbox->counts;
}
