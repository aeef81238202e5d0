#include "projector/follower.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/app/lifecycle.h"
#include "common/base/logger.h"
#include "common/event/codec.h"
#include "projector/core/piece.h"
#include "projector/replay_link.h"

enum {
    EVENTS_HIGH_WATER_MARK = 128, /* messages of up to a whole batch; more are lost and replayed */
    MESSAGES_PER_TURN_MAX = 8,
};

/* What is kept of the last replay of one stream. */
struct kept_piece {
    struct frame frame; /* owns the bytes */
    struct piece piece;
};

struct follower {
    struct socket *events;
    bool is_subscribed;
    struct replay_link link;
    struct frame head, header, body;        /* of the live message being handled */
    struct kept_piece kept[FOLLOW_STREAMS]; /* by enum stream */
    struct follow follow;
    struct fold *fold;
    uint64_t newest_event_id;
    uint64_t not_migrated; /* events that were warned of */
    follower_seen_fn *see; /* NULL: nobody watches */
    void *see_owner;
};

static const char *const topics[] = {FEED_TOPIC_ACCEPTED, FEED_TOPIC_REJECTED,
                                     FEED_TOPIC_HEARTBEAT};
enum { TOPICS = sizeof topics / sizeof topics[0] };

static enum status subscribe(struct follower *follower, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < TOPICS && status == STATUS_OK; i++)
        status = socket_subscribe(follower->events, slice_of_text(topics[i]));
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot subscribe to the events");
    follower->is_subscribed = true;
    return STATUS_OK;
}

static enum status open_sockets(struct follower *follower, const struct endpoints *endpoints,
                                struct detail *ret_detail)
{
    struct socket_options events = {.kind = SOCKET_SUB,
                                    .endpoint = endpoints->events,
                                    .high_water_mark = EVENTS_HIGH_WATER_MARK,
                                    .message_bytes_max = FEED_MESSAGE_BYTES_MAX};
    enum status status = socket_open(&events, &follower->events, ret_detail);
    if (status == STATUS_OK)
        status = subscribe(follower, ret_detail);
    if (status == STATUS_OK)
        status = replay_link_init(&follower->link, endpoints->control, ret_detail);
    return status;
}

