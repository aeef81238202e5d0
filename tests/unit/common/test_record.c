#include "common/wire/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/golden.h"

enum { BYTES_MAX = 256 * 1024 };

static const char wide_source[] =
    "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
    "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss";

struct fixture {
    struct buffer bytes, created, traced;
};

static int set_up(void **test_state)
{
    static struct fixture fixture;
    buffer_init(&fixture.bytes, BYTES_MAX);
    buffer_init(&fixture.created, BYTES_MAX);
    buffer_init(&fixture.traced, BYTES_MAX);
    golden_event_created(&fixture.created);
    golden_event_traced(&fixture.traced);
    *test_state = &fixture;
    return 0;
}

static int tear_down(void **test_state)
{
    struct fixture *fixture = *test_state;
    buffer_fini(&fixture->bytes);
    buffer_fini(&fixture->created);
    buffer_fini(&fixture->traced);
    return 0;
}

static void put_accepted(struct buffer *bytes, uint64_t event_id, uint64_t at_ns,
                         const char *source, uint64_t sequence, struct slice event)
{
    buffer_clear(bytes);
    assert_int_equal(buffer_reserve(bytes, RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event.size),
                     STATUS_OK);
    uint8_t *end =
        accepted_record_put(bytes->data, event_id, at_ns, slice_of_text(source), sequence, event);
    bytes->size = (size_t)(end - bytes->data);
    assert_true(bytes->size <= RECORD_ACCEPTED_OVERHEAD_BYTES_MAX + event.size);
}

static void writes_accepted_records_as_the_golden_bytes(void **test_state)
{
    struct fixture *f = *test_state;
    put_accepted(&f->bytes, 1, GOLDEN_TIME + 5, "shop/eu-1", 17, buffer_slice(&f->created));
    assert_golden(buffer_slice(&f->bytes), "accepted", "first");
    put_accepted(&f->bytes, 200, GOLDEN_TIME + 6, "cli", 0, buffer_slice(&f->traced));
    assert_golden(buffer_slice(&f->bytes), "accepted", "unsequenced");
    put_accepted(&f->bytes, UINT64_MAX, UINT64_MAX, wide_source, UINT64_MAX,
                 buffer_slice(&f->created));
    assert_golden(buffer_slice(&f->bytes), "accepted", "widest");
}

static void reads_the_golden_accepted_record(void **test_state)
{
    struct fixture *f = *test_state;
    struct accepted_record record;
    golden_read("accepted", "first", &f->bytes);
    golden_read("accepted", "unsequenced", &f->bytes);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));

    assert_int_equal(accepted_record_read(&reader, &record), STATUS_OK);
    assert_int_equal(record.event_id, 1);
    assert_int_equal(record.accepted_at_ns, GOLDEN_TIME + 5);
    assert_text(record.source, "shop/eu-1");
    assert_int_equal(record.sequence, 17);
    assert_text(record.event.type, "order.created");
    assert_bytes(record.event.raw, buffer_slice(&f->created));
    assert_int_equal(accepted_record_read(&reader, &record), STATUS_OK);
    assert_int_equal(record.event_id, 200);
    assert_int_equal(record.sequence, 0);
    assert_bytes(record.event.raw, buffer_slice(&f->traced));
    assert_true(mp_at_end(&reader));
}

static void gives_accepted_at_nine_bytes_whatever_its_value(void **test_state)
{
    struct fixture *f = *test_state;
    static const uint8_t small[] = {0x95, 1, 0xcf, 0, 0, 0, 0, 0, 0, 0, 2, 0xa1, 'a', 3};
    put_accepted(&f->bytes, 1, 2, "a", 3, buffer_slice(&f->created));
    assert_memory_equal(f->bytes.data, small, sizeof small);
}

static void leaves_the_reader_at_a_truncated_accepted_record(void **test_state)
{
    struct fixture *f = *test_state;
    struct accepted_record record;
    golden_read("accepted", "widest", &f->bytes);
    for (size_t size = 0; size < f->bytes.size; size++) {
        struct mp_reader reader = mp_reader_of((struct slice){f->bytes.data, size});
        assert_int_equal(accepted_record_read(&reader, &record), STATUS_MALFORMED);
        assert_ptr_equal(reader.at, f->bytes.data);
    }
}

