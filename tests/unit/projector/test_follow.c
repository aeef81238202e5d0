#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/core/follow.h"
#include "tests/lib/seed.h"

static const struct log_id our_log = {{1, 2, 3}};
static const struct log_id other_log = {{4, 5, 6}};

/* --- single steps --- */

static struct follow following_from(uint64_t next_rejection, uint64_t next_event)
{
    struct follow follow;
    struct follow_side sides[FOLLOW_STREAMS];
    sides[STREAM_REJECTED] = (struct follow_side){next_rejection, 700 + next_rejection - 1};
    sides[STREAM_ACCEPTED] = (struct follow_side){next_event, 900 + next_event - 1};
    follow_init(&follow, &our_log, sides);
    return follow;
}

static struct follow_ask expect_ask(struct follow *follow, uint64_t now_ns, enum stream stream,
                                    uint64_t from)
{
    struct follow_ask ask;
    assert_true(follow_asks(follow, now_ns, &ask));
    assert_int_equal(ask.stream, stream);
    assert_int_equal(ask.from, from);
    return ask;
}

static struct follow_step expect_reply_taken(struct follow *follow, uint64_t number,
                                             uint64_t first_id, uint64_t count, uint64_t last_id)
{
    struct replay_reply reply = {our_log, first_id, count, last_id};
    struct follow_step step;
    struct detail detail;
    assert_int_equal(follow_reply(follow, number, &reply, &step, &detail), STATUS_OK);
    return step;
}

static struct follow_step expect_message_taken(struct follow *follow, enum stream stream,
                                               uint64_t first_id, uint64_t count)
{
    struct feed_header header = {.log_id = our_log, .first_id = first_id, .count = count};
    struct follow_step step;
    struct detail detail;
    assert_int_equal(follow_message(follow, stream, &header, &step, &detail), STATUS_OK);
    assert_int_equal(step.stream, stream);
    return step;
}

static void expect_step(struct follow_step step, uint64_t skip, uint64_t count, bool anchored)
{
    assert_int_equal(step.skip, skip);
    assert_int_equal(step.count, count);
    assert_int_equal(step.anchored, anchored);
}

static void expect_plan(struct follow *follow, uint64_t rejections_below, uint64_t events)
{
    struct follow_plan plan;
    assert_true(follow_plan(follow, &plan));
    assert_true(plan.rejections_below == rejections_below);
    assert_int_equal(plan.events, events);
}

static void expect_no_plan(struct follow *follow)
{
    struct follow_plan plan;
    assert_false(follow_plan(follow, &plan));
}

/* The follower asks for the stream from `from` on and gets `count` records, all new to it; there
 * are `last_id` in the log. */
static void bring(struct follow *follow, enum stream stream, uint64_t from, uint64_t count,
                  uint64_t last_id)
{
    struct follow_ask ask = expect_ask(follow, 1, stream, from);
    expect_step(expect_reply_taken(follow, ask.number, from, count, last_id), 0, count, false);
}

/* Live behind 4 rejections and 9 events; their anchors are 704 and 909. */
static struct follow live(void)
{
    struct follow follow = following_from(5, 10);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
    expect_step(expect_reply_taken(&follow, ask.number, 9, 1, 9), 1, 0, true);
    expect_no_plan(&follow);
    ask = expect_ask(&follow, 1, STREAM_REJECTED, 4);
    expect_step(expect_reply_taken(&follow, ask.number, 4, 1, 4), 1, 0, true);
    expect_no_plan(&follow);
    assert_true(follow_is_live(&follow));
    return follow;
}

