#include "common/wire/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/golden.h"

static const struct log_id log_id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct log_id other_log_id = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static int set_up(void **test_state)
{
    static struct buffer buffer;
    buffer_init(&buffer, FEED_MESSAGE_BYTES_MAX);
    *test_state = &buffer;
    return 0;
}

static int tear_down(void **test_state)
{
    buffer_fini(*test_state);
    return 0;
}

static void writes_headers_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    feed_header_write(buffer, &(struct feed_header){log_id, 1, 2, GOLDEN_TIME + 10});
    assert_golden(buffer_slice(buffer), "header", "first_batch");
    buffer_clear(buffer);
    feed_header_write(buffer,
                      &(struct feed_header){other_log_id, 5000000000, 16384, GOLDEN_TIME + 11});
    assert_golden(buffer_slice(buffer), "header", "later_batch");
    assert_true(buffer->size <= FEED_HEADER_BYTES_MAX);
}

static void reads_the_golden_headers(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct feed_header header;
    golden_read("header", "later_batch", buffer);
    assert_int_equal(feed_header_read(buffer_slice(buffer), &header), STATUS_OK);
    assert_true(log_id_equal(&header.log_id, &other_log_id));
    assert_false(log_id_equal(&header.log_id, &log_id));
    assert_int_equal(header.first_id, 5000000000);
    assert_int_equal(header.count, 16384);
    assert_int_equal(header.published_at_ns, GOLDEN_TIME + 11);
}

static void writes_and_reads_heartbeats_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct heartbeat heartbeat;
    heartbeat_write(buffer, &(struct heartbeat){log_id, 0, 0, GOLDEN_TIME});
    assert_golden(buffer_slice(buffer), "heartbeat", "empty_log");
    buffer_clear(buffer);
    heartbeat_write(buffer, &(struct heartbeat){other_log_id, UINT64_MAX, 65536, GOLDEN_TIME + 12});
    assert_golden(buffer_slice(buffer), "heartbeat", "busy_log");

    assert_int_equal(heartbeat_read(buffer_slice(buffer), &heartbeat), STATUS_OK);
    assert_true(log_id_equal(&heartbeat.log_id, &other_log_id));
    assert_int_equal(heartbeat.last_event_id, UINT64_MAX);
    assert_int_equal(heartbeat.last_rejection_id, 65536);
    assert_int_equal(heartbeat.now_ns, GOLDEN_TIME + 12);
}

static struct ack shop_ack(uint64_t first, uint64_t last, enum ack_status status)
{
    return (struct ack){.log_id = log_id,
                        .source = slice_of_text("shop/eu-1"),
                        .epoch = 3,
                        .first_sequence = first,
                        .last_sequence = last,
                        .status = status};
}

static void assert_ack(struct buffer *buffer, const struct ack *ack, const char *name)
{
    buffer_clear(buffer);
    ack_write(buffer, ack);
    assert_golden(buffer_slice(buffer), "ack", name);
}

static void writes_acks_without_refusals_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    char wide[EVENT_SOURCE_BYTES_MAX];
    memset(wide, 's', sizeof wide);
    struct ack ack = shop_ack(17, 48, ACK_OK);
    assert_ack(buffer, &ack, "accepted");
    ack = shop_ack(61, 60, ACK_GAP);
    assert_ack(buffer, &ack, "gap");
    ack = shop_ack(61, 60, ACK_FENCED);
    ack.epoch = 4;
    assert_ack(buffer, &ack, "fenced");
    ack = shop_ack(1, 2, ACK_FORGOTTEN);
    ack.source = (struct slice){(const uint8_t *)wide, sizeof wide};
    ack.epoch = UINT64_MAX;
    assert_ack(buffer, &ack, "forgotten");
}

static void writes_acks_with_refusals_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct buffer refusals;
    buffer_init(&refusals, 1024);
    refusal_write(&refusals, &(struct refusal){.sequence = 50,
                                               .has_reason = true,
                                               .reason = REASON_RATE_LIMITED,
                                               .policy = slice_of_text("per-subject"),
                                               .retry_after_ns = 59999999999});
    refusal_write(&refusals, &(struct refusal){.sequence = 51,
                                               .has_reason = true,
                                               .reason = REASON_RATE_LIMITED,
                                               .policy = slice_of_text("per-shop"),
                                               .retry_after_ns = RECORD_NEVER});
    refusal_write(&refusals, &(struct refusal){.sequence = 60,
                                               .has_reason = true,
                                               .reason = REASON_INVALID,
                                               .retry_after_ns = RECORD_NEVER});
    struct ack ack = shop_ack(49, 60, ACK_OK);
    ack.refusal_count = 3;
    ack.refusals = buffer_slice(&refusals);
    assert_ack(buffer, &ack, "some_refused");

    buffer_clear(&refusals);
    refusal_write(&refusals, &(struct refusal){.sequence = 50, .retry_after_ns = RECORD_NEVER});
    ack = shop_ack(50, 50, ACK_OK);
    ack.refusal_count = 1;
    ack.refusals = buffer_slice(&refusals);
    assert_ack(buffer, &ack, "resent");
    buffer_fini(&refusals);
}

