#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/core/follow.h"

static const struct log_id our_log = {{1, 2, 3}};
static const struct log_id other_log = {{4, 5, 6}};

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

static void is_far_while_much_of_either_stream_is_missing(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    assert_false(follow_is_far(&follow));
    assert_false(follow_is_near(&follow)); /* nothing is known yet */
    bring(&follow, STREAM_ACCEPTED, 1, 10, 11 + FOLLOW_FAR);
    follow_keep(&follow, STREAM_ACCEPTED, 10, 0);
    assert_true(follow_is_far(&follow));
    expect_no_plan(&follow);
    bring(&follow, STREAM_REJECTED, 1, 2, 3 + FOLLOW_FAR);
    follow_keep(&follow, STREAM_REJECTED, 2, 20);
    expect_plan(&follow, 10, 10);
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 10);
    follow_applied(&follow, STREAM_ACCEPTED, 10, 910);
    expect_step(expect_reply_taken(&follow, ask.number, 10, 2, 11 + FOLLOW_FAR), 1, 1, true);
    follow_keep(&follow, STREAM_ACCEPTED, 1, 0); /* now FOLLOW_FAR events are missing */
    assert_true(follow_is_far(&follow));         /* for the rejections */
    assert_false(follow_is_near(&follow));
}

static void is_near_when_little_is_missing_and_when_live(void **state)
{
    (void)state;
    struct follow follow = following_from(1, 1);
    bring(&follow, STREAM_ACCEPTED, 1, 10, 10 + FOLLOW_FAR);
    follow_keep(&follow, STREAM_ACCEPTED, 10, 0);
    assert_true(follow_is_near(&follow));
    assert_false(follow_is_far(&follow));
    follow = live();
    assert_true(follow_is_near(&follow));
    assert_false(follow_is_far(&follow));
}

static void replays_from_its_anchor_after_it_left(void **state)
{
    (void)state;
    struct follow follow = live();
    follow_leave(&follow);
    assert_false(follow_is_live(&follow));
    assert_false(follow_is_near(&follow));
    struct follow_ask ask = expect_ask(&follow, 1, STREAM_ACCEPTED, 9);
    follow_leave(&follow); /* it replays already */
    expect_step(expect_reply_taken(&follow, ask.number, 9, 3, 11), 1, 2, true);
    assert_true(follow_is_near(&follow));
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
        cmocka_unit_test(is_far_while_much_of_either_stream_is_missing),
        cmocka_unit_test(is_near_when_little_is_missing_and_when_live),
        cmocka_unit_test(replays_from_its_anchor_after_it_left),
        cmocka_unit_test(refuses_another_log),
        cmocka_unit_test(refuses_a_log_that_ends_before_what_was_seen),
        cmocka_unit_test(refuses_a_log_whose_last_record_seen_is_another_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