/* The log's beginning is lost: the record before the first one kept cannot be asked for. */
static void begins_in_the_middle_without_an_anchor(void **state)
{
    (void)state;
    struct follow follow;
    struct follow_side sides[FOLLOW_STREAMS];
    sides[STREAM_REJECTED] = (struct follow_side){.next_id = 5};
    sides[STREAM_ACCEPTED] = (struct follow_side){.next_id = 10};
    follow_init(&follow, &our_log, sides);
    bring(&follow, STREAM_ACCEPTED, 10, 2, 11);
    follow_keep(&follow, STREAM_ACCEPTED, 2, 0);
    expect_no_plan(&follow);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_REJECTED, 5);
    expect_step(expect_reply_taken(&follow, ask.number, 5, 0, 4), 0, 0, false);
    expect_plan(&follow, 11, 2);
    follow_applied(&follow, STREAM_ACCEPTED, 2, 911);
    expect_no_plan(&follow);
    assert_true(follow_is_live(&follow));
    expect_step(expect_message_taken(&follow, STREAM_REJECTED, 4, 2), 1, 1, false);
    follow_applied(&follow, STREAM_REJECTED, 1, 705);
    expect_step(expect_message_taken(&follow, STREAM_REJECTED, 5, 2), 1, 1, true);
}

static void replays_both_streams_at_the_start(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    assert_false(follow_is_live(&follow));

    bring(&follow, STREAM_ACCEPTED, 1, 3, 3);
    follow_keep(&follow, STREAM_ACCEPTED, 3, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 2, 2);
    follow_keep(&follow, STREAM_REJECTED, 2, 3);
    expect_plan(&follow, 3, 3);
    follow_applied(&follow, STREAM_REJECTED, 1, 701);
    follow_applied(&follow, STREAM_ACCEPTED, 3, 903);
    assert_false(follow_is_live(&follow));
    expect_plan(&follow, UINT64_MAX, 0); /* what came behind the last event */
    follow_applied(&follow, STREAM_REJECTED, 1, 702);
    expect_no_plan(&follow);

    assert_true(follow_is_live(&follow));
    assert_int_equal(follow.sides[STREAM_REJECTED].next_id, 3);
    assert_int_equal(follow.sides[STREAM_ACCEPTED].next_id, 4);
}

static void keeps_rejections_until_the_events_before_them_come(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    bring(&follow, STREAM_ACCEPTED, 1, 10, 30);
    follow_keep(&follow, STREAM_ACCEPTED, 10, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 6, 9);
    follow_keep(&follow, STREAM_REJECTED, 6, 24); /* of the sixth; the third is behind event 9 */

    expect_plan(&follow, 10, 10);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 10);
    follow_applied(&follow, STREAM_REJECTED, 3, 703);
    follow_applied(&follow, STREAM_ACCEPTED, 10, 910);
    expect_no_plan(&follow);
    expect_step(expect_reply_taken(&follow, ask.number, 10, 11, 30), 1, 10, true);
    follow_keep(&follow, STREAM_ACCEPTED, 10, 0);
    expect_plan(&follow, 20, 10);
    follow_applied(&follow, STREAM_ACCEPTED, 10, 920); /* none stood between them */
    assert_int_equal(follow.replay[STREAM_REJECTED].kept, 3);
}

static void keeps_events_until_the_rejections_before_them_come(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    bring(&follow, STREAM_ACCEPTED, 1, 10, 10);
    follow_keep(&follow, STREAM_ACCEPTED, 10, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 6, 9);
    follow_keep(&follow, STREAM_REJECTED, 6, 4);

    expect_plan(&follow, UINT64_MAX, 4);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_REJECTED, 6);
    follow_applied(&follow, STREAM_REJECTED, 6, 706);
    follow_applied(&follow, STREAM_ACCEPTED, 4, 904);
    expect_no_plan(&follow);
    expect_step(expect_reply_taken(&follow, ask.number, 6, 4, 9), 1, 3, true);
    follow_keep(&follow, STREAM_REJECTED, 3, 7);
    expect_plan(&follow, 10, 6); /* there are no more rejections, so none is missing */
    follow_applied(&follow, STREAM_REJECTED, 3, 709);
    follow_applied(&follow, STREAM_ACCEPTED, 6, 910);
    expect_no_plan(&follow);
    assert_true(follow_is_live(&follow));
}

