#include "producer/producer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/base/rng.h"
#include "common/base/table.h"

enum {
    MESSAGES_PER_TURN_MAX = 4096,
    WAIT_MS_MAX = 1000,
};
/* Beyond any sequence that a source reaches; keeps sums of sequences inside 64 bits. */
#define SEQUENCE_MAX    (UINT64_MAX / 2)
#define QUIET_NS_TO_SAY (3 * NS_PER_S)

struct producer {
    struct link *link;
    struct outbox *outboxes[PRODUCER_SOURCES_MAX];
    uint32_t count;
    struct table by_source; /* slot: index into outboxes */
    struct hash_seed seed;
    size_t bytes;            /* held by all outboxes */
    uint32_t next_first;     /* whose turn it is to push first */
    bool blocked;            /* the ingest queue was full */
    uint64_t quiet_since_ns; /* 0: verdicts come */
    bool said_waiting;       /* the user knows that no verdicts come */
    bool heard_heartbeat;
    producer_message_fn *listener; /* NULL: none */
    void *listener_context;
};

enum status producer_open(const struct endpoint_options *options, struct producer **ret_producer,
                          struct detail *ret_detail)
{
    struct producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the producer");
    table_init(&producer->by_source, PRODUCER_SOURCES_MAX);
    hash_seed_random(&producer->seed);
    enum status status = link_open(options, &producer->link, ret_detail);
    if (status == STATUS_OK)
        *ret_producer = producer;
    else
        producer_close(&producer);
    return status;
}

void producer_close(struct producer **producer)
{
    struct producer *p = *producer;
    if (p == NULL)
        return;
    link_close(&p->link);
    for (uint32_t i = 0; i < p->count; i++)
        outbox_destroy(&p->outboxes[i]);
    table_fini(&p->by_source);
    free(p);
    *producer = NULL;
}

enum status producer_status(struct producer *producer, struct processor_status *ret_status,
                            struct detail *ret_detail)
{
    return link_status(producer->link, ret_status, ret_detail);
}

/* Sources. */

static bool source_equal(const void *owner, uint32_t slot, struct slice key)
{
    const struct producer *producer = owner;
    return slice_equal(outbox_source(producer->outboxes[slot]), key);
}

uint32_t producer_find(const struct producer *producer, struct slice source)
{
    uint64_t hash = hash_keyed(&producer->seed, source.data, source.size);
    uint32_t slot = table_find(&producer->by_source, hash, source, source_equal, producer);
    return slot == TABLE_NONE ? PRODUCER_SOURCE_NONE : slot;
}

uint32_t producer_source_count(const struct producer *producer)
{
    return producer->count;
}

const struct outbox *producer_outbox(const struct producer *producer, uint32_t index)
{
    return producer->outboxes[index];
}

static enum status new_outbox(struct producer *producer, struct slice source,
                              const struct hello_reply *hello)
{
    struct outbox_options options = {
        .source = source,
        .log_id = hello->log_id,
        .epoch = hello->epoch,
        .last_sequence = hello->last_sequence,
        .seed = rng_seed_random(),
        .events_max = OUTBOX_EVENTS_MAX,
        .bytes_max = OUTBOX_BYTES_MAX,
    };
    enum status status = outbox_new(&options, &producer->outboxes[producer->count]);
    if (status != STATUS_OK)
        return status;
    uint64_t hash = hash_keyed(&producer->seed, source.data, source.size);
    status = table_insert(&producer->by_source, hash, producer->count);
    if (status == STATUS_OK)
        producer->count++;
    else
        outbox_destroy(&producer->outboxes[producer->count]);
    return status;
}