static void reads_the_golden_ack_and_its_refusals(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct ack ack;
    struct refusal refusal;
    golden_read("ack", "some_refused", buffer);
    assert_int_equal(ack_read(buffer_slice(buffer), &ack), STATUS_OK);
    assert_true(log_id_equal(&ack.log_id, &log_id));
    assert_text(ack.source, "shop/eu-1");
    assert_int_equal(ack.epoch, 3);
    assert_int_equal(ack.first_sequence, 49);
    assert_int_equal(ack.last_sequence, 60);
    assert_int_equal(ack.status, ACK_OK);
    assert_int_equal(ack.refusal_count, 3);

    struct mp_reader reader = mp_reader_of(ack.refusals);
    assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
    assert_int_equal(refusal.sequence, 50);
    assert_true(refusal.has_reason);
    assert_int_equal(refusal.reason, REASON_RATE_LIMITED);
    assert_text(refusal.policy, "per-subject");
    assert_int_equal(refusal.retry_after_ns, 59999999999);
    assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
    assert_int_equal(refusal.retry_after_ns, RECORD_NEVER);
    assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
    assert_int_equal(refusal.sequence, 60);
    assert_int_equal(refusal.policy.size, 0);
    assert_true(mp_at_end(&reader));
}

static void reads_a_refusal_whose_reason_is_no_longer_known(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct ack ack;
    struct refusal refusal;
    golden_read("ack", "resent", buffer);
    assert_int_equal(ack_read(buffer_slice(buffer), &ack), STATUS_OK);
    struct mp_reader reader = mp_reader_of(ack.refusals);
    assert_int_equal(refusal_read(&reader, &refusal), STATUS_OK);
    assert_false(refusal.has_reason);
    assert_int_equal(refusal.sequence, 50);
}

static void reads_the_golden_acks_of_each_status(void **test_state)
{
    struct buffer *buffer = *test_state;
    static const struct {
        const char *name;
        enum ack_status status;
    } golden[] = {{"accepted", ACK_OK},
                  {"gap", ACK_GAP},
                  {"fenced", ACK_FENCED},
                  {"forgotten", ACK_FORGOTTEN}};
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct ack ack;
        buffer_clear(buffer);
        golden_read("ack", golden[i].name, buffer);
        assert_int_equal(ack_read(buffer_slice(buffer), &ack), STATUS_OK);
        assert_int_equal(ack.status, golden[i].status);
        assert_int_equal(ack.refusals.size, 0);
        assert_string_equal(ack_status_text(ack.status), i == 0 ? "ok" : golden[i].name);
    }
}

static void calls_every_truncation_and_any_byte_behind_malformed(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct ack ack;
    golden_read("ack", "some_refused", buffer);
    for (size_t size = 0; size < buffer->size; size++)
        assert_int_equal(ack_read((struct slice){buffer->data, size}, &ack), STATUS_MALFORMED);
    buffer_append(buffer, "\xc0", 1);
    assert_int_equal(ack_read(buffer_slice(buffer), &ack), STATUS_MALFORMED);

    struct feed_header header;
    buffer_clear(buffer);
    golden_read("header", "first_batch", buffer);
    for (size_t size = 0; size < buffer->size; size++)
        assert_int_equal(feed_header_read((struct slice){buffer->data, size}, &header),
                         STATUS_MALFORMED);
    buffer_append(buffer, "\xc0", 1);
    assert_int_equal(feed_header_read(buffer_slice(buffer), &header), STATUS_MALFORMED);

    struct heartbeat heartbeat;
    buffer_clear(buffer);
    golden_read("heartbeat", "busy_log", buffer);
    for (size_t size = 0; size < buffer->size; size++)
        assert_int_equal(heartbeat_read((struct slice){buffer->data, size}, &heartbeat),
                         STATUS_MALFORMED);
}