/* Rejections had come to their end when the log had 10 events; now it has more. */
static void looks_for_rejections_again_when_the_log_has_grown(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    bring(&follow, STREAM_ACCEPTED, 1, 8, 10);
    follow_keep(&follow, STREAM_ACCEPTED, 8, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 0, 0);
    expect_plan(&follow, 8, 8);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 8);
    follow_applied(&follow, STREAM_ACCEPTED, 8, 908);
    expect_no_plan(&follow);
    expect_step(expect_reply_taken(&follow, ask.number, 8, 13, 20), 1, 12, true);
    follow_keep(&follow, STREAM_ACCEPTED, 12, 0);
    expect_plan(&follow, UINT64_MAX, 2);
    follow_applied(&follow, STREAM_ACCEPTED, 2, 910);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 1, 1);
    follow_keep(&follow, STREAM_REJECTED, 1, 15);
    expect_plan(&follow, 20, 10);
}

static void goes_live_on_an_empty_log(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);

    bring(&follow, STREAM_ACCEPTED, 1, 0, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 0, 0);
    expect_no_plan(&follow);

    assert_true(follow_is_live(&follow));
    assert_true(follow_due_ns(&follow) == UINT64_MAX);
}

static void applies_a_live_message_that_joins_on(void **state)
{
    (void)state;
    struct follow follow = live();
    expect_step(expect_message_taken(&follow, STREAM_ACCEPTED, 10, 7), 0, 7, false);
    follow_applied(&follow, STREAM_ACCEPTED, 7, 916);
    assert_int_equal(follow.sides[STREAM_ACCEPTED].next_id, 17);
    assert_true(follow_is_live(&follow));
}

static void cuts_off_exactly_what_a_message_repeats(void **state)
{
    (void)state;
    struct follow follow = live();
    struct detail detail;

    expect_step(expect_message_taken(&follow, STREAM_ACCEPTED, 8, 5), 2, 3, true);
    assert_int_equal(follow_check_anchor(&follow, STREAM_ACCEPTED, 909, &detail), STATUS_OK);
    expect_step(expect_message_taken(&follow, STREAM_ACCEPTED, 5, 5), 5, 0, true);
    expect_step(expect_message_taken(&follow, STREAM_ACCEPTED, 5, 4), 0, 0, false);
    expect_step(expect_message_taken(&follow, STREAM_REJECTED, 4, 2), 1, 1, true);
    assert_true(follow_is_live(&follow));
}

static void replays_from_its_anchor_when_a_message_leaves_a_hole(void **state)
{
    (void)state;
    struct follow follow = live();
    expect_step(expect_message_taken(&follow, STREAM_ACCEPTED, 11, 3), 0, 0, false);

    assert_false(follow_is_live(&follow));
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
    expect_step(expect_reply_taken(&follow, ask.number, 9, 5, 13), 1, 4, true);
    follow_keep(&follow, STREAM_ACCEPTED, 4, 0);
    expect_no_plan(&follow);
    ask = expect_ask(&follow, 1, STREAM_REJECTED, 4);
    expect_reply_taken(&follow, ask.number, 4, 1, 4);
    expect_plan(&follow, 13, 4);
    follow_applied(&follow, STREAM_ACCEPTED, 4, 913);
    expect_no_plan(&follow);
    assert_true(follow_is_live(&follow));
}

static void replays_when_a_heartbeat_says_another_position(void **state)
{
    (void)state;
    static const uint64_t positions[][2] = {{10, 4}, {9, 5}, {8, 4}, {9, 3}};
    for (unsigned i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        struct follow follow = live();
        struct heartbeat heartbeat = {our_log, positions[i][0], positions[i][1], 0};
        struct detail detail;
        assert_int_equal(follow_heartbeat(&follow, &heartbeat, &detail), STATUS_OK);
        assert_false(follow_is_live(&follow));
    }
    struct follow follow = live();
    struct heartbeat heartbeat = {our_log, 9, 4, 0};
    struct detail detail;
    assert_int_equal(follow_heartbeat(&follow, &heartbeat, &detail), STATUS_OK);
    assert_true(follow_is_live(&follow));
}