static void refuses_an_accepted_record_of_another_shape(void **test_state)
{
    struct fixture *f = *test_state;
    struct accepted_record record;
    static const char *const heads[] = {
        "\x94\x01\x01\xa1x\x01",     /* four items */
        "\x96\x01\x01\xa1x\x01\x01", /* six */
        "\xc0",                      /* no array */
        "\x95\xc0\x01\xa1x\x01",     /* id nil */
        "\x95\x01\xff\xa1x\x01",     /* time −1 */
        "\x95\x01\x01\xa0\x01",      /* source empty */
        "\x95\x01\x01\x01\x01",      /* source a number */
        "\x95\x01\x01\xa1x\xff",     /* sequence −1 */
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        buffer_clear(&f->bytes);
        buffer_append_text(&f->bytes, heads[i]);
        buffer_append(&f->bytes, f->created.data, f->created.size);
        struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
        if (accepted_record_read(&reader, &record) != STATUS_INVALID)
            fail_msg("head %zu is not invalid", i);
        assert_ptr_equal(reader.at, f->bytes.data);
    }
    put_accepted(&f->bytes, 0, 1, "a", 1, buffer_slice(&f->created));
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(accepted_record_read(&reader, &record), STATUS_INVALID);
}

/* key: one MessagePack item, kept by the buffer. */
static struct slice text_key(struct buffer *buffer, const char *text)
{
    codec_text(buffer, text);
    return buffer_slice(buffer);
}

static struct rejection rate_limited(struct fixture *f, struct slice key)
{
    return (struct rejection){
        .rejection_id = 1,
        .rejected_at_ns = GOLDEN_TIME + 7,
        .after_event_id = 200,
        .sequence = 18,
        .has_sequence = true,
        .count = 1,
        .retry_after_ns = 59999999999,
        .reason = REASON_RATE_LIMITED,
        .detail = slice_of_text("order-1 is over quota"),
        .source = slice_of_text("shop/eu-1"),
        .type = slice_of_text("order.created"),
        .subject = slice_of_text("order-1"),
        .policy = slice_of_text("per-subject"),
        .key = key,
        .evidence = buffer_slice(&f->created),
        .evidence_is_event = true,
    };
}

static void assert_rejection(struct fixture *f, const struct rejection *rejection, const char *name)
{
    buffer_clear(&f->bytes);
    rejection_write(&f->bytes, rejection);
    assert_int_equal(f->bytes.status, STATUS_OK);
    assert_golden(buffer_slice(&f->bytes), "rejected", name);
    assert_true(f->bytes.size <= RECORD_REJECTION_OVERHEAD_BYTES_MAX + rejection->evidence.size);
}

static void writes_rejections_of_events_as_the_golden_bytes(void **test_state)
{
    struct fixture *f = *test_state;
    struct buffer key;
    buffer_init(&key, 1024);
    struct rejection rejection = rate_limited(f, text_key(&key, "order-1"));
    assert_rejection(f, &rejection, "rate_limited");

    rejection.rejection_id = 2;
    rejection.sequence = 19;
    rejection.retry_after_ns = RECORD_NEVER;
    rejection.detail.size = 0;
    rejection.policy = slice_of_text("per-shop");
    rejection.key = (struct slice){(const uint8_t *)"\xf9", 1};
    assert_rejection(f, &rejection, "never_fits");

    buffer_clear(&key);
    rejection = (struct rejection){
        .rejection_id = 301,
        .rejected_at_ns = GOLDEN_TIME + 9,
        .after_event_id = 70000,
        .sequence = 60,
        .has_sequence = true,
        .count = 1,
        .retry_after_ns = 1,
        .reason = REASON_SHADOW,
        .source = slice_of_text("shop/eu-1"),
        .type = slice_of_text("user.login"),
        .subject = slice_of_text("Zo\xc3\xab"),
        .policy = slice_of_text("trial"),
        .key = text_key(&key, "global"),
        .evidence = buffer_slice(&f->traced),
        .evidence_is_event = true,
    };
    assert_rejection(f, &rejection, "shadow");
    buffer_fini(&key);
}