enum status follower_open(const struct endpoints *endpoints, struct follower **ret_follower,
                          struct detail *ret_detail)
{
    struct follower *follower = calloc(1, sizeof *follower);
    if (follower == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the sockets");
    frame_init(&follower->head);
    frame_init(&follower->header);
    frame_init(&follower->body);
    for (int i = 0; i < FOLLOW_STREAMS; i++)
        frame_init(&follower->kept[i].frame);
    enum status status = open_sockets(follower, endpoints, ret_detail);
    if (status == STATUS_OK)
        *ret_follower = follower;
    else
        follower_close(&follower);
    return status;
}

void follower_close(struct follower **follower)
{
    struct follower *old = *follower;
    if (old == NULL)
        return;
    frame_fini(&old->head);
    frame_fini(&old->header);
    frame_fini(&old->body);
    for (int i = 0; i < FOLLOW_STREAMS; i++)
        frame_fini(&old->kept[i].frame);
    socket_close(&old->events);
    replay_link_fini(&old->link);
    free(old);
    *follower = NULL;
}

/* --- the start --- */

static enum status read_uint(struct slice map, const char *name, uint64_t *ret_value)
{
    struct mp_reader value;
    enum status status = event_field(map, slice_of_text(name), &value);
    return status == STATUS_OK ? mp_read_uint(&value, ret_value) : status;
}

static enum status read_policy(struct slice map, const char *name,
                               char ret_policy[POLICY_TEXT_BYTES_MAX])
{
    struct mp_reader value;
    struct slice policy;
    enum status status = event_field(map, slice_of_text(name), &value);
    if (status == STATUS_OK)
        status = mp_read_text(&value, &policy);
    if (status == STATUS_OK && policy.size >= POLICY_TEXT_BYTES_MAX)
        status = STATUS_DAMAGED;
    if (status != STATUS_OK)
        return status;
    memcpy(ret_policy, policy.data, policy.size);
    ret_policy[policy.size] = '\0';
    return STATUS_OK;
}

/* [1, "ok", {"log_id": …, "genesis_policy": …, …}] */
static enum status read_log(struct slice reply, struct follower_log *ret_log,
                            struct detail *ret_detail)
{
    struct mp_reader value;
    struct slice map;
    enum status status = control_reply_map_read(reply, &map, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = event_field(map, slice_of_text("log_id"), &value);
    if (status == STATUS_OK)
        status = log_id_read(&value, &ret_log->log_id);
    if (status == STATUS_OK)
        status = read_uint(map, "last_event_id", &ret_log->last_event_id);
    if (status == STATUS_OK)
        status = read_uint(map, "last_rejection_id", &ret_log->last_rejection_id);
    if (status == STATUS_OK)
        status = read_uint(map, "first_event_id", &ret_log->first_event_id);
    if (status == STATUS_OK)
        status = read_uint(map, "first_rejection_id", &ret_log->first_rejection_id);
    if (status == STATUS_OK)
        status = read_policy(map, "genesis_policy", ret_log->policy);
    if (status == STATUS_OK)
        status = read_policy(map, "first_policy", ret_log->first_policy);
    if (status != STATUS_OK || ret_log->first_event_id == 0 || ret_log->first_rejection_id == 0)
        return detail_set(
            ret_detail, STATUS_DAMAGED,
            "the processor's status lacks log_id, policies, or its first or last ids");
    return STATUS_OK;
}

struct fold_mark follower_log_first(const struct follower_log *log)
{
    return (struct fold_mark){.position = {.event_id = log->first_event_id - 1,
                                           .rejection_id = log->first_rejection_id - 1}};
}

enum status follower_ask_log(struct follower *follower, struct follower_log *ret_log,
                             struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_STATUS};
    enum status status = request_exchange(follower->link.control, &request, lifecycle_fd(),
                                          &follower->head, ret_detail);
    if (status == STATUS_OK)
        status = read_log(frame_slice(&follower->head), ret_log, ret_detail);
    return status;
}

void follower_start(struct follower *follower, const struct log_id *log_id, struct fold *fold)
{
    struct fold_mark mark = fold_mark(fold);
    struct follow_side sides[FOLLOW_STREAMS];
    sides[STREAM_ACCEPTED] =
        (struct follow_side){mark.position.event_id + 1, mark.anchors[STREAM_ACCEPTED]};
    sides[STREAM_REJECTED] =
        (struct follow_side){mark.position.rejection_id + 1, mark.anchors[STREAM_REJECTED]};
    follower->fold = fold;
    follow_init(&follower->follow, log_id, sides);
}

/* --- carrying out --- */

static void know_of(struct follower *follower, uint64_t event_id)
{
    if (follower->newest_event_id < event_id)
        follower->newest_event_id = event_id;
}

static void warn_of_old_events(struct follower *follower)
{
    uint64_t last_id = 0, count = fold_not_migrated(follower->fold, &last_id);
    if (count > follower->not_migrated)
        log_warn("events of an old schema version could not be migrated and are shown as they are",
                 "events=%llu last_event_id=%llu", (unsigned long long)count,
                 (unsigned long long)last_id);
    follower->not_migrated = count;
}

static enum status too_few(enum stream stream, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_DAMAGED, "fewer %s records came than were announced",
                      stream_text(stream));
}

/* Leaves what is new in the piece, behind a look at what is not. */
static enum status pass_over_seen(const struct follower *follower, const struct follow_step *step,
                                  struct piece *piece, struct detail *ret_detail)
{
    uint64_t hash;
    if (step->skip == 0)
        return STATUS_OK;
    if (piece_pass_over(piece, step->skip, &hash) != STATUS_OK)
        return too_few(step->stream, ret_detail);
    if (!step->anchored)
        return STATUS_OK;
    return follow_check_anchor(&follower->follow, step->stream, hash, ret_detail);
}

static enum status apply(struct follower *follower, enum stream stream, struct piece *piece,
                         uint64_t count, struct detail *ret_detail)
{
    struct slice records;
    uint64_t hash;
    if (count == 0)
        return STATUS_OK;
    if (piece_cut(piece, count, &records) != STATUS_OK)
        return too_few(stream, ret_detail);
    enum status status = fold_apply(follower->fold, stream, records, count, &hash, ret_detail);
    if (status != STATUS_OK)
        return status;
    follow_applied(&follower->follow, stream, count, hash);
    warn_of_old_events(follower);
    know_of(follower, fold_position(follower->fold).event_id);
    return STATUS_OK;
}

void follower_announce(struct follower *follower, const char *name)
{
    struct control_request request = {.verb = CONTROL_STATUS, .projector = slice_of_text(name)};
    (void)!request_send(follower->link.control, 0, &request); /* the reply is of no interest */
}

/* --- replay --- */