static void repeats_an_unanswered_request_under_its_number(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    struct follow_ask ask;
    uint64_t number = expect_ask(&follow, 1000, STREAM_ACCEPTED, 1).number;

    assert_false(follow_asks(&follow, 1000 + FOLLOW_REPEAT_NS - 1, &ask));
    assert_true(follow_due_ns(&follow) == 1000 + FOLLOW_REPEAT_NS);
    ask = expect_ask(&follow, 1000 + FOLLOW_REPEAT_NS, STREAM_ACCEPTED, 1);
    assert_int_equal(ask.number, number);
}

static void asks_for_the_next_piece_before_this_one_is_applied(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    bring(&follow, STREAM_ACCEPTED, 1, 100, 250);
    follow_keep(&follow, STREAM_ACCEPTED, 100, 0);
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 0, 0);

    expect_plan(&follow, 100, 100);
    struct follow_ask ask = expect_ask(&follow, 2, STREAM_ACCEPTED, 100);
    follow_applied(&follow, STREAM_ACCEPTED, 100, 800);
    expect_step(expect_reply_taken(&follow, ask.number, 100, 151, 250), 1, 150, true);
}

static void ignores_a_reply_to_a_request_that_is_over(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 1);
    expect_step(expect_reply_taken(&follow, ask.number, 1, 2, 2), 0, 2, false);
    follow_keep(&follow, STREAM_ACCEPTED, 2, 0);

    expect_step(expect_reply_taken(&follow, ask.number, 1, 2, 2), 0, 0, false);
    expect_no_plan(&follow);
    expect_step(expect_reply_taken(&follow, ask.number, 1, 2, 2), 0, 0, false);
    expect_ask(&follow, 1, STREAM_REJECTED, 1);
}

static void gets_past_replies_that_hold_only_the_anchor(void **state)
{
    (void)state;
    struct follow follow = following_from(5, 10);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
    expect_step(expect_reply_taken(&follow, ask.number, 9, 1, 11), 1, 0, true);
    expect_no_plan(&follow);
    ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 10);
    expect_step(expect_reply_taken(&follow, ask.number, 10, 1, 11), 0, 1, false);
}

static void waits_for_an_answer_that_fits_the_request(void **state)
{
    (void)state;
    static const uint64_t replies[][3] = {{10, 1, 11}, {8, 2, 11}, {9, 4, 11}, {9, 0, 11}};
    for (unsigned i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct follow follow = following_from(5, 10);
        struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
        const uint64_t *r = replies[i];
        expect_step(expect_reply_taken(&follow, ask.number, r[0], r[1], r[2]), 0, 0, false);
        expect_no_plan(&follow);
        expect_ask(&follow, 1 + FOLLOW_REPEAT_NS, STREAM_ACCEPTED, 9);
    }
}

static void refuses_another_log(void **state)
{
    (void)state;
    struct detail detail;
    struct follow_step step;
    struct follow follow = live();
    struct feed_header header = {.log_id = other_log, .first_id = 10, .count = 1};
    assert_int_equal(follow_message(&follow, STREAM_ACCEPTED, &header, &step, &detail),
                     STATUS_FENCED);
    struct heartbeat heartbeat = {.log_id = other_log, .last_event_id = 9, .last_rejection_id = 4};
    assert_int_equal(follow_heartbeat(&follow, &heartbeat, &detail), STATUS_FENCED);
    follow = following_from(1, 1);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 1);
    struct replay_reply reply = {other_log, 1, 1, 1};
    assert_int_equal(follow_reply(&follow, ask.number, &reply, &step, &detail), STATUS_FENCED);
}

static void refuses_a_log_that_ends_before_what_was_seen(void **state)
{
    (void)state;
    struct detail detail;
    struct follow_step step;
    struct follow follow = following_from(5, 10);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
    struct replay_reply reply = {our_log, 9, 0, 8};
    assert_int_equal(follow_reply(&follow, ask.number, &reply, &step, &detail), STATUS_DAMAGED);
    assert_non_null(strstr(detail.text, "behind us"));
}

