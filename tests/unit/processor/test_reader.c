#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "processor/store/reader.h"
#include "processor/store/segment.h"
#include "store_fixture.h"
#include "tests/lib/seed.h"

static char store[FIXTURE_PATH_BYTES];
static struct history history;
static struct rng rng;
static struct log *log_;
static struct reader *reader;
static struct buffer body;

static int set_up(void **state)
{
    (void)state;
    struct detail detail;
    fixture_folder(store, false);
    history_init(&history);
    rng_init(&rng, test_seed(20260101));
    log_ = fixture_open(store, &history, 1, NULL);
    assert_int_equal(reader_new(store, &reader, &detail), STATUS_OK);
    buffer_init(&body, 4 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_fini(&body);
    reader_destroy(&reader);
    reader_destroy(&reader); /* safe twice */
    log_close(&log_);
    history_fini(&history);
    fixture_remove(store);
    return 0;
}

/* Batches of all sizes, empty ones among them, over several segments. */
static void fill(size_t count)
{
    const size_t first = history.count;
    for (size_t i = 0; i < count; i++) {
        const bool large = rng_below(&rng, 12) == 0;
        const struct batch_recipe recipe = {
            .events = (uint32_t)rng_below(&rng, large ? 24 : 5),
            .rejections = (uint32_t)rng_below(&rng, large ? 400 : 3),
            .data_bytes = (uint32_t)rng_below(&rng, large ? 65000 : 300),
            .step_ns = rng_below(&rng, 4)};
        history_add(&history, &recipe, &rng);
    }
    history_append(&history, log_, first, count, 6);
}

static uint64_t last_id(const struct durable *durable, enum stream stream)
{
    return stream == STREAM_ACCEPTED ? durable->last_event_id : durable->last_rejection_id;
}

/* Asks for one reply and compares every record in it with the history. Returns its count. */
static uint64_t replay_and_compare(const struct durable *durable, enum stream stream, uint64_t from,
                                   uint64_t max)
{
    struct replay_reply reply = {0};
    struct detail detail = {""};
    buffer_clear(&body);
    buffer_append_text(&body, "before"); /* it appends */
    const enum status status =
        reader_replay(reader, durable, stream, from, max, &body, &reply, &detail);
    if (status != STATUS_OK)
        print_error("reader_replay: %s\n", detail.text);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(reply.first_id, from);
    assert_int_equal(reply.last_id, last_id(durable, stream));
    assert_true(reply.count <= max);
    assert_true(body.size - 6 <= REPLAY_BODY_BYTES_MAX || reply.count == 1);
    assert_int_equal(reply.count == 0, from > reply.last_id);
    struct mp_reader records = {body.data + 6, body.data + body.size};
    for (uint64_t i = 0; i < reply.count; i++) {
        struct slice record;
        assert_int_equal(mp_read_raw(&records, &record), STATUS_OK);
        assert_true(slice_equal(record, history_record(&history, stream, from + i)));
    }
    assert_true(mp_at_end(&records));
    return reply.count;
}

static void replays_any_range_of_both_streams(void **state)
{
    (void)state;
    fill(150);
    const struct durable durable = log_durable(log_);
    assert_true(durable.segment > 0);
    for (int i = 0; i < 300; i++) {
        const enum stream stream = rng_below(&rng, 2) == 0 ? STREAM_ACCEPTED : STREAM_REJECTED;
        const uint64_t from = 1 + rng_below(&rng, last_id(&durable, stream) + 2);
        const uint64_t max = rng_below(&rng, 3) == 0 ? 100000 : 1 + rng_below(&rng, 30);
        (void)replay_and_compare(&durable, stream, from, max);
    }
}

static void a_follower_gets_every_record_once_while_the_log_grows(void **state)
{
    (void)state;
    uint64_t next[2] = {1, 1};
    for (int round = 0; round < 20; round++) {
        fill(10);
        const struct durable durable = log_durable(log_);
        for (enum stream stream = STREAM_ACCEPTED; stream <= STREAM_REJECTED; stream++)
            while (next[stream] <= last_id(&durable, stream))
                next[stream] +=
                    replay_and_compare(&durable, stream, next[stream], 1 + rng_below(&rng, 200));
    }
    assert_int_equal(next[0], history.next_event_id);
    assert_int_equal(next[1], history.next_rejection_id);
}

/* As projectors do, to see that it is the same log. */
static void a_follower_may_begin_with_the_last_record_it_has(void **state)
{
    (void)state;
    fill(100);
    const struct durable durable = log_durable(log_);
    for (enum stream stream = STREAM_ACCEPTED; stream <= STREAM_REJECTED; stream++) {
        uint64_t next = 1;
        while (next <= last_id(&durable, stream)) {
            const uint64_t from = next > 1 ? next - 1 : next;
            next = from + replay_and_compare(&durable, stream, from, 2 + rng_below(&rng, 200));
        }
        assert_int_equal(next, last_id(&durable, stream) + 1);
    }
}

/* Retention removes segments from the front, also those at which a follower stands. */
static void a_follower_goes_on_where_the_segment_of_its_last_record_was_dropped(void **state)
{
    (void)state;
    fill(150);
    const struct durable durable = log_durable(log_);
    struct segment_list list = {0};
    struct folder folder;
    assert_int_equal(folder_open(&folder, store, SEGMENT_FOLDER, false, NULL), STATUS_OK);
    assert_int_equal(segment_list_read(&list, &folder, NULL), STATUS_OK);
    assert_true(list.count > 1);
    const uint64_t kept = history.batches[list.numbers[1]].view.header.first_event_id;
    for (uint64_t next = 1; next < kept;)
        next += replay_and_compare(&durable, STREAM_ACCEPTED, next, kept - next);
    (void)replay_and_compare(&durable, STREAM_ACCEPTED, durable.last_event_id, 1); /* closes it */
    char name[SEGMENT_NAME_BYTES];
    segment_name(list.numbers[0], name);
    assert_int_equal(unlinkat(folder.fd, name, 0), 0);
    assert_true(replay_and_compare(&durable, STREAM_ACCEPTED, kept, 100) > 0);
    segment_list_fini(&list);
    folder_close(&folder);
}

static void many_followers_do_not_disturb_one_another(void **state)
{
    (void)state;
    enum { FOLLOWERS = 25 }; /* more than there are cursors */
    uint64_t next[FOLLOWERS];
    fill(60);
    const struct durable durable = log_durable(log_);
    for (size_t i = 0; i < FOLLOWERS; i++)
        next[i] = 1 + i;
    for (int round = 0; round < 400; round++) {
        const size_t i = (size_t)rng_below(&rng, FOLLOWERS);
        const enum stream stream = i % 2 == 0 ? STREAM_ACCEPTED : STREAM_REJECTED;
        next[i] += replay_and_compare(&durable, stream, next[i], 1 + rng_below(&rng, 5));
    }
}

static void gives_at_most_what_is_durable(void **state)
{
    (void)state;
    fill(30);
    const struct durable early = log_durable(log_);
    fill(30);
    for (enum stream stream = STREAM_ACCEPTED; stream <= STREAM_REJECTED; stream++) {
        uint64_t next = 1;
        uint64_t count = 0;
        while ((count = replay_and_compare(&early, stream, next, 100000)) > 0)
            next += count;
        assert_int_equal(next, last_id(&early, stream) + 1);
    }
}

static void an_empty_log_replays_nothing(void **state)
{
    (void)state;
    const struct durable durable = log_durable(log_);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 1, 10), 0);
    assert_int_equal(replay_and_compare(&durable, STREAM_REJECTED, 99, 10), 0);
}

