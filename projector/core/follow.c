#include "projector/core/follow.h"

#include <assert.h>
#include <inttypes.h>

static enum stream stream_of(enum follow_phase phase)
{
    return phase == FOLLOW_REPLAY_REJECTED ? STREAM_REJECTED : STREAM_ACCEPTED;
}

static void ask_from(struct follow *follow, uint64_t from)
{
    follow->ask.number++;
    follow->ask.stream = stream_of(follow->phase);
    follow->ask.from = from;
    follow->ask_is_new = true;
}

static bool has_anchor(const struct follow_side *side)
{
    return side->next_id > 1 && side->anchor != 0;
}

/* A phase of replay begins with the anchor, where there is one. */
static void enter(struct follow *follow, enum follow_phase phase)
{
    follow->phase = phase;
    follow->ask_is_new = false;
    if (phase == FOLLOW_LIVE)
        return;
    const struct follow_side *side = &follow->sides[stream_of(phase)];
    ask_from(follow, has_anchor(side) ? side->next_id - 1 : side->next_id);
}

static void replay_again(struct follow *follow)
{
    follow->replays++;
    enter(follow, FOLLOW_REPLAY_REJECTED);
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
    if (follow->phase == FOLLOW_LIVE)
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

/* Past the end of a stream comes the next phase; otherwise the next piece, which begins with the
 * last record of this one. A piece that holds nothing else leads nowhere, so the one after it is
 * asked for without. */
static void advance(struct follow *follow, uint64_t last_id, uint64_t log_end)
{
    if (last_id >= log_end) {
        enter(follow, follow->phase + 1);
        return;
    }
    uint64_t next_id = follow->sides[follow->ask.stream].next_id;
    ask_from(follow, last_id < next_id ? next_id : last_id);
}

enum status follow_reply(struct follow *follow, uint64_t number, const struct replay_reply *reply,
                         struct follow_step *ret_step, struct detail *ret_detail)
{
    *ret_step = (struct follow_step){.stream = follow->ask.stream};
    enum status status = check_log(follow, &reply->log_id, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (follow->phase == FOLLOW_LIVE || number != follow->ask.number)
        return STATUS_OK;
    uint64_t next_id = follow->sides[follow->ask.stream].next_id;
    if (reply->last_id < next_id - 1)
        return detail_set(ret_detail, STATUS_DAMAGED,
                          "the log is behind us: it ends at %s %" PRIu64 ", we have seen %" PRIu64
                          "; it lost what was published",
                          stream_text(follow->ask.stream), reply->last_id, next_id - 1);
    if (reply->count == 0 && reply->last_id < follow->ask.from) {
        enter(follow, follow->phase + 1);
        return STATUS_OK;
    }
    bool fits = reply->count > 0 && reply->first_id == follow->ask.from &&
                reply->count - 1 <= reply->last_id - reply->first_id;
    if (!fits)
        return STATUS_OK; /* not an answer to what was asked; it is asked again in time */
    ret_step->anchored = reply->first_id < next_id;
    ret_step->skip = ret_step->anchored ? 1 : 0;
    ret_step->count = reply->count - ret_step->skip;
    advance(follow, reply->first_id + reply->count - 1, reply->last_id);
    return STATUS_OK;
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
}