static void refuses_a_log_whose_last_record_seen_is_another_now(void **state)
{
    (void)state;
    struct detail detail;
    struct follow follow = live();
    assert_int_equal(follow_check_anchor(&follow, STREAM_ACCEPTED, 910, &detail), STATUS_DAMAGED);
    assert_int_equal(follow_check_anchor(&follow, STREAM_REJECTED, 703, &detail), STATUS_DAMAGED);
    assert_int_equal(follow_check_anchor(&follow, STREAM_REJECTED, 704, &detail), STATUS_OK);
}

/* --- a world that loses things --- */

enum {
    LOG_MAX = 400, /* records of one stream */
    BATCH_MAX = 5,
    QUEUE_MAX = 12,
    REPLY_MAX = 9,
};

struct piece { /* records on their way, each by its hash */
    bool is_heartbeat;
    enum stream stream;
    uint64_t first_id, count;
    uint64_t hashes[REPLY_MAX];
    uint64_t last_ids[FOLLOW_STREAMS]; /* heartbeat */
};

struct world {
    struct rng rng;
    uint64_t loss_per_mille;
    uint64_t reply_min; /* records in a reply, where there are so many */
    uint64_t history;   /* number of the log's history; a log that forks begins another */
    uint64_t log[FOLLOW_STREAMS][LOG_MAX + 1];
    uint64_t after[LOG_MAX + 1]; /* after_event_id of each rejection */
    uint64_t last_ids[FOLLOW_STREAMS];
    struct piece queue[QUEUE_MAX]; /* the subscriber's */
    uint32_t queued;
    struct follow_ask request; /* on its way, where number > 0 */
    uint64_t reply_number;     /* a reply is on its way, where > 0 */
    struct replay_reply reply;
    struct piece reply_body;
    uint64_t now_ns;
    struct follow follow;
    struct piece kept[FOLLOW_STREAMS]; /* of replies */
    bool was_live;
    uint64_t seen[FOLLOW_STREAMS][LOG_MAX + 1]; /* hashes as they were applied */
    uint64_t seen_count[FOLLOW_STREAMS];
    enum status status; /* that ended the following */
};

static bool is_lost(struct world *world)
{
    return rng_below(&world->rng, 1000) < world->loss_per_mille;
}

static uint64_t record_hash(const struct world *world, enum stream stream, uint64_t id)
{
    return world->history << 40 | (uint64_t)stream << 32 | id;
}

static void publish(struct world *world, const struct piece *piece)
{
    if (world->queued < QUEUE_MAX && !is_lost(world))
        world->queue[world->queued++] = *piece;
}

static void append(struct world *world)
{
    enum stream stream = (enum stream)rng_below(&world->rng, FOLLOW_STREAMS);
    struct piece piece = {.stream = stream,
                          .first_id = world->last_ids[stream] + 1,
                          .count = 1 + rng_below(&world->rng, BATCH_MAX)};
    bool queue_holds = world->history == 1 || world->queued < QUEUE_MAX;
    if (world->last_ids[stream] + piece.count > LOG_MAX || !queue_holds)
        return;
    for (uint64_t i = 0; i < piece.count; i++) {
        uint64_t id = piece.first_id + i;
        world->log[stream][id] = piece.hashes[i] = record_hash(world, stream, id);
        if (stream == STREAM_REJECTED)
            world->after[id] = world->last_ids[STREAM_ACCEPTED];
    }
    world->last_ids[stream] += piece.count;
    publish(world, &piece);
}

static void heartbeat(struct world *world)
{
    struct piece piece = {.is_heartbeat = true};
    memcpy(piece.last_ids, world->last_ids, sizeof piece.last_ids);
    publish(world, &piece);
}

/* The processor answers the request that has arrived. */
static void answer(struct world *world)
{
    struct follow_ask ask = world->request;
    world->request.number = 0;
    if (ask.number == 0 || is_lost(world))
        return;
    uint64_t last_id = world->last_ids[ask.stream];
    uint64_t count = ask.from <= last_id ? last_id - ask.from + 1 : 0;
    uint64_t count_max = world->reply_min + rng_below(&world->rng, REPLY_MAX - 1);
    count = count < count_max ? count : count_max;
    world->reply_number = ask.number;
    world->reply = (struct replay_reply){our_log, ask.from, count, last_id};
    world->reply_body = (struct piece){.stream = ask.stream, .first_id = ask.from, .count = count};
    for (uint64_t i = 0; i < count; i++)
        world->reply_body.hashes[i] = world->log[ask.stream][ask.from + i];
}