static void id_0_was_never_kept(void **state)
{
    (void)state;
    fill(3);
    const struct durable durable = log_durable(log_);
    struct replay_reply reply = {0};
    struct detail detail;
    assert_int_equal(
        reader_replay(reader, &durable, STREAM_ACCEPTED, 0, 10, &body, &reply, &detail),
        STATUS_GONE);
    assert_int_equal(reply.first_id, 1);
}

static void a_batch_larger_than_a_reply_comes_in_pieces(void **state)
{
    (void)state;
    const struct batch_recipe large = {.events = 30, .data_bytes = 60000, .step_ns = 1};
    history_add(&history, &large, &rng);
    history_add(&history, &large, &rng);
    history_append(&history, log_, 1, 2, 1);
    const struct durable durable = log_durable(log_);
    uint64_t next = 1;
    int replies = 0;
    while (next <= 60) {
        next += replay_and_compare(&durable, STREAM_ACCEPTED, next, 1000);
        replies++;
    }
    assert_in_range(replies, 4, 6);
}

static void a_batch_that_does_not_fit_begins_the_next_reply(void **state)
{
    (void)state;
    const struct batch_recipe recipe = {.events = 10, .data_bytes = 60000, .step_ns = 1};
    for (int i = 0; i < 3; i++)
        history_add(&history, &recipe, &rng);
    history_append(&history, log_, 1, 3, 1);
    const struct durable durable = log_durable(log_);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 1, 1000), 10);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 10, 1000), 11);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 20, 1000), 11);
}