static void send_ask(struct follower *follower, uint64_t now_ns)
{
    struct follow_ask ask;
    if (follow_asks(&follower->follow, now_ns, &ask)) /* unsent is sent again in time */
        (void)!replay_link_ask(&follower->link, ask.number, ask.stream, ask.from,
                               REPLAY_RECORDS_MAX);
}

/* An error in place of a replay. What may pass is asked for again in time. */
static enum status replay_refused(const struct follower *follower, enum status status,
                                  struct detail *ret_detail)
{
    if (status == STATUS_UNAVAILABLE) {
        log_warn("the processor cannot replay now", "what=\"%s\"", ret_detail->text);
        return STATUS_OK;
    }
    struct detail why = *ret_detail;
    return detail_set(ret_detail, status == STATUS_GONE ? STATUS_GONE : STATUS_DAMAGED,
                      "the processor does not replay %s from %llu: %s",
                      stream_text(follower->follow.ask.stream),
                      (unsigned long long)follower->follow.ask.from, why.text);
}

/* Keeps the new records of the reply received last. */
static enum status keep(struct follower *follower, const struct follow_step *step,
                        struct detail *ret_detail)
{
    struct kept_piece *kept = &follower->kept[step->stream];
    uint64_t after = 0;
    frame_move(&kept->frame, &follower->link.reply.body);
    kept->piece = (struct piece){frame_slice(&kept->frame), step->skip + step->count};
    enum status status = pass_over_seen(follower, step, &kept->piece, ret_detail);
    if (status != STATUS_OK || step->count == 0)
        return status;
    if (step->stream == STREAM_REJECTED && piece_last_after(&kept->piece, &after) != STATUS_OK)
        return too_few(step->stream, ret_detail);
    follow_keep(&follower->follow, step->stream, step->count, after);
    return STATUS_OK;
}

static enum status carry_out(struct follower *follower, const struct follow_plan *plan,
                             struct detail *ret_detail)
{
    struct piece *rejections = &follower->kept[STREAM_REJECTED].piece;
    uint64_t count = rejections->count;
    if (plan->rejections_below < UINT64_MAX &&
        piece_count_below(rejections, plan->rejections_below, &count) != STATUS_OK)
        return too_few(STREAM_REJECTED, ret_detail);
    enum status status = apply(follower, STREAM_REJECTED, rejections, count, ret_detail);
    if (status == STATUS_OK)
        status = apply(follower, STREAM_ACCEPTED, &follower->kept[STREAM_ACCEPTED].piece,
                       plan->events, ret_detail);
    return status;
}

static enum status handle_reply(struct follower *follower, uint64_t now_ns,
                                struct detail *ret_detail)
{
    struct replay_reply reply;
    struct follow_step step;
    struct follow_plan plan;
    const struct follow_ask *ask = &follower->follow.ask;
    uint64_t number = follower->link.reply.number;
    if (number != ask->number)
        return STATUS_OK; /* to a request that is over */
    enum status status =
        replay_reply_read(frame_slice(&follower->link.reply.frame), &reply, ret_detail);
    if (status != STATUS_OK)
        return replay_refused(follower, status, ret_detail);
    if (ask->stream == STREAM_ACCEPTED)
        know_of(follower, reply.last_id);
    status = follow_reply(&follower->follow, number, &reply, &step, ret_detail);
    if (status == STATUS_OK && step.skip + step.count > 0)
        status = keep(follower, &step, ret_detail);
    while (status == STATUS_OK && follow_plan(&follower->follow, &plan)) {
        send_ask(follower, now_ns); /* the processor reads on while we apply */
        status = carry_out(follower, &plan, ret_detail);
    }
    return status;
}

/* --- live --- */

static enum status unreadable(const char *topic, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "a message of topic %s that this version cannot read", topic);
}

void follower_watch(struct follower *follower, follower_seen_fn *see, void *owner)
{
    follower->see = see;
    follower->see_owner = owner;
}

/* [id, decided_at, …]; all records of a message are of one batch, decided within moments. */
static void tell_watcher(struct follower *follower, const struct feed_header *header,
                         const struct follow_step *step)
{
    struct mp_reader reader = mp_reader_of(frame_slice(&follower->body));
    struct follower_seen seen = {
        .stream = step->stream, .count = step->count, .published_at_ns = header->published_at_ns};
    uint32_t items;
    uint64_t id;
    if (follower->see != NULL && step->count > 0 && mp_read_array(&reader, &items) == STATUS_OK &&
        mp_read_uint(&reader, &id) == STATUS_OK &&
        mp_read_uint(&reader, &seen.decided_at_ns) == STATUS_OK)
        follower->see(follower->see_owner, &seen);
}

