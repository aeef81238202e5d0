#include "projector/core/follow.h"

#include <assert.h>
#include <inttypes.h>

static void ask_from(struct follow *follow, enum stream stream, uint64_t from)
{
    follow->ask = (struct follow_ask){follow->ask.number + 1, stream, from};
    follow->ask_covers = follow->replay[STREAM_ACCEPTED].log_end;
    follow->is_asking = follow->ask_is_new = true;
}

static bool has_anchor(const struct follow_side *side)
{
    return side->next_id > 1 && side->anchor != 0;
}

/* The last record that is kept or was applied is asked for again, where there is one: the anchor.
 */
static void ask(struct follow *follow, enum stream stream)
{
    const struct follow_side *side = &follow->sides[stream];
    uint64_t behind = side->next_id + follow->replay[stream].kept;
    bool anchored = follow->replay[stream].kept > 0 || has_anchor(side);
    ask_from(follow, stream, anchored ? behind - 1 : behind);
}

static void replay_again(struct follow *follow)
{
    follow->replays++;
    follow->phase = FOLLOW_REPLAY;
    follow->replay[STREAM_ACCEPTED] = follow->replay[STREAM_REJECTED] = (struct follow_replay){0};
    ask(follow, STREAM_ACCEPTED);
}

void follow_init(struct follow *follow, const struct log_id *log_id,
                 const struct follow_side sides[FOLLOW_STREAMS])
{
    *follow = (struct follow){.log_id = *log_id, .sides = {sides[0], sides[1]}};
    assert(sides[0].next_id >= 1 && sides[1].next_id >= 1);
    replay_again(follow);
}

bool follow_is_live(const struct follow *follow)
{
    return follow->phase == FOLLOW_LIVE;
}

/* Records of the log behind what is kept, as far as is known. */
static uint64_t left(const struct follow *follow, enum stream stream)
{
    const struct follow_replay *replay = &follow->replay[stream];
    const uint64_t next_id = follow->sides[stream].next_id + replay->kept;
    return next_id > replay->log_end ? 0 : replay->log_end - next_id + 1;
}

bool follow_is_far(const struct follow *follow)
{
    return follow->phase == FOLLOW_REPLAY && (left(follow, STREAM_ACCEPTED) > FOLLOW_FAR ||
                                              left(follow, STREAM_REJECTED) > FOLLOW_FAR);
}

bool follow_is_near(const struct follow *follow)
{
    const bool is_known = follow->replay[STREAM_ACCEPTED].is_known;
    return follow->phase == FOLLOW_LIVE || (is_known && !follow_is_far(follow));
}

void follow_leave(struct follow *follow)
{
    if (follow->phase == FOLLOW_LIVE)
        replay_again(follow);
}

/* --- asking --- */

bool follow_asks(struct follow *follow, uint64_t now_ns, struct follow_ask *ret_ask)
{
    if (now_ns < follow_due_ns(follow))
        return false;
    follow->ask_is_new = false;
    follow->asked_at_ns = now_ns;
    *ret_ask = follow->ask;
    return true;
}

uint64_t follow_due_ns(const struct follow *follow)
{
    if (!follow->is_asking)
        return UINT64_MAX;
    return follow->ask_is_new ? 0 : follow->asked_at_ns + FOLLOW_REPEAT_NS;
}

/* --- what came --- */

static enum status check_log(const struct follow *follow, const struct log_id *log_id,
                             struct detail *ret_detail)
{
    if (log_id_equal(&follow->log_id, log_id))
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_FENCED,
                      "the processor now serves another log than the one these views were made "
                      "from: start the projector with --rebuild to make them from this one");
}

static void cover(struct follow *follow, uint64_t event_id)
{
    if (follow->covered < event_id)
        follow->covered = event_id;
}

/* The reply is one to what was asked; it ends at record `last_id`. */
static void know(struct follow *follow, const struct follow_step *step, uint64_t last_id,
                 uint64_t log_end)
{
    struct follow_replay *replay = &follow->replay[step->stream];
    replay->is_known = true;
    replay->log_end = log_end;
    follow->is_asking = false;
    if (last_id >= log_end && step->stream == STREAM_REJECTED)
        cover(follow, follow->ask_covers);
    /* A piece that holds but the anchor leads nowhere: the one behind it is asked for without. */
    if (last_id < log_end && step->count == 0)
        ask_from(follow, step->stream, follow->sides[step->stream].next_id);
}