/* As behind the last record that a projector has. */
static void a_batch_that_does_not_fit_is_cut_where_the_reply_would_be_small(void **state)
{
    (void)state;
    const struct batch_recipe small = {.events = 1, .data_bytes = 60000, .step_ns = 1};
    const struct batch_recipe large = {.events = 20, .data_bytes = 60000, .step_ns = 1};
    history_add(&history, &small, &rng);
    history_add(&history, &large, &rng);
    history_append(&history, log_, 1, 2, 1);
    const struct durable durable = log_durable(log_);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 1, 1000), 17);
    assert_int_equal(replay_and_compare(&durable, STREAM_ACCEPTED, 17, 1000), 5);
}

static void a_full_buffer_is_a_status(void **state)
{
    (void)state;
    fill(40);
    const struct durable durable = log_durable(log_);
    struct buffer small;
    struct replay_reply reply = {0};
    struct detail detail;
    buffer_init(&small, 64);
    assert_int_equal(
        reader_replay(reader, &durable, STREAM_ACCEPTED, 1, 1000, &small, &reply, &detail),
        STATUS_FULL);
    buffer_fini(&small);
    (void)replay_and_compare(&durable, STREAM_ACCEPTED, 1, 1000); /* and does no harm */
}

/* ---- time ---- */

/* First id whose batch is at or after time_ns, by looking at all of them. */
static uint64_t naive_seek(enum stream stream, uint64_t time_ns)
{
    for (size_t i = 0; i < history.count; i++) {
        const struct batch_header *header = &history.batches[i].view.header;
        const bool accepted = stream == STREAM_ACCEPTED;
        if ((accepted ? header->event_count : header->rejection_count) > 0 &&
            header->last_time_ns >= time_ns)
            return accepted ? header->first_event_id : header->first_rejection_id;
    }
    return stream == STREAM_ACCEPTED ? history.next_event_id : history.next_rejection_id;
}

static void seeks_any_time(void **state)
{
    (void)state;
    fill(200);
    const struct durable durable = log_durable(log_);
    for (uint64_t time_ns = FIXTURE_START_NS - 2; time_ns <= history.time_ns + 2; time_ns++) {
        for (enum stream stream = STREAM_ACCEPTED; stream <= STREAM_REJECTED; stream++) {
            uint64_t id = 0;
            struct detail detail;
            assert_int_equal(reader_seek(reader, &durable, stream, time_ns, &id, &detail),
                             STATUS_OK);
            assert_int_equal(id, naive_seek(stream, time_ns));
        }
    }
    uint64_t id = 0;
    struct detail detail;
    assert_int_equal(reader_seek(reader, &durable, STREAM_ACCEPTED, 0, &id, &detail), STATUS_OK);
    assert_int_equal(id, 1);
    assert_int_equal(reader_seek(reader, &durable, STREAM_ACCEPTED, UINT64_MAX, &id, &detail),
                     STATUS_OK);
    assert_int_equal(id, history.next_event_id);
}