static void send_request(struct world *world)
{
    struct follow_ask ask;
    if (follow_asks(&world->follow, world->now_ns, &ask) && !is_lost(world))
        world->request = ask;
}

static void check_anchor(struct world *world, const struct follow_step *step,
                         const struct piece *piece)
{
    struct detail detail;
    if (step->anchored)
        world->status = follow_check_anchor(&world->follow, step->stream,
                                            piece->hashes[step->skip - 1], &detail);
}

static void pass_over(struct piece *piece, uint64_t count)
{
    piece->first_id += count;
    piece->count -= count;
    memmove(piece->hashes, piece->hashes + count, piece->count * sizeof piece->hashes[0]);
}

/* Cuts the first `count` records off and sees them. */
static void see(struct world *world, struct piece *piece, uint64_t count)
{
    uint64_t *seen_count = &world->seen_count[piece->stream];
    assert_true(count <= piece->count);
    if (count == 0)
        return;
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(piece->first_id + i, *seen_count + 1); /* once, in order */
        world->seen[piece->stream][++*seen_count] = piece->hashes[i];
    }
    follow_applied(&world->follow, piece->stream, count, piece->hashes[count - 1]);
    pass_over(piece, count);
}

/* Rejections of the log from before event `event_id`. */
static uint64_t rejections_before(const struct world *world, uint64_t event_id)
{
    uint64_t count = 0;
    while (count < world->last_ids[STREAM_REJECTED] && world->after[count + 1] < event_id)
        count++;
    return count;
}

/* With the events that were seen, the rejections were seen that were known before them; behind a
 * piece of events none but those, until it is live. */
static void expect_together(const struct world *world, const struct follow_plan *plan)
{
    uint64_t known = rejections_before(world, world->seen_count[STREAM_ACCEPTED]);
    if (world->history > 1)
        return; /* the list holds what the fork threw away */
    if (plan->events > 0)
        assert_true(world->seen_count[STREAM_REJECTED] >= known);
    if (!world->was_live && plan->rejections_below < UINT64_MAX)
        assert_int_equal(world->seen_count[STREAM_REJECTED], known);
}

static void carry_out(struct world *world, const struct follow_plan *plan)
{
    struct piece *rejections = &world->kept[STREAM_REJECTED];
    uint64_t count = 0;
    while (count < rejections->count &&
           world->after[rejections->first_id + count] < plan->rejections_below)
        count++;
    see(world, rejections, count);
    see(world, &world->kept[STREAM_ACCEPTED], plan->events);
    expect_together(world, plan);
}

static void keep(struct world *world, const struct follow_step *step)
{
    struct piece *kept = &world->kept[step->stream];
    assert_int_equal(step->stream, world->reply_body.stream);
    assert_int_equal(step->skip + step->count, world->reply_body.count);
    assert_int_equal(kept->count, 0);
    check_anchor(world, step, &world->reply_body);
    *kept = world->reply_body;
    pass_over(kept, step->skip);
    if (world->status == STATUS_OK && step->count > 0)
        follow_keep(&world->follow, step->stream, step->count,
                    world->after[kept->first_id + step->count - 1]);
}

static void take_reply(struct world *world)
{
    struct follow_step step;
    struct follow_plan plan;
    struct detail detail;
    uint64_t number = world->reply_number;
    if (number == 0)
        return;
    if (rng_below(&world->rng, 8) != 0)
        world->reply_number = 0; /* else it comes twice */
    world->status = follow_reply(&world->follow, number, &world->reply, &step, &detail);
    if (world->status == STATUS_OK && step.skip + step.count > 0)
        keep(world, &step);
    while (world->status == STATUS_OK && follow_plan(&world->follow, &plan)) {
        send_request(world);
        carry_out(world, &plan);
    }
    world->was_live |= follow_is_live(&world->follow);
    send_request(world);
}

