#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/core/follow.h"
#include "tests/lib/seed.h"

static const struct log_id our_log = {{1, 2, 3}};

/* A log, its processor, and a way between them and a follower that loses things. */

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
    case 5: /* the follower rests, and nothing is sent to it meanwhile */
        if (rng_below(&world->rng, 20) == 0) {
            follow_leave(&world->follow);
            world->queued = 0;
        }
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
        cmocka_unit_test(applies_each_record_once_and_in_order_whatever_is_lost),
        cmocka_unit_test(never_mixes_two_histories_of_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
