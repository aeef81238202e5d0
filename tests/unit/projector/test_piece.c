#include "projector/core/piece.h"

#include "records.h"

enum { RECORDS = 5 };

/* Rejections 1 … 5, of which rejection i stands behind event 10 × i. */
static struct piece rejections(struct buffer *bytes)
{
    buffer_init(bytes, RECORDS_BYTES_MAX);
    for (uint64_t id = 1; id <= RECORDS; id++) {
        struct rejection rejection = {.rejection_id = id,
                                      .rejected_at_ns = RECORD_TIME + id,
                                      .after_event_id = 10 * id,
                                      .count = 1,
                                      .retry_after_ns = RECORD_NEVER,
                                      .reason = REASON_UNAVAILABLE};
        rejection_write(bytes, &rejection);
    }
    assert_int_equal(bytes->status, STATUS_OK);
    return (struct piece){buffer_slice(bytes), RECORDS};
}

static uint64_t first_id(struct slice records)
{
    struct mp_reader reader = mp_reader_of(records);
    struct rejection rejection;
    assert_int_equal(rejection_read(&reader, &rejection), STATUS_OK);
    return rejection.rejection_id;
}

static void records_are_cut_off_at_the_front(void **state)
{
    (void)state;
    struct buffer bytes;
    struct slice first, second, nothing;
    struct piece piece = rejections(&bytes);
    assert_int_equal(piece_cut(&piece, 2, &first), STATUS_OK);
    assert_int_equal(piece.count, 3);
    assert_int_equal(first_id(first), 1);
    assert_int_equal(piece_cut(&piece, 3, &second), STATUS_OK);
    assert_int_equal(piece.count, 0);
    assert_int_equal(piece.records.size, 0);
    assert_int_equal(first_id(second), 3);
    assert_int_equal(first.size + second.size, bytes.size);
    assert_int_equal(piece_cut(&piece, 0, &nothing), STATUS_OK);
    assert_int_equal(nothing.size, 0);
    buffer_fini(&bytes);
}

static void the_last_one_passed_over_is_hashed(void **state)
{
    (void)state;
    struct buffer bytes;
    struct slice first, second;
    uint64_t hash;
    struct piece whole = rejections(&bytes), cut = whole;
    assert_int_equal(piece_cut(&cut, 1, &first), STATUS_OK);
    assert_int_equal(piece_cut(&cut, 1, &second), STATUS_OK);
    assert_int_equal(piece_pass_over(&whole, 2, &hash), STATUS_OK);
    assert_true(hash == hash_content(0, second.data, second.size));
    assert_int_equal(whole.count, 3);
    assert_ptr_equal(whole.records.data, cut.records.data);
    buffer_fini(&bytes);
}

static void rejections_are_told_apart_by_the_event_before_them(void **state)
{
    (void)state;
    static const uint64_t below[][2] = {{0, 0},  {10, 0}, {11, 1}, {30, 2},
                                        {31, 3}, {50, 4}, {51, 5}, {UINT64_MAX, 5}};
    struct buffer bytes;
    uint64_t count, after;
    struct piece piece = rejections(&bytes);
    assert_int_equal(piece_last_after(&piece, &after), STATUS_OK);
    assert_int_equal(after, 50);
    for (unsigned i = 0; i < sizeof below / sizeof below[0]; i++) {
        assert_int_equal(piece_count_below(&piece, below[i][0], &count), STATUS_OK);
        assert_int_equal(count, below[i][1]);
    }
    buffer_fini(&bytes);
}

static void what_is_no_record_is_found_out(void **state)
{
    (void)state;
    struct buffer bytes;
    struct slice cut;
    uint64_t number;
    struct piece short_one = rejections(&bytes);
    short_one.records.size -= 1;
    assert_int_equal(piece_last_after(&short_one, &number), STATUS_DAMAGED);
    assert_int_equal(piece_count_below(&short_one, 51, &number), STATUS_DAMAGED);
    assert_int_equal(piece_pass_over(&short_one, RECORDS, &number), STATUS_DAMAGED);
    short_one.count = RECORDS + 2; /* more were announced */
    assert_int_equal(piece_cut(&short_one, RECORDS + 1, &cut), STATUS_DAMAGED);
    static const uint8_t others[] = {0x93, 1, 2, 0xa1, 'x', 0x92, 1, 2};
    struct piece text = {{others, 5}, 1}, pair = {{others + 5, 3}, 1};
    assert_int_equal(piece_last_after(&text, &number), STATUS_DAMAGED);
    assert_int_equal(piece_last_after(&pair, &number), STATUS_DAMAGED);
    buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_cut_off_at_the_front),
        cmocka_unit_test(the_last_one_passed_over_is_hashed),
        cmocka_unit_test(rejections_are_told_apart_by_the_event_before_them),
        cmocka_unit_test(what_is_no_record_is_found_out),
    };
    return cmocka_run_group_tests_name("piece", tests, NULL, NULL);
}