static void take_message(struct world *world)
{
    struct follow_step step = {.count = 0};
    struct detail detail;
    if (world->queued == 0 || !follow_is_live(&world->follow))
        return;
    struct piece piece = world->queue[0];
    world->queued--;
    memmove(world->queue, world->queue + 1, world->queued * sizeof piece);
    if (piece.is_heartbeat) {
        struct heartbeat beat = {our_log, piece.last_ids[STREAM_ACCEPTED],
                                 piece.last_ids[STREAM_REJECTED], 0};
        world->status = follow_heartbeat(&world->follow, &beat, &detail);
        return;
    }
    struct feed_header header = {
        .log_id = our_log, .first_id = piece.first_id, .count = piece.count};
    world->status = follow_message(&world->follow, piece.stream, &header, &step, &detail);
    if (world->status == STATUS_OK && step.skip + step.count > 0) {
        check_anchor(world, &step, &piece);
        pass_over(&piece, step.skip);
        if (world->status == STATUS_OK)
            see(world, &piece, step.count);
    }
}

/* A processor that ends loses what was asked of it; now and then the subscription too. */
static void restart(struct world *world)
{
    world->request.number = 0;
    world->reply_number = 0;
    if (world->history == 1 && rng_below(&world->rng, 2) == 0)
        world->queued = 0;
}

static void happen(struct world *world)
{
    switch (rng_below(&world->rng, 12)) {
    case 0:
    case 1:
    case 2:
        append(world);
        break;
    case 3:
        heartbeat(world);
        break;
    case 4:
        if (rng_below(&world->rng, 20) == 0)
            restart(world);
        break;
    case 5:
        world->now_ns += rng_below(&world->rng, FOLLOW_REPEAT_NS);
        break;
    case 6:
        answer(world);
        break;
    case 7:
        take_reply(world);
        break;
    case 8:
        send_request(world);
        break;
    default:
        take_message(world);
    }
}

/* Nothing is lost any more, nothing new happens: the follower must come to the end. */
static void settle(struct world *world)
{
    world->loss_per_mille = 0;
    for (int i = 0; i < 2000 && world->status == STATUS_OK; i++) {
        world->now_ns += FOLLOW_REPEAT_NS;
        if (i % 4 == 0)
            heartbeat(world);
        send_request(world);
        answer(world);
        take_reply(world);
        take_message(world);
    }
}

static void world_init(struct world *world, const struct rng *rng, uint64_t reply_min)
{
    memset(world, 0, sizeof *world);
    world->reply_min = reply_min;
    world->rng = *rng;
    world->history = 1;
    world->now_ns = 1;
    world->loss_per_mille = rng_below(&world->rng, 300);
    uint64_t before = rng_below(&world->rng, 40); /* batches before it joins */
    for (uint64_t i = 0; i < before; i++)
        append(world);
    world->queued = 0;
    struct follow_side sides[FOLLOW_STREAMS] = {{.next_id = 1}, {.next_id = 1}};
    follow_init(&world->follow, &our_log, sides);
}

static bool saw_the_whole_log(const struct world *world, enum stream stream)
{
    uint64_t last_id = world->last_ids[stream];
    return world->seen_count[stream] == last_id &&
           memcmp(world->seen[stream] + 1, world->log[stream] + 1,
                  last_id * sizeof world->log[0][0]) == 0;
}

static void applies_each_record_once_and_in_order_whatever_is_lost(void **state)
{
    (void)state;
    static struct world world;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 3000);
    for (uint64_t round = 0; round < rounds; round++) {
        world_init(&world, &rng, 1);
        uint64_t happenings = rng_below(&world.rng, 800);
        for (uint64_t i = 0; i < happenings && world.status == STATUS_OK; i++)
            happen(&world);
        settle(&world);
        assert_int_equal(world.status, STATUS_OK);
        assert_true(follow_is_live(&world.follow));
        assert_true(saw_the_whole_log(&world, STREAM_ACCEPTED));
        assert_true(saw_the_whole_log(&world, STREAM_REJECTED));
        rng = world.rng;
    }
}