static void writes_rejections_of_bytes_and_summaries_as_the_golden_bytes(void **test_state)
{
    struct fixture *f = *test_state;
    struct rejection rejection = {
        .rejection_id = 3,
        .rejected_at_ns = GOLDEN_TIME + 8,
        .after_event_id = 200,
        .sequence = 20,
        .has_sequence = true,
        .count = 40,
        .retry_after_ns = RECORD_NEVER,
        .reason = REASON_MALFORMED,
        .detail = slice_of_text("byte 1 is no MessagePack"),
        .source = slice_of_text("shop/eu-1"),
        .evidence = {(const uint8_t *)"\x95\xc1\x00", 3},
    };
    assert_rejection(f, &rejection, "malformed");

    rejection = (struct rejection){
        .rejection_id = 4,
        .rejected_at_ns = GOLDEN_TIME + 8,
        .after_event_id = 200,
        .count = 1,
        .retry_after_ns = RECORD_NEVER,
        .reason = REASON_INVALID,
        .detail = slice_of_text("version 2 is not 1"),
        .evidence = {(const uint8_t *)"\x95\x02", 2},
    };
    assert_rejection(f, &rejection, "bad_header");

    rejection = (struct rejection){
        .rejection_id = 300,
        .rejected_at_ns = GOLDEN_TIME + 9,
        .after_event_id = 70000,
        .count = 123456,
        .retry_after_ns = RECORD_NEVER,
        .reason = REASON_RATE_LIMITED,
        .source = slice_of_text("shop/eu-1"),
        .policy = slice_of_text("per-subject"),
        .key = {(const uint8_t *)"\x2a", 1},
    };
    assert_rejection(f, &rejection, "summary");
}

static void reads_the_golden_rejection_of_an_event(void **test_state)
{
    struct fixture *f = *test_state;
    struct rejection rejection;
    golden_read("rejected", "rate_limited", &f->bytes);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    assert_true(mp_at_end(&reader));
    assert_int_equal(rejection.rejection_id, 1);
    assert_int_equal(rejection.rejected_at_ns, GOLDEN_TIME + 7);
    assert_int_equal(rejection.after_event_id, 200);
    assert_int_equal(rejection.reason, REASON_RATE_LIMITED);
    assert_text(rejection.detail, "order-1 is over quota");
    assert_text(rejection.source, "shop/eu-1");
    assert_true(rejection.has_sequence);
    assert_int_equal(rejection.sequence, 18);
    assert_int_equal(rejection.count, 1);
    assert_text(rejection.type, "order.created");
    assert_text(rejection.subject, "order-1");
    assert_text(rejection.policy, "per-subject");
    assert_text(rejection.key, "\xa7order-1");
    assert_int_equal(rejection.retry_after_ns, 59999999999);
    assert_true(rejection.evidence_is_event);
    assert_bytes(rejection.evidence, buffer_slice(&f->created));
}

static void reads_the_golden_rejections_with_unknown_fields(void **test_state)
{
    struct fixture *f = *test_state;
    struct rejection rejection;
    golden_read("rejected", "malformed", &f->bytes);
    golden_read("rejected", "bad_header", &f->bytes);
    golden_read("rejected", "summary", &f->bytes);
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));

    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    assert_int_equal(rejection.count, 40);
    assert_int_equal(rejection.type.size, 0);
    assert_int_equal(rejection.key.size, 0);
    assert_int_equal(rejection.retry_after_ns, RECORD_NEVER);
    assert_false(rejection.evidence_is_event);
    assert_bytes(rejection.evidence, (struct slice){(const uint8_t *)"\x95\xc1\x00", 3});

    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    assert_int_equal(rejection.source.size, 0);
    assert_false(rejection.has_sequence);

    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    assert_false(rejection.has_sequence);
    assert_int_equal(rejection.count, 123456);
    assert_int_equal(rejection.evidence.size, 0);
    assert_true(mp_at_end(&reader));
}

static void writes_what_it_reads(void **test_state)
{
    struct fixture *f = *test_state;
    static const char *const names[] = {"rate_limited", "never_fits", "malformed",
                                        "bad_header",   "summary",    "shadow"};
    struct buffer golden;
    buffer_init(&golden, BYTES_MAX);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rejection rejection;
        buffer_clear(&golden);
        golden_read("rejected", names[i], &golden);
        struct mp_reader reader = mp_reader_of(buffer_slice(&golden));
        assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
        assert_rejection(f, &rejection, names[i]);
    }
    buffer_fini(&golden);
}