static enum status handle_records(struct follower *follower, enum stream stream,
                                  struct detail *ret_detail)
{
    struct feed_header header;
    struct follow_step step;
    if (feed_header_read(frame_slice(&follower->header), &header) != STATUS_OK)
        return unreadable(stream_text(stream), ret_detail);
    enum status status = follow_message(&follower->follow, stream, &header, &step, ret_detail);
    struct piece piece = {frame_slice(&follower->body), step.skip + step.count};
    if (status == STATUS_OK)
        status = pass_over_seen(follower, &step, &piece, ret_detail);
    if (status == STATUS_OK)
        status = apply(follower, stream, &piece, step.count, ret_detail);
    if (status == STATUS_OK)
        tell_watcher(follower, &header, &step);
    return status;
}

static enum status handle_heartbeat(struct follower *follower, struct detail *ret_detail)
{
    struct heartbeat heartbeat;
    if (heartbeat_read(frame_slice(&follower->header), &heartbeat) != STATUS_OK)
        return unreadable(FEED_TOPIC_HEARTBEAT, ret_detail);
    know_of(follower, heartbeat.last_event_id);
    return follow_heartbeat(&follower->follow, &heartbeat, ret_detail);
}

static enum status handle_live(struct follower *follower, struct detail *ret_detail)
{
    struct slice topic = frame_slice(&follower->head);
    if (slice_equal_text(topic, FEED_TOPIC_ACCEPTED))
        return handle_records(follower, STREAM_ACCEPTED, ret_detail);
    if (slice_equal_text(topic, FEED_TOPIC_REJECTED))
        return handle_records(follower, STREAM_REJECTED, ret_detail);
    if (slice_equal_text(topic, FEED_TOPIC_HEARTBEAT))
        return handle_heartbeat(follower, ret_detail);
    return STATUS_OK;
}

/* --- turns --- */

int follower_wait_on(struct follower *follower, struct socket_wait ret_items[FOLLOWER_SOCKETS])
{
    ret_items[0] = (struct socket_wait){.socket = follower->link.control};
    ret_items[1] = (struct socket_wait){.socket = follower->events};
    return follow_is_live(&follower->follow) ? 2 : 1;
}

uint64_t follower_due_ns(const struct follower *follower)
{
    return follow_due_ns(&follower->follow);
}

static enum status receive_live(struct follower *follower)
{
    struct frame *const frames[] = {&follower->head, &follower->header, &follower->body};
    return socket_receive_message(follower->events, frames, 3);
}

static void unsubscribe(struct follower *follower)
{
    for (int i = 0; i < TOPICS && follower->is_subscribed; i++)
        socket_unsubscribe(follower->events, slice_of_text(topics[i]));
    follower->is_subscribed = false;
}

/* While a replay has long to go the processor need not send live messages, and those that wait here
 * are thrown away. */
static enum status subscribe_as_needed(struct follower *follower, struct detail *ret_detail)
{
    if (follow_is_far(&follower->follow))
        unsubscribe(follower);
    else if (!follower->is_subscribed && follow_is_near(&follower->follow))
        return subscribe(follower, ret_detail);
    /* One message at most is received: passing over all that no longer matches is what it is for.
     */
    while (!follower->is_subscribed && receive_live(follower) == STATUS_OK)
        continue;
    return STATUS_OK;
}

void follower_leave(struct follower *follower)
{
    follow_leave(&follower->follow);
    unsubscribe(follower);
}

enum status follower_turn(struct follower *follower, uint64_t now_ns, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    /* One piece a turn: between two of them questions are answered and snapshots taken. */
    if (reply_receive(follower->link.control, &follower->link.reply) == STATUS_OK)
        status = handle_reply(follower, now_ns, ret_detail);
    for (int i = 0; i < MESSAGES_PER_TURN_MAX && status == STATUS_OK; i++) {
        if (!follow_is_live(&follower->follow) || receive_live(follower) != STATUS_OK)
            break;
        status = handle_live(follower, ret_detail);
    }
    if (status == STATUS_OK)
        status = subscribe_as_needed(follower, ret_detail);
    send_ask(follower, now_ns);
    return status;
}

struct follower_progress follower_progress(const struct follower *follower)
{
    return (struct follower_progress){.live = follow_is_live(&follower->follow),
                                      .replays = follower->follow.replays - 1,
                                      .newest_event_id = follower->newest_event_id};
}
