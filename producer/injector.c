#include "producer/injector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/base/rng.h"
#include "producer/link.h"

enum {
    REPLAY_RECORDS_MAX = 1000, /* in one request */
    WAIT_MS_MAX = 100,
    SOURCE_BYTES_MAX = 16, /* "inject-" and eight digits, with the NUL */
};
/* For a record of its own, when a summary may hold it. */
#define SUMMARY_GRACE_NS  (250 * NS_PER_MS)
#define FEED_NS_MAX       (2 * NS_PER_S)    /* from durable to heard */
#define REDIRECT_PAUSE_NS (110 * NS_PER_MS) /* between two answers that come once per 100 ms */

struct injector {
    struct link *link;
    char source[SOURCE_BYTES_MAX];
    char marker[INJECTION_MARKER_BYTES_MAX + 1];
    uint64_t injections;
    uint64_t epoch, last_sequence;
    uint64_t next_rejection_id; /* the feed was heard up to the one before */
    uint64_t heartbeats;
    bool accepted;           /* some event of this source may have been, before a burst */
    struct buffer bytes;     /* of the newest injection */
    struct burst burst;      /* the newest */
    struct finding *finding; /* to be shown the feed; NULL: none */
};

/* ---- listening ---- */

static enum status bad_feed(struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_MALFORMED, "the feed holds what is not of the protocol");
}

/* Records one after another; those that were heard before are left out. */
static enum status records_take(struct injector *injector, struct slice body,
                                struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(body);
    while (!mp_at_end(&reader)) {
        struct rejection rejection;
        if (rejection_read(&reader, &rejection) != STATUS_OK)
            return bad_feed(ret_detail);
        if (rejection.rejection_id < injector->next_rejection_id)
            continue;
        injector->next_rejection_id = rejection.rejection_id + 1;
        if (injector->finding != NULL)
            finding_record(injector->finding, &rejection);
    }
    return STATUS_OK;
}

/* Asks for records of refusal from the next one on; their number may be 0. */
static enum status replay(struct injector *injector, uint64_t records_max,
                          struct replay_reply *ret_replay, struct slice *ret_body,
                          struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_REPLAY,
                                      .stream = STREAM_REJECTED,
                                      .from = injector->next_rejection_id,
                                      .max = records_max};
    struct link_reply reply;
    enum status status = link_ask(injector->link, &request, &reply, ret_detail);
    if (status == STATUS_OK)
        status = replay_reply_read(reply.reply, ret_replay, ret_detail);
    if (status == STATUS_OK)
        *ret_body = reply.body;
    return status;
}