static void leaves_the_reader_at_a_truncated_rejection(void **test_state)
{
    struct fixture *f = *test_state;
    struct rejection rejection;
    golden_read("rejected", "rate_limited", &f->bytes);
    for (size_t size = 0; size < f->bytes.size; size++) {
        struct mp_reader reader = mp_reader_of((struct slice){f->bytes.data, size});
        assert_int_equal(rejection_read(&reader, &rejection), STATUS_MALFORMED);
        assert_ptr_equal(reader.at, f->bytes.data);
    }
}

/* Replaces item `place` of a golden rejection with one nobody should take there. */
static enum status read_with_item(const struct buffer *golden, unsigned place, const char *item)
{
    struct buffer bytes;
    struct rejection rejection;
    buffer_init(&bytes, BYTES_MAX);
    struct mp_reader from = mp_reader_of(buffer_slice(golden));
    uint32_t items;
    assert_int_equal(mp_read_array(&from, &items), STATUS_OK);
    buffer_append_text(&bytes, "\x9e");
    for (unsigned i = 0; i < items; i++) {
        struct slice raw;
        assert_int_equal(mp_read_raw(&from, &raw), STATUS_OK);
        if (i == place)
            buffer_append_text(&bytes, item);
        else
            buffer_append(&bytes, raw.data, raw.size);
    }
    struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
    enum status status = rejection_read(&reader, &rejection);
    buffer_fini(&bytes);
    return status;
}

static void refuses_each_field_of_a_rejection_with_another_type(void **test_state)
{
    struct fixture *f = *test_state;
    static const struct {
        unsigned place;
        const char *item;
    } wrong[] = {
        {0, "\xff"},
        {0, "\xc0"},
        {1, "\xff"},
        {2, "\xc0"},
        {3, "\xc0"},
        {3, "\xa3"
            "who"},
        {4, "\x01"},
        {5, "\x01"},
        {6, "\xff"},
        {6, "\xa1x"},
        {7, "\xc0"},
        {7, "\xff"},
        {8, "\x01"},
        {9, "\xc3"},
        {10, "\x90"},
        {11, "\x80"},
        {11, "\xc3"},
        {12, "\xff"},
        {12, "\xa1x"},
        {13, "\x01"},
        {13, "\xa1x"},
        {13, "\x81\x01\x01"},
    };
    golden_read("rejected", "rate_limited", &f->bytes);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (read_with_item(&f->bytes, wrong[i].place, wrong[i].item) != STATUS_INVALID)
            fail_msg("item %zu at place %u is taken", i, wrong[i].place);
    assert_int_equal(read_with_item(&f->bytes, 6, "\xc0"), STATUS_OK);
}

static void cuts_detail_at_the_edge_of_a_character(void **test_state)
{
    struct fixture *f = *test_state;
    char detail[RECORD_DETAIL_BYTES_MAX + 2];
    memset(detail, 'd', sizeof detail);
    memcpy(detail + RECORD_DETAIL_BYTES_MAX - 1, "\xc3\xab", 2); /* half of it would fit */
    struct rejection rejection = rate_limited(f, (struct slice){NULL, 0});
    rejection.detail = (struct slice){(const uint8_t *)detail, sizeof detail};
    rejection_write(&f->bytes, &rejection);

    struct rejection read;
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
    assert_int_equal(read.detail.size, RECORD_DETAIL_BYTES_MAX - 1);
    assert_true(utf8_valid(read.detail));
}

static void keeps_evidence_that_does_not_decode_to_its_first_bytes(void **test_state)
{
    struct fixture *f = *test_state;
    uint8_t garbage[1000];
    memset(garbage, 0xc1, sizeof garbage);
    struct rejection rejection = rate_limited(f, (struct slice){NULL, 0});
    rejection.evidence = (struct slice){garbage, sizeof garbage};
    rejection.evidence_is_event = false;
    rejection_write(&f->bytes, &rejection);

    struct rejection read;
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
    assert_int_equal(read.evidence.size, RECORD_EVIDENCE_BYTES_MAX);
    assert_false(read.evidence_is_event);
}

static void writes_nil_for_text_that_strict_readers_would_choke_on(void **test_state)
{
    struct fixture *f = *test_state;
    struct rejection rejection = rate_limited(f, (struct slice){NULL, 0});
    rejection.subject = slice_of_text("\xff\xfe");
    rejection_write(&f->bytes, &rejection);
    struct rejection read;
    struct mp_reader reader = mp_reader_of(buffer_slice(&f->bytes));
    assert_int_equal(rejection_read(&reader, &read), STATUS_OK);
    assert_int_equal(read.subject.size, 0);
    assert_text(read.type, "order.created");
}