enum status follow_reply(struct follow *follow, uint64_t number, const struct replay_reply *reply,
                         struct follow_step *ret_step, struct detail *ret_detail)
{
    *ret_step = (struct follow_step){.stream = follow->ask.stream};
    enum status status = check_log(follow, &reply->log_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (!follow->is_asking || number != follow->ask.number)
        return STATUS_OK;
    uint64_t next_id = follow->sides[follow->ask.stream].next_id;
    if (reply->last_id < next_id - 1)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "the log is behind us: it ends at %s %" PRIu64 ", we have seen %" PRIu64
                          "; it lost what was published",
                          stream_text(follow->ask.stream), reply->last_id, next_id - 1);
    if (reply->count == 0 && reply->last_id < follow->ask.from) {
        know(follow, ret_step, reply->last_id, reply->last_id);
        return STATUS_OK;
    }
    bool fits = reply->count > 0 && reply->first_id == follow->ask.from &&
                reply->count - 1 <= reply->last_id - reply->first_id;
    if (!fits)
        return STATUS_OK; /* not an answer to what was asked; it is asked again in time */
    ret_step->anchored = reply->first_id < next_id;
    ret_step->skip = ret_step->anchored ? 1 : 0;
    ret_step->count = reply->count - ret_step->skip;
    know(follow, ret_step, reply->first_id + reply->count - 1, reply->last_id);
    return STATUS_OK;
}

void follow_keep(struct follow *follow, enum stream stream, uint64_t count, uint64_t after_event_id)
{
    assert(count > 0 && follow->replay[stream].kept == 0);
    follow->replay[stream].kept = count;
    if (stream == STREAM_REJECTED)
        cover(follow, after_event_id);
}

/* All rejections that are kept, and the events that are covered with them. */
static void plan_rejections(const struct follow *follow, struct follow_plan *ret_plan)
{
    uint64_t next_id = follow->sides[STREAM_ACCEPTED].next_id;
    uint64_t kept = follow->replay[STREAM_ACCEPTED].kept;
    uint64_t covered = follow->covered < next_id ? 0 : follow->covered - next_id + 1;
    ret_plan->rejections_below = UINT64_MAX;
    ret_plan->events = covered < kept ? covered : kept;
}

bool follow_plan(struct follow *follow, struct follow_plan *ret_plan)
{
    const struct follow_replay *events = &follow->replay[STREAM_ACCEPTED];
    const struct follow_replay *rejections = &follow->replay[STREAM_REJECTED];
    uint64_t last_id = follow->sides[STREAM_ACCEPTED].next_id + events->kept - 1;
    if (follow->phase == FOLLOW_LIVE || follow->is_asking)
        return false;
    if (!rejections->is_known) {
        ask(follow, STREAM_REJECTED);
        return false;
    }
    if (events->kept > 0 && last_id <= follow->covered) {
        *ret_plan = (struct follow_plan){.rejections_below = last_id, .events = events->kept};
        if (left(follow, STREAM_ACCEPTED) > 0)
            ask(follow, STREAM_ACCEPTED);
        return true;
    }
    plan_rejections(follow, ret_plan);
    if (events->kept > 0 || left(follow, STREAM_REJECTED) > 0)
        ask(follow, STREAM_REJECTED);
    else
        follow->phase = FOLLOW_LIVE;
    return rejections->kept > 0 || ret_plan->events > 0;
}

enum status follow_message(struct follow *follow, enum stream stream,
                           const struct feed_header *header, struct follow_step *ret_step,
                           struct detail *ret_detail)
{
    assert(follow_is_live(follow));
    *ret_step = (struct follow_step){.stream = stream};
    enum status status = check_log(follow, &header->log_id, ret_detail);
    if (status != STATUS_OK || header->count == 0)
        return status;
    uint64_t next_id = follow->sides[stream].next_id;
    if (header->first_id > next_id) {
        replay_again(follow);
        return STATUS_OK;
    }
    uint64_t seen = next_id - header->first_id; /* records of it that were applied before */
    if (seen > header->count)
        return STATUS_OK;
    ret_step->skip = seen;
    ret_step->count = header->count - seen;
    ret_step->anchored = seen > 0 && has_anchor(&follow->sides[stream]);
    return STATUS_OK;
}

enum status follow_heartbeat(struct follow *follow, const struct heartbeat *heartbeat,
                             struct detail *ret_detail)
{
    assert(follow_is_live(follow));
    enum status status = check_log(follow, &heartbeat->log_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    /* One behind us may only have waited in the queue, or the log lost its end: a replay tells. */
    if (heartbeat->last_event_id != follow->sides[STREAM_ACCEPTED].next_id - 1 ||
        heartbeat->last_rejection_id != follow->sides[STREAM_REJECTED].next_id - 1)
        replay_again(follow);
    return STATUS_OK;
}

/* --- what was done --- */

enum status follow_check_anchor(const struct follow *follow, enum stream stream, uint64_t hash,
                                struct detail *ret_detail)
{
    if (hash == follow->sides[stream].anchor)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_DAMAGED,
                      "the log now holds another %s record %" PRIu64
                      " than the one we have seen: it lost what was published",
                      stream_text(stream), follow->sides[stream].next_id - 1);
}

void follow_applied(struct follow *follow, enum stream stream, uint64_t count, uint64_t hash)
{
    assert(count > 0);
    follow->sides[stream].next_id += count;
    follow->sides[stream].anchor = hash;
    uint64_t *kept = &follow->replay[stream].kept;
    *kept -= *kept < count ? *kept : count;
}