/* Replays what the feed lost, up to a record that is known to exist. */
static enum status catch_up(struct injector *injector, uint64_t last_id, struct detail *ret_detail)
{
    while (injector->next_rejection_id <= last_id) {
        log_warn("the feed lost records of refusal: replaying", "from=%" PRIu64 " to=%" PRIu64,
                 injector->next_rejection_id, last_id);
        struct replay_reply found;
        struct slice body;
        enum status status = replay(injector, REPLAY_RECORDS_MAX, &found, &body, ret_detail);
        if (status == STATUS_OK && found.count == 0)
            status = bad_feed(ret_detail);
        if (status == STATUS_OK)
            status = records_take(injector, body, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status rejected_take(struct injector *injector, const struct link_message *message,
                                 struct detail *ret_detail)
{
    struct feed_header header;
    if (feed_header_read(message->header, &header) != STATUS_OK)
        return bad_feed(ret_detail);
    enum status status = catch_up(injector, header.first_id - 1, ret_detail);
    return status == STATUS_OK ? records_take(injector, message->body, ret_detail) : status;
}

static enum status heartbeat_take(struct injector *injector, const struct link_message *message,
                                  struct detail *ret_detail)
{
    struct heartbeat heartbeat;
    if (heartbeat_read(message->header, &heartbeat) != STATUS_OK)
        return bad_feed(ret_detail);
    if (injector->heartbeats++ == 0) { /* from here on */
        injector->next_rejection_id = heartbeat.last_rejection_id + 1;
        return STATUS_OK;
    }
    return catch_up(injector, heartbeat.last_rejection_id, ret_detail);
}

static enum status message_take(struct injector *injector, const struct link_message *message,
                                struct detail *ret_detail)
{
    if (slice_equal_text(message->topic, FEED_TOPIC_HEARTBEAT))
        return heartbeat_take(injector, message, ret_detail);
    if (injector->heartbeats == 0) /* not known yet from where on */
        return STATUS_OK;
    if (slice_equal_text(message->topic, FEED_TOPIC_REJECTED))
        return rejected_take(injector, message, ret_detail);
    struct ack ack;
    if (ack_read(message->header, &ack) != STATUS_OK)
        return bad_feed(ret_detail);
    if (injector->finding != NULL)
        finding_ack(injector->finding, &ack);
    return STATUS_OK;
}

/* Hears all that is there. INTERRUPTED when asked to stop. */
static enum status hear(struct injector *injector, struct detail *ret_detail)
{
    struct link_message message;
    enum status status;
    while ((status = link_receive(injector->link, &message)) == STATUS_OK) {
        status = message_take(injector, &message, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    if (status != STATUS_END)
        return detail_set(ret_detail, status, "cannot listen to the feed");
    if (lifecycle_stopping())
        return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped before all was injected");
    return STATUS_OK;
}

/* Waits until something comes or until a time; a moment too long rather than too short. */
static enum status wait_until(struct injector *injector, uint64_t until_ns, bool want_push)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / NS_PER_MS + 1 : 0;
    struct link_wait wait = {.fd = -1,
                             .timeout_ms = (int)(left_ms < WAIT_MS_MAX ? left_ms : WAIT_MS_MAX),
                             .want_push = want_push};
    return link_wait(injector->link, &wait);
}

/* Listens for so long. */
static enum status pause_until(struct injector *injector, uint64_t until_ns,
                               struct detail *ret_detail)
{
    enum status status = hear(injector, ret_detail);
    while (status == STATUS_OK && clock_boot_ns() < until_ns) {
        status = wait_until(injector, until_ns, false);
        if (status == STATUS_OK)
            status = hear(injector, ret_detail);
    }
    return status;
}

/* Listens until every record that is durable by now was heard. */
static enum status hear_all(struct injector *injector, struct detail *ret_detail)
{
    struct replay_reply found;
    struct slice body;
    enum status status = replay(injector, 1, &found, &body, ret_detail);
    if (status != STATUS_OK)
        return status;
    uint64_t limit_ns = clock_boot_ns() + FEED_NS_MAX;
    status = hear(injector, ret_detail);
    while (status == STATUS_OK && injector->next_rejection_id <= found.last_id &&
           clock_boot_ns() < limit_ns) {
        status = wait_until(injector, limit_ns, false);
        if (status == STATUS_OK)
            status = hear(injector, ret_detail);
    }
    return status == STATUS_OK ? catch_up(injector, found.last_id, ret_detail) : status;
}

/* ---- opening ---- */

/* Takes the source over (again), which tells where it stands. */
static enum status hello(struct injector *injector, struct detail *ret_detail)
{
    struct hello_reply reply;
    enum status status =
        link_hello(injector->link, slice_of_text(injector->source), &reply, ret_detail);
    if (status != STATUS_OK)
        return status;
    injector->epoch = reply.epoch;
    injector->last_sequence = reply.last_sequence;
    return STATUS_OK;
}

/* Heartbeats are subscribed to last: with the first of them all else is there too. */
static enum status join(struct injector *injector, struct detail *ret_detail)
{
    enum status status = link_subscribe(injector->link, FEED_TOPIC_REJECTED);
    if (status == STATUS_OK)
        status = link_subscribe(injector->link, FEED_TOPIC_HEARTBEAT);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot subscribe to the feed");
    uint64_t limit_ns = clock_boot_ns() + LINK_HELLO_NS_MAX;
    while (status == STATUS_OK && injector->heartbeats == 0) {
        if (clock_boot_ns() >= limit_ns)
            return detail_set(ret_detail, STATUS_UNAVAILABLE,
                              "the processor answers, but its feed is silent");
        status = wait_until(injector, limit_ns, false);
        if (status == STATUS_OK)
            status = hear(injector, ret_detail);
    }
    return status;
}

enum status injector_open(const struct endpoint_options *options, struct injector **ret_injector,
                          struct detail *ret_detail)
{
    struct injector *injector = calloc(1, sizeof *injector);
    if (injector == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the injector");
    buffer_init(&injector->bytes, INJECTION_BYTES_MAX);
    burst_init(&injector->burst);
    snprintf(injector->source, sizeof injector->source, "inject-%08x",
             (unsigned)(rng_seed_random() & UINT32_MAX));
    enum status status = link_open(options, &injector->link, ret_detail);
    if (status == STATUS_OK) {
        link_limit_waits(injector->link);
        status = hello(injector, ret_detail);
    }
    if (status == STATUS_OK)
        status = hello(injector, ret_detail); /* the first epoch is now a stale one */
    if (status == STATUS_OK)
        status = join(injector, ret_detail);
    if (status == STATUS_OK)
        *ret_injector = injector;
    else
        injector_close(&injector);
    return status;
}

void injector_close(struct injector **injector)
{
    struct injector *i = *injector;
    if (i == NULL)
        return;
    link_close(&i->link);
    buffer_fini(&i->bytes);
    burst_fini(&i->burst);
    free(i);
    *injector = NULL;
}

const char *injector_source(const struct injector *injector)
{
    return injector->source;
}

/* ---- sending ---- */

/* Sends the bytes as they are, as soon as the queue has room. TIMED_OUT: it never had. */
static enum status push(struct injector *injector, bool two_frames, uint64_t limit_ns)
{
    struct slice bytes = buffer_slice(&injector->bytes);
    for (;;) {
        enum status status = STATUS_OK;
        if (two_frames)
            status = link_push_more(injector->link, bytes);
        if (status == STATUS_OK)
            status = link_push(injector->link, bytes);
        if (status != STATUS_FULL)
            return status;
        if (clock_boot_ns() >= limit_ns)
            return STATUS_TIMED_OUT;
        if (lifecycle_stopping())
            return STATUS_INTERRUPTED;
        status = wait_until(injector, limit_ns, true);
        if (status != STATUS_OK)
            return status;
    }
}

static enum status push_burst(struct injector *injector, const struct finding *finding,
                              uint64_t limit_ns)
{
    struct injection_place place = finding->place;
    uint64_t left = injector->burst.events;
    while (left > 0) {
        buffer_clear(&injector->bytes);
        uint32_t events = burst_build(&injector->burst, &place, left, &injector->bytes);
        enum status status = injector->bytes.status;
        if (status == STATUS_OK)
            status = push(injector, false, limit_ns);
        if (status != STATUS_OK)
            return status;
        place.first_sequence += events;
        left -= events;
    }
    return STATUS_OK;
}

/* Says what is missing. */
static void time_is_over(struct finding *finding)
{
    double limit_s = (double)INJECTOR_ANSWER_NS_MAX / (double)NS_PER_S;
    if (!finding->has_record && !finding->has_ack)
        finding_fail(finding, "nothing came back within %g s", limit_s);
    else
        finding_fail(finding,
                     "within %g s came verdicts on %" PRIu64 " of %" PRIu64
                     " sequences, and records of %" PRIu64 " refusals",
                     limit_s, finding->decided, finding->sequences, finding->recorded);
}

/* Listens until the answer is complete, or its time is over. */
static enum status await(struct injector *injector, uint64_t limit_ns, struct detail *ret_detail)
{
    struct finding *finding = injector->finding;
    uint64_t grace_ends_ns = UINT64_MAX;
    enum status status = hear(injector, ret_detail);
    while (status == STATUS_OK && !finding_complete(finding)) {
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= grace_ends_ns)
            return STATUS_OK;
        if (now_ns >= limit_ns) {
            time_is_over(finding);
            return STATUS_OK;
        }
        if (grace_ends_ns == UINT64_MAX && finding_summarised(finding))
            grace_ends_ns = now_ns + SUMMARY_GRACE_NS;
        status = wait_until(injector, grace_ends_ns < limit_ns ? grace_ends_ns : limit_ns, false);
        if (status == STATUS_OK)
            status = hear(injector, ret_detail);
    }
    return status;
}

/* Sends, and listens. */
static enum status exchange(struct injector *injector, struct detail *ret_detail)
{
    struct finding *finding = injector->finding;
    uint64_t limit_ns = clock_boot_ns() + INJECTOR_ANSWER_NS_MAX;
    enum status status = injector->bytes.status;
    if (finding->burst != NULL)
        status = push_burst(injector, finding, limit_ns);
    else if (status == STATUS_OK)
        status = push(injector, finding->kind->two_frames, limit_ns);
    if (status == STATUS_TIMED_OUT) {
        finding_fail(finding, "the processor takes nothing in");
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot send '%s'", finding->kind->name);
    return await(injector, limit_ns, ret_detail);
}

/* ---- one injection ---- */

static struct injection_place next_place(struct injector *injector)
{
    snprintf(injector->marker, sizeof injector->marker, "%s.%" PRIu64, injector->source,
             ++injector->injections);
    return (struct injection_place){.source = slice_of_text(injector->source),
                                    .epoch = injector->epoch,
                                    .first_sequence = injector->last_sequence + 1,
                                    .marker = slice_of_text(injector->marker),
                                    .time_ns = clock_wall_ns()};
}

/* The INI text of the policies in force, out of the processor's status; borrows the reply. */
static enum status read_policy(struct slice reply, struct slice *ret_text,
                               struct detail *ret_detail)
{
    struct slice map;
    struct mp_reader value;
    enum status status = control_reply_map_read(reply, &map, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (event_field(map, slice_of_text("policy"), &value) != STATUS_OK ||
        mp_read_text(&value, ret_text) != STATUS_OK || ret_text->size >= POLICY_TEXT_BYTES_MAX)
        return detail_set(ret_detail, STATUS_MALFORMED, "the processor's status has no policy");
    return STATUS_OK;
}

/* Plans a burst over the limits in force now. NOT_FOUND: none can be exceeded. */
static enum status plan(struct injector *injector, const struct injection_place *place,
                        struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_STATUS};
    struct link_reply reply;
    struct slice text;
    enum status status = link_ask(injector->link, &request, &reply, ret_detail);
    if (status == STATUS_OK)
        status = read_policy(reply.reply, &text, ret_detail);
    if (status != STATUS_OK)
        return status;

    struct policy_set *policies = malloc(sizeof *policies);
    char *copy = strndup((const char *)text.data, text.size);
    status = STATUS_NO_MEMORY;
    if (policies != NULL && copy != NULL)
        status = policy_set_parse(copy, "the policy in force", policies, ret_detail);
    if (status == STATUS_OK)
        status = burst_plan(policies, place, &injector->burst, ret_detail);
    free(copy);
    free(policies);
    return status;
}

/* Was nothing spent yet under the key that the burst aims at? */
static bool nothing_spent(const struct injector *injector)
{
    enum policy_key key = injector->burst.key;
    bool fresh = key == POLICY_KEY_SUBJECT || key == POLICY_KEY_FIELD;
    return fresh || (key == POLICY_KEY_SOURCE && !injector->accepted);
}

static void start(struct injector *injector, const struct kind *kind,
                  const struct injection_place *place, struct finding *finding)
{
    bool is_burst = kind->answer == ANSWER_LIMIT;
    buffer_clear(&injector->bytes);
    if (!is_burst)
        catalogue_build(kind, place, &injector->bytes);
    finding_init(finding, &(struct finding_options){
                              .kind = kind,
                              .place = *place,
                              .sent = buffer_slice(&injector->bytes),
                              .burst = is_burst ? &injector->burst : NULL,
                              .nothing_spent = is_burst && nothing_spent(injector),
                          });
    injector->finding = finding;
}

/* Waits until the source may be redirected again, and says hello. The processor keeps the time
 * between two redirects by its batches' times, and a batch's time may be a while old when a
 * submission comes into it: one that is sent after this hello was answered comes into a batch that
 * was begun after the wait. */
static enum status settle(struct injector *injector, const struct kind *kind, uint64_t ended_ns,
                          struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    if (kind->answer == ANSWER_GAP || kind->answer == ANSWER_FENCED)
        status = pause_until(injector, ended_ns + REDIRECT_PAUSE_NS, ret_detail);
    return status == STATUS_OK ? hello(injector, ret_detail) : status;
}

enum status injector_run(struct injector *injector, const struct kind *kind,
                         struct finding *ret_finding, struct detail *ret_detail)
{
    injector->finding = NULL;
    struct injection_place place = next_place(injector);
    enum status status = STATUS_OK;
    if (kind->answer == ANSWER_LIMIT)
        status = plan(injector, &place, ret_detail);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    start(injector, kind, &place, ret_finding);
    if (status == STATUS_NOT_FOUND) {
        finding_skip(ret_finding, ret_detail);
        return STATUS_OK;
    }

    uint64_t started_ns = clock_boot_ns();
    status = exchange(injector, ret_detail);
    if (status == STATUS_OK && kind->answer == ANSWER_RESEND) {
        finding_resend(ret_finding);
        status = exchange(injector, ret_detail);
    }
    uint64_t ended_ns = clock_boot_ns();
    injector->accepted |= ret_finding->decided > ret_finding->refused;
    if (status == STATUS_OK)
        status = settle(injector, kind, ended_ns, ret_detail);
    if (status == STATUS_OK)
        status = hear_all(injector, ret_detail);
    if (status == STATUS_OK)
        finding_close(ret_finding, injector->last_sequence, ended_ns - started_ns);
    if (status == STATUS_UNAVAILABLE)
        detail_write(ret_detail, "after '%s' the processor does not answer any more", kind->name);
    return status;
}