static void fits_the_widest_rejection_into_its_overhead(void **test_state)
{
    struct fixture *f = *test_state;
    char text[RECORD_DETAIL_BYTES_MAX];
    memset(text, 't', sizeof text);
    const uint8_t *bytes = (const uint8_t *)text;
    struct buffer key;
    buffer_init(&key, 1024);
    codec_text_slice(&key, (struct slice){bytes, 128});
    struct rejection rejection = {
        .rejection_id = UINT64_MAX,
        .rejected_at_ns = UINT64_MAX,
        .after_event_id = UINT64_MAX,
        .sequence = UINT64_MAX,
        .has_sequence = true,
        .count = UINT64_MAX,
        .retry_after_ns = UINT64_MAX - 1,
        .reason = REASON_RATE_LIMITED,
        .detail = {bytes, sizeof text},
        .source = {bytes, EVENT_SOURCE_BYTES_MAX},
        .type = {bytes, EVENT_TYPE_BYTES_MAX},
        .subject = {bytes, EVENT_SUBJECT_BYTES_MAX},
        .policy = {bytes, RECORD_POLICY_BYTES_MAX},
        .key = buffer_slice(&key),
        .evidence = {bytes, RECORD_EVIDENCE_BYTES_MAX},
    };
    rejection_write(&f->bytes, &rejection);
    assert_true(f->bytes.size <= RECORD_REJECTION_OVERHEAD_BYTES_MAX);
    buffer_fini(&key);
}

static void read_any_accepted(struct slice bytes)
{
    struct accepted_record record;
    struct mp_reader reader = mp_reader_of(bytes);
    enum status status = accepted_record_read(&reader, &record);
    assert_true(status == STATUS_OK || status == STATUS_MALFORMED || status == STATUS_INVALID);
    if (status != STATUS_OK)
        assert_ptr_equal(reader.at, bytes.data);
}

/* What reads can be written and read again to the same bytes. */
static void read_any_rejection(struct slice bytes)
{
    struct rejection rejection;
    struct mp_reader reader = mp_reader_of(bytes);
    enum status status = rejection_read(&reader, &rejection);
    if (status != STATUS_OK) {
        assert_true(status == STATUS_MALFORMED || status == STATUS_INVALID);
        assert_ptr_equal(reader.at, bytes.data);
        return;
    }
    struct buffer first, second;
    buffer_init(&first, BYTES_MAX);
    buffer_init(&second, BYTES_MAX);
    rejection_write(&first, &rejection);
    reader = mp_reader_of(buffer_slice(&first));
    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    assert_true(mp_at_end(&reader));
    rejection_write(&second, &rejection);
    assert_bytes(buffer_slice(&second), buffer_slice(&first));
    buffer_fini(&first);
    buffer_fini(&second);
}

static void survives_any_bytes(void **test_state)
{
    (void)test_state;
    golden_spoil_all("accepted", read_any_accepted);
    golden_spoil_all("rejected", read_any_rejection);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(writes_accepted_records_as_the_golden_bytes),
        TEST(reads_the_golden_accepted_record),
        TEST(gives_accepted_at_nine_bytes_whatever_its_value),
        TEST(leaves_the_reader_at_a_truncated_accepted_record),
        TEST(refuses_an_accepted_record_of_another_shape),
        TEST(writes_rejections_of_events_as_the_golden_bytes),
        TEST(writes_rejections_of_bytes_and_summaries_as_the_golden_bytes),
        TEST(reads_the_golden_rejection_of_an_event),
        TEST(reads_the_golden_rejections_with_unknown_fields),
        TEST(writes_what_it_reads),
        TEST(leaves_the_reader_at_a_truncated_rejection),
        TEST(refuses_each_field_of_a_rejection_with_another_type),
        TEST(cuts_detail_at_the_edge_of_a_character),
        TEST(keeps_evidence_that_does_not_decode_to_its_first_bytes),
        TEST(writes_nil_for_text_that_strict_readers_would_choke_on),
        TEST(fits_the_widest_rejection_into_its_overhead),
        TEST(survives_any_bytes),
    };
#undef TEST
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