static void visits_the_batches_from_any_time_on(void **state)
{
    (void)state;
    fill(100);
    const struct durable durable = log_durable(log_);
    for (uint64_t from_ns = 0; from_ns <= history.time_ns + 2;
         from_ns = from_ns == 0 ? FIXTURE_START_NS - 1 : from_ns + 1) {
        size_t first = 0;
        while (first < history.count && history.batches[first].view.header.last_time_ns < from_ns)
            first++;
        struct expectation expected = {.history = &history, .visited = first};
        struct detail detail;
        assert_int_equal(reader_visit(reader, &durable, from_ns, expect_batch, &expected, &detail),
                         STATUS_OK);
        assert_false(expected.differs);
        assert_int_equal(expected.visited, history.count);
    }
}

enum { CHOSEN_EVERY = 3, CHOSEN_BEFORE = 40 };

static enum reader_wish wish_every_third(void *context, const struct batch_header *header)
{
    (void)context;
    if (header->number >= CHOSEN_BEFORE)
        return READER_STOP;
    return header->number % CHOSEN_EVERY == 0 ? READER_TAKE : READER_PASS;
}

static enum status expect_every_third(void *context, const struct batch_view *batch,
                                      struct detail *ret_detail)
{
    uint64_t *visited = context;
    (void)ret_detail;
    assert_int_equal(batch->header.number, *visited * CHOSEN_EVERY);
    (*visited)++;
    return STATUS_OK;
}

static void visits_only_the_batches_that_are_wished_for(void **state)
{
    (void)state;
    struct detail detail;
    uint64_t visited = 0;
    const struct reader_choice choice = {
        .wish = wish_every_third, .visit = expect_every_third, .context = &visited};
    fill(100);
    const struct durable durable = log_durable(log_);
    assert_int_equal(reader_visit_chosen(reader, &durable, 0, &choice, &detail), STATUS_OK);
    assert_int_equal(visited, (CHOSEN_BEFORE + CHOSEN_EVERY - 1) / CHOSEN_EVERY);
}

/* Where each batch ends, as told to the visitor. */
struct ends {
    uint64_t segments[128];
    uint64_t offsets[128];
    size_t count;
};

static enum status note_end(void *context, const struct batch_view *batch,
                            struct detail *ret_detail)
{
    struct ends *ends = context;
    (void)ret_detail;
    ends->segments[ends->count] = batch->segment;
    ends->offsets[ends->count++] = batch->end_offset;
    return STATUS_OK;
}

static void tells_where_each_batch_ends(void **state)
{
    (void)state;
    struct ends ends = {.count = 0};
    struct detail detail;
    fill(100);
    const struct durable durable = log_durable(log_);
    assert_int_equal(reader_visit(reader, &durable, 0, note_end, &ends, &detail), STATUS_OK);
    assert_int_equal(ends.count, history.count);
    assert_int_equal(ends.segments[history.count - 1], durable.segment);
    assert_int_equal(ends.offsets[history.count - 1], durable.offset);
    for (size_t i = 0; i < history.count; i++) { /* each is a place where the log could end */
        const struct durable early = {
            .last_batch = i, .segment = ends.segments[i], .offset = ends.offsets[i]};
        struct expectation expected = {.history = &history};
        assert_int_equal(reader_visit(reader, &early, 0, expect_batch, &expected, &detail),
                         STATUS_OK);
        assert_false(expected.differs);
        assert_int_equal(expected.visited, i + 1);
    }
}

static enum status stop_at_once(void *context, const struct batch_view *batch,
                                struct detail *ret_detail)
{
    (void)context;
    (void)batch;
    return detail_set(ret_detail, STATUS_INTERRUPTED, "enough");
}

static void a_failing_visit_ends_it(void **state)
{
    (void)state;
    fill(5);
    const struct durable durable = log_durable(log_);
    struct detail detail;
    assert_int_equal(reader_visit(reader, &durable, 0, stop_at_once, NULL, &detail),
                     STATUS_INTERRUPTED);
    assert_string_equal(detail.text, "enough");
}

/* ---- damage ---- */