/* The log loses its end, which was published, and goes on with other records under those ids. From
 * now on no message is lost: one that begins exactly behind what was seen joins on unproved if
 * those before it are missing. */
static void fork_log(struct world *world)
{
    restart(world);
    world->history++;
    world->loss_per_mille = 0;
    for (int stream = 0; stream < FOLLOW_STREAMS; stream++) {
        uint64_t lost = rng_below(&world->rng, 12);
        world->last_ids[stream] -= lost < world->last_ids[stream] ? lost : world->last_ids[stream];
    }
}

static bool saw_what_the_log_lost(const struct world *world)
{
    for (int stream = 0; stream < FOLLOW_STREAMS; stream++)
        for (uint64_t id = 1; id <= world->seen_count[stream]; id++)
            if (id > world->last_ids[stream] || world->seen[stream][id] != world->log[stream][id])
                return true;
    return false;
}

/* Records of the new history never follow lost ones of the old. */
static void expect_one_history(const struct world *world)
{
    for (int stream = 0; stream < FOLLOW_STREAMS; stream++) {
        uint64_t count = world->seen_count[stream];
        bool is_new = count > 0 && world->seen[stream][count] >> 40 == 2;
        for (uint64_t id = 1; is_new && id <= count; id++)
            assert_true(id <= world->last_ids[stream] &&
                        world->seen[stream][id] == world->log[stream][id]);
    }
}

static void never_mixes_two_histories_of_a_log(void **state)
{
    (void)state;
    static struct world world;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 3000);
    uint64_t refused = 0, followed = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        world_init(&world, &rng, 2); /* a lone anchor proves nothing of what comes after */
        for (uint64_t i = rng_below(&world.rng, 300); i > 0 && world.status == STATUS_OK; i--)
            happen(&world);
        assert_int_equal(world.status, STATUS_OK);
        fork_log(&world);
        for (uint64_t i = rng_below(&world.rng, 300); i > 0 && world.status == STATUS_OK; i--)
            happen(&world);
        settle(&world);
        expect_one_history(&world);
        /* What was lost may also come late, out of the queue, and is refused then too. */
        assert_true(world.status == STATUS_OK || world.status == STATUS_DAMAGED);
        assert_true(world.status == STATUS_DAMAGED || !saw_what_the_log_lost(&world));
        refused += world.status == STATUS_DAMAGED;
        followed += world.status == STATUS_OK && world.seen_count[STREAM_ACCEPTED] > 0;
        rng = world.rng;
    }
    assert_true(refused > 0 && followed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_in_the_middle_without_an_anchor),
        cmocka_unit_test(replays_both_streams_at_the_start),
        cmocka_unit_test(keeps_rejections_until_the_events_before_them_come),
        cmocka_unit_test(keeps_events_until_the_rejections_before_them_come),
        cmocka_unit_test(looks_for_rejections_again_when_the_log_has_grown),
        cmocka_unit_test(goes_live_on_an_empty_log),
        cmocka_unit_test(applies_a_live_message_that_joins_on),
        cmocka_unit_test(cuts_off_exactly_what_a_message_repeats),
        cmocka_unit_test(replays_from_its_anchor_when_a_message_leaves_a_hole),
        cmocka_unit_test(replays_when_a_heartbeat_says_another_position),
        cmocka_unit_test(repeats_an_unanswered_request_under_its_number),
        cmocka_unit_test(asks_for_the_next_piece_before_this_one_is_applied),
        cmocka_unit_test(ignores_a_reply_to_a_request_that_is_over),
        cmocka_unit_test(gets_past_replies_that_hold_only_the_anchor),
        cmocka_unit_test(waits_for_an_answer_that_fits_the_request),
        cmocka_unit_test(refuses_another_log),
        cmocka_unit_test(refuses_a_log_that_ends_before_what_was_seen),
        cmocka_unit_test(refuses_a_log_whose_last_record_seen_is_another_now),
        cmocka_unit_test(applies_each_record_once_and_in_order_whatever_is_lost),
        cmocka_unit_test(never_mixes_two_histories_of_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