enum status producer_add_source(struct producer *producer, struct slice source, uint32_t *ret_index,
                                struct hello_reply *ret_hello, struct detail *ret_detail)
{
    assert(producer_find(producer, source) == PRODUCER_SOURCE_NONE);
    if (producer->count == PRODUCER_SOURCES_MAX)
        return detail_set(ret_detail, STATUS_FULL, "more than %d sources", PRODUCER_SOURCES_MAX);
    struct hello_reply hello;
    enum status status = link_hello(producer->link, source, &hello, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (hello.last_sequence > SEQUENCE_MAX)
        return detail_set(ret_detail, STATUS_INVALID,
                          "the processor's last sequence of '%.*s' is "
                          "out of range",
                          (int)source.size, (const char *)source.data);
    status = new_outbox(producer, source, &hello);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot keep one more source");
    *ret_index = producer->count - 1;
    *ret_hello = hello;
    return STATUS_OK;
}

/* Events. */

enum status producer_reserve(struct producer *producer, uint32_t index, size_t bytes,
                             uint8_t **ret_at)
{
    if (producer->bytes + bytes > PRODUCER_BYTES_MAX && producer->bytes > 0)
        return STATUS_FULL;
    return outbox_reserve(producer->outboxes[index], bytes, ret_at);
}

void producer_added(struct producer *producer, uint32_t index, uint8_t *end, uint32_t events)
{
    struct outbox *outbox = producer->outboxes[index];
    size_t before = outbox_bytes(outbox);
    outbox_added(outbox, end, events);
    producer->bytes += outbox_bytes(outbox) - before;
}

void producer_seal(struct producer *producer, uint32_t index)
{
    outbox_seal(producer->outboxes[index]);
}

void producer_seal_all(struct producer *producer)
{
    for (uint32_t i = 0; i < producer->count; i++)
        outbox_seal(producer->outboxes[i]);
}

/* The loop. */

/* Pushes until the queue is full or nothing is left; the next turn begins with another source, so
 * that one busy source does not hold up the others. */
static enum status push_all(struct producer *producer, uint64_t now_ns)
{
    producer->blocked = false;
    for (uint32_t n = 0; n < producer->count; n++) {
        uint32_t index = (producer->next_first + n) % producer->count;
        struct outbox *outbox = producer->outboxes[index];
        struct slice submission;
        while (outbox_next_to_send(outbox, &submission)) {
            enum status status = link_push(producer->link, submission);
            if (status == STATUS_FULL) {
                producer->blocked = true;
                producer->next_first = index;
                return STATUS_OK;
            }
            if (status != STATUS_OK)
                return status;
            outbox_sent(outbox, now_ns);
        }
    }
    return STATUS_OK;
}

static void hear_verdicts(struct producer *producer)
{
    if (producer->said_waiting)
        log_info("verdicts come again", NULL);
    producer->said_waiting = false;
    producer->quiet_since_ns = 0;
}

static enum status take_ack(struct producer *producer, const struct ack *ack, uint64_t now_ns,
                            struct detail *ret_detail)
{
    uint32_t index = producer_find(producer, ack->source);
    if (index == PRODUCER_SOURCE_NONE)
        return STATUS_OK;
    struct outbox *outbox = producer->outboxes[index];
    struct slice source = outbox_source(outbox);
    size_t before = outbox_bytes(outbox);
    switch (outbox_ack(outbox, ack, now_ns)) {
    case OUTBOX_IGNORED:
        break;
    case OUTBOX_RESEND:
        log_debug("sending again", "source=%.*s from=%llu ack=%s", (int)source.size,
                  (const char *)source.data, (unsigned long long)outbox_acknowledged(outbox) + 1,
                  ack_status_text(ack->status));
        break;
    case OUTBOX_ADVANCED:
        producer->bytes -= before - outbox_bytes(outbox);
        hear_verdicts(producer);
        break;
    case OUTBOX_FENCED:
        return detail_set(ret_detail, STATUS_FENCED, "another producer took over source '%.*s'",
                          (int)source.size, (const char *)source.data);
    case OUTBOX_FOREIGN_LOG:
        return detail_set(ret_detail, STATUS_FENCED,
                          "the processor now keeps another log; events are never renumbered: "
                          "start again to send to the new log");
    }
    return STATUS_OK;
}

static enum status take_message(struct producer *producer, const struct link_message *message,
                                uint64_t now_ns, struct detail *ret_detail)
{
    struct ack ack;
    if (ack_read(message->header, &ack) == STATUS_OK)
        return take_ack(producer, &ack, now_ns, ret_detail);
    if (slice_equal_text(message->topic, FEED_TOPIC_HEARTBEAT))
        producer->heard_heartbeat = true;
    if (producer->listener != NULL)
        producer->listener(producer->listener_context, message);
    return STATUS_OK;
}

static enum status take_messages(struct producer *producer, uint64_t now_ns,
                                 struct detail *ret_detail)
{
    for (unsigned i = 0; i < MESSAGES_PER_TURN_MAX; i++) {
        struct link_message message;
        enum status status = link_receive(producer->link, &message);
        if (status == STATUS_END)
            break;
        if (status == STATUS_OK)
            status = take_message(producer, &message, now_ns, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* A source has been quiet for so long that its events were sent again. */
static void say_waiting(struct producer *producer, const struct outbox *outbox, uint64_t now_ns)
{
    struct slice source = outbox_source(outbox);
    const char *name = (const char *)source.data;
    unsigned long long from = outbox_acknowledged(outbox) + 1;
    log_debug("quiet: sending again", "source=%.*s from=%llu", (int)source.size, name, from);
    if (producer->quiet_since_ns == 0)
        producer->quiet_since_ns = now_ns;
    if (now_ns - producer->quiet_since_ns < QUIET_NS_TO_SAY || producer->said_waiting)
        return;
    producer->said_waiting = true;
    log_warn("no verdicts come: waiting for the processor", "source=%.*s from=%llu",
             (int)source.size, name, from);
}

/* Runs the quiet timers; returns the earliest that is still to come. */
static uint64_t run_timers(struct producer *producer, uint64_t now_ns)
{
    uint64_t earliest_ns = OUTBOX_NEVER;
    for (uint32_t i = 0; i < producer->count; i++) {
        struct outbox *outbox = producer->outboxes[i];
        if (outbox_timer(outbox, now_ns))
            say_waiting(producer, outbox, now_ns);
        uint64_t deadline_ns = outbox_deadline_ns(outbox);
        if (deadline_ns < earliest_ns)
            earliest_ns = deadline_ns;
    }
    return earliest_ns;
}

static int wait_ms(const struct turn *turn, uint64_t now_ns, uint64_t deadline_ns)
{
    uint64_t wait = WAIT_MS_MAX;
    if (turn->timeout_ms >= 0 && (uint64_t)turn->timeout_ms < wait)
        wait = (uint64_t)turn->timeout_ms;
    uint64_t quiet = deadline_ns > now_ns ? (deadline_ns - now_ns) / NS_PER_MS + 1 : 0;
    return (int)(quiet < wait ? quiet : wait);
}

enum status producer_turn(struct producer *producer, struct turn *turn, struct detail *ret_detail)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t deadline_ns = run_timers(producer, now_ns);
    enum status status = push_all(producer, now_ns);
    if (status == STATUS_OK && turn->timeout_ms != 0) {
        struct link_wait wait = {
            .fd = turn->fd,
            .timeout_ms = wait_ms(turn, now_ns, deadline_ns),
            .want_push = producer->blocked,
        };
        status = link_wait(producer->link, &wait);
        turn->fd_ready = wait.fd_ready;
        now_ns = clock_boot_ns();
    }
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "a socket failed");
    status = take_messages(producer, now_ns, ret_detail);
    if (status == STATUS_IO)
        return detail_set(ret_detail, status, "the events socket failed");
    return status;
}

enum status producer_listen(struct producer *producer, const char *topic,
                            producer_message_fn *listener, void *context, struct detail *ret_detail)
{
    producer->listener = listener;
    producer->listener_context = context;
    producer->heard_heartbeat = false;
    enum status status = link_subscribe(producer->link, topic);
    /* Subscriptions arrive in their order, so this one stands for the other. */
    if (status == STATUS_OK)
        status = link_subscribe(producer->link, FEED_TOPIC_HEARTBEAT);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot subscribe to '%s'", topic);
    uint64_t limit_ns = clock_boot_ns() + PRODUCER_JOIN_NS_MAX;
    while (!producer->heard_heartbeat) {
        if (lifecycle_stopping())
            return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped before the first heartbeat");
        if (clock_boot_ns() >= limit_ns)
            return detail_set(ret_detail, STATUS_UNAVAILABLE,
                              "no heartbeat comes: is --events the processor's events endpoint?");
        struct turn turn = {.fd = -1, .timeout_ms = WAIT_MS_MAX};
        status = producer_turn(producer, &turn, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status producer_drain(struct producer *producer, struct detail *ret_detail)
{
    producer_seal_all(producer);
    uint64_t limit_ns = OUTBOX_NEVER;
    while (producer_pending(producer) > 0) {
        uint64_t now_ns = clock_boot_ns();
        if (limit_ns == OUTBOX_NEVER && lifecycle_stopping())
            limit_ns = now_ns + PRODUCER_DRAIN_NS;
        if (now_ns >= limit_ns)
            return detail_set(ret_detail, STATUS_TIMED_OUT, "%llu events are still undecided",
                              (unsigned long long)producer_pending(producer));
        struct turn turn = {.fd = -1, .timeout_ms = -1};
        enum status status = producer_turn(producer, &turn, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Verdicts. */

uint64_t producer_pending(const struct producer *producer)
{
    uint64_t pending = 0;
    for (uint32_t i = 0; i < producer->count; i++)
        pending += outbox_pending(producer->outboxes[i]);
    return pending;
}

struct outbox_counts producer_counts(const struct producer *producer)
{
    struct outbox_counts sum = {0};
    for (uint32_t i = 0; i < producer->count; i++) {
        const struct outbox_counts *counts = outbox_counts(producer->outboxes[i]);
        sum.accepted += counts->accepted;
        sum.refused += counts->refused;
        for (unsigned reason = 0; reason < REASON_COUNT; reason++)
            sum.refused_by[reason] += counts->refused_by[reason];
        sum.refused_unknown_reason += counts->refused_unknown_reason;
        sum.forgotten += counts->forgotten;
        sum.resends += counts->resends;
    }
    return sum;
}

void producer_counts_format(const struct outbox_counts *counts,
                            char ret_text[PRODUCER_COUNTS_BYTES_MAX])
{
    char reasons[REASON_COUNTS_BYTES_MAX];
    int used = snprintf(ret_text, PRODUCER_COUNTS_BYTES_MAX, "%llu accepted, %llu refused",
                        (unsigned long long)counts->accepted, (unsigned long long)counts->refused);
    size_t known = reason_counts_format(counts->refused_by, reasons, sizeof reasons);
    if (known > 0)
        used +=
            snprintf(ret_text + used, PRODUCER_COUNTS_BYTES_MAX - (size_t)used, " (%s", reasons);
    if (counts->refused_unknown_reason > 0)
        used += snprintf(ret_text + used, PRODUCER_COUNTS_BYTES_MAX - (size_t)used,
                         "%sreason not repeated %llu", known > 0 ? ", " : " (",
                         (unsigned long long)counts->refused_unknown_reason);
    if (counts->refused > 0)
        used += snprintf(ret_text + used, PRODUCER_COUNTS_BYTES_MAX - (size_t)used, ")");
    if (counts->forgotten > 0)
        snprintf(ret_text + used, PRODUCER_COUNTS_BYTES_MAX - (size_t)used,
                 ", %llu decided long ago", (unsigned long long)counts->forgotten);
}

int producer_exit_code(const struct producer *producer)
{
    struct outbox_counts counts = producer_counts(producer);
    if (producer_pending(producer) > 0)
        return EXIT_CODE_TEMPORARY;
    return counts.refused + counts.forgotten > 0 ? EXIT_CODE_SOME_REFUSED : EXIT_CODE_DONE;
}