static void damage_is_never_served(void **state)
{
    (void)state;
    char path[256];
    fill(40);
    const struct durable durable = log_durable(log_);
    segment_path(store, 0, path, sizeof path);
    uint64_t end = 0;
    for (size_t i = 0; i < history.count && history.batches[i].view.header.number < 20; i++)
        end += (BATCH_HEADER_BYTES + history.batches[i].view.sources.size +
                history.batches[i].view.accepted.size + history.batches[i].view.rejected.size + 7) /
               8 * 8;
    for (int round = 0; round < 200; round++) {
        const uint64_t at = rng_below(&rng, end);
        struct detail detail = {""};
        struct expectation expected = {.history = &history};
        struct reader *fresh = NULL;
        const unsigned bit = (unsigned)rng_below(&rng, 8);
        flip_bit(path, at, bit);
        assert_int_equal(reader_new(store, &fresh, &detail), STATUS_OK);
        assert_int_equal(reader_visit(fresh, &durable, 0, expect_batch, &expected, &detail),
                         STATUS_DAMAGED);
        assert_false(expected.differs);
        assert_non_null(strstr(detail.text, "00000000000000000000.seg: offset "));
        reader_destroy(&fresh);
        flip_bit(path, at, bit);
    }
}

static void a_folder_that_is_no_store_is_an_error(void **state)
{
    (void)state;
    struct reader *none = NULL;
    struct detail detail = {""};
    assert_int_equal(reader_new("/nonexistent", &none, &detail), STATUS_IO);
    assert_null(none);
    assert_non_null(strstr(detail.text, "/nonexistent"));
}

/* ---- threads ---- */

static atomic_bool writer_done;

static void *follow(void *context)
{
    struct reader *own = NULL;
    struct buffer replies;
    struct detail detail;
    uint64_t next = 1;
    uint64_t *ret_seen = context;
    buffer_init(&replies, 4 * 1024 * 1024);
    if (reader_new(store, &own, &detail) != STATUS_OK)
        return NULL;
    for (bool last_look = false; !last_look;) {
        last_look = atomic_load(&writer_done);
        const struct durable durable = log_durable(log_);
        struct replay_reply reply = {0};
        do {
            buffer_clear(&replies);
            if (reader_replay(own, &durable, STREAM_ACCEPTED, next, 500, &replies, &reply,
                              &detail) != STATUS_OK) {
                print_error("%s\n", detail.text);
                reply.count = 0;
                last_look = true;
            }
            struct mp_reader records = mp_reader_of(buffer_slice(&replies));
            for (uint64_t i = 0; i < reply.count; i++) {
                struct accepted_record record;
                if (accepted_record_read(&records, &record) == STATUS_OK && record.event_id == next)
                    next++;
            }
        } while (reply.count > 0);
    }
    *ret_seen = next - 1;
    buffer_fini(&replies);
    reader_destroy(&own);
    return NULL;
}

static void readers_follow_a_writer_in_another_thread(void **state)
{
    (void)state;
    pthread_t threads[2];
    uint64_t seen[2] = {0, 0};
    atomic_store(&writer_done, false);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &seen[i]), 0);
    for (int i = 0; i < 30; i++) {
        fill(10);
        (void)log_room(log_);
    }
    atomic_store(&writer_done, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(seen[i], history.next_event_id - 1);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(replays_any_range_of_both_streams),
        TEST(a_follower_gets_every_record_once_while_the_log_grows),
        TEST(a_follower_may_begin_with_the_last_record_it_has),
        TEST(a_follower_goes_on_where_the_segment_of_its_last_record_was_dropped),
        TEST(many_followers_do_not_disturb_one_another),
        TEST(gives_at_most_what_is_durable),
        TEST(an_empty_log_replays_nothing),
        TEST(id_0_was_never_kept),
        TEST(a_batch_larger_than_a_reply_comes_in_pieces),
        TEST(a_batch_that_does_not_fit_begins_the_next_reply),
        TEST(a_batch_that_does_not_fit_is_cut_where_the_reply_would_be_small),
        TEST(a_full_buffer_is_a_status),
        TEST(seeks_any_time),
        TEST(visits_the_batches_from_any_time_on),
        TEST(visits_only_the_batches_that_are_wished_for),
        TEST(tells_where_each_batch_ends),
        TEST(a_failing_visit_ends_it),
        TEST(damage_is_never_served),
        TEST(a_folder_that_is_no_store_is_an_error),
        TEST(readers_follow_a_writer_in_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