static void refuses_headers_of_another_version_arity_or_type(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct feed_header header;
    struct heartbeat heartbeat;
    golden_read("header", "first_batch", buffer);
    static const struct {
        size_t place;
        uint8_t byte;
    } wrong[] = {{1, 2}, {1, 0xc0}, {20, 0xff}, {21, 0xff}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t before = buffer->data[wrong[i].place];
        buffer->data[wrong[i].place] = wrong[i].byte;
        assert_int_equal(feed_header_read(buffer_slice(buffer), &header), STATUS_INVALID);
        assert_int_equal(heartbeat_read(buffer_slice(buffer), &heartbeat), STATUS_INVALID);
        buffer->data[wrong[i].place] = before;
    }
    buffer_clear(buffer);
    buffer_append_text(buffer, "\x95\x01\xc4\x01x\x01\x01\x01"); /* log_id of one byte */
    assert_int_equal(feed_header_read(buffer_slice(buffer), &header), STATUS_INVALID);
    buffer_clear(buffer);
    codec_array(buffer, 6); /* a longer header is another protocol */
    codec_uint(buffer, 1);
    log_id_write(buffer, &log_id);
    for (int i = 0; i < 4; i++)
        codec_uint(buffer, 1);
    assert_int_equal(feed_header_read(buffer_slice(buffer), &header), STATUS_INVALID);
}

static void refuses_acks_that_contradict_themselves(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct ack read;
    struct ack ack = shop_ack(62, 60, ACK_OK); /* neither a range nor an empty one */
    ack_write(buffer, &ack);
    assert_int_equal(ack_read(buffer_slice(buffer), &read), STATUS_INVALID);

    buffer_clear(buffer);
    ack = shop_ack(1, UINT64_MAX, ACK_OK);
    ack_write(buffer, &ack);
    assert_int_equal(ack_read(buffer_slice(buffer), &read), STATUS_OK);

    buffer_clear(buffer);
    ack = shop_ack(1, 0, ACK_GAP);
    ack_write(buffer, &ack);
    assert_int_equal(ack_read(buffer_slice(buffer), &read), STATUS_OK);

    buffer_clear(buffer);
    ack = shop_ack(1, 2, ACK_OK);
    ack.source.size = 0;
    ack_write(buffer, &ack);
    assert_int_equal(ack_read(buffer_slice(buffer), &read), STATUS_INVALID);
}

static void names_the_topic_of_a_source_whole(void **test_state)
{
    (void)test_state;
    char topic[FEED_TOPIC_BYTES_MAX];
    char wide[EVENT_SOURCE_BYTES_MAX];
    memset(wide, 's', sizeof wide);
    assert_text(ack_topic(slice_of_text("shop/eu-1"), topic), "ack/shop/eu-1/");
    struct slice widest = ack_topic((struct slice){(const uint8_t *)wide, sizeof wide}, topic);
    assert_int_equal(widest.size, FEED_TOPIC_BYTES_MAX);
    assert_int_equal(widest.data[FEED_TOPIC_BYTES_MAX - 1], '/');
}

static void read_any_header(struct slice bytes)
{
    struct feed_header header;
    struct heartbeat heartbeat;
    enum status status = feed_header_read(bytes, &header);
    assert_true(status == STATUS_OK || status == STATUS_MALFORMED || status == STATUS_INVALID);
    assert_int_equal(heartbeat_read(bytes, &heartbeat), status);
}

static void read_any_ack(struct slice bytes)
{
    struct ack ack;
    enum status status = ack_read(bytes, &ack);
    if (status != STATUS_OK) {
        assert_true(status == STATUS_MALFORMED || status == STATUS_INVALID);
        return;
    }
    struct mp_reader reader = mp_reader_of(ack.refusals);
    struct refusal refusal;
    for (uint32_t i = 0; i < ack.refusal_count && status == STATUS_OK; i++)
        status = refusal_read(&reader, &refusal);
    assert_true(status == STATUS_OK ? mp_at_end(&reader) : status == STATUS_INVALID);
}

static void survives_any_bytes(void **test_state)
{
    (void)test_state;
    golden_spoil_all("header", read_any_header);
    golden_spoil_all("heartbeat", read_any_header);
    golden_spoil_all("ack", read_any_ack);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(writes_headers_as_the_golden_bytes),
        TEST(reads_the_golden_headers),
        TEST(writes_and_reads_heartbeats_as_the_golden_bytes),
        TEST(writes_acks_without_refusals_as_the_golden_bytes),
        TEST(writes_acks_with_refusals_as_the_golden_bytes),
        TEST(reads_the_golden_ack_and_its_refusals),
        TEST(reads_a_refusal_whose_reason_is_no_longer_known),
        TEST(reads_the_golden_acks_of_each_status),
        TEST(calls_every_truncation_and_any_byte_behind_malformed),
        TEST(refuses_headers_of_another_version_arity_or_type),
        TEST(refuses_acks_that_contradict_themselves),
        TEST(names_the_topic_of_a_source_whole),
        TEST(survives_any_bytes),
    };
#undef TEST
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
