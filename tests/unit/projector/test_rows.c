#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "common/event/mp.h"
#include "projector/views/view.h"
#include "tests/lib/seed.h"

enum { ROWS_TESTED_MAX = 5000, KEY_TEXT_MAX = 100 };

/* A view of two key columns and one value. */
static void write_value(const void *value, struct buffer *buffer)
{
    codec_uint(buffer, *(const uint64_t *)value);
}
static const char *const columns[] = {"kind", "key", "count"};
static const struct view_type type = {.name = "test",
                                      .columns = columns,
                                      .column_count = 3,
                                      .key_column_count = 2,
                                      .value_bytes = sizeof(uint64_t),
                                      .write_value = write_value};
static const struct hash_seed seed = {{1, 2, 3}};

static struct rows *rows_of_at_most(uint32_t rows_max)
{
    struct rows *rows = rows_new(&type, &seed, rows_max);
    assert_non_null(rows);
    return rows;
}

static uint64_t *at(struct rows *rows, const struct buffer *key)
{
    assert_int_equal(key->status, STATUS_OK);
    uint64_t hash = rows_hash(rows, buffer_slice(key));
    rows_prefetch_place(rows, hash);
    rows_prefetch_row(rows, hash);
    return rows_at(rows, hash, buffer_slice(key));
}

static uint64_t *at_text(struct rows *rows, const char *kind, const char *text)
{
    struct buffer key;
    buffer_init(&key, ROW_KEY_BYTES_MAX);
    codec_text(&key, kind);
    codec_text(&key, text);
    uint64_t *value = at(rows, &key);
    buffer_fini(&key);
    return value;
}

static uint64_t *at_int(struct rows *rows, const char *kind, int64_t number)
{
    struct buffer key;
    buffer_init(&key, ROW_KEY_BYTES_MAX);
    codec_text(&key, kind);
    codec_int(&key, number);
    uint64_t *value = at(rows, &key);
    buffer_fini(&key);
    return value;
}

static void expect_digest(struct rows *rows, const char *hex)
{
    char found[DIGEST_HEX_BYTES];
    struct digest digest = rows_digest(rows);
    digest_hex(&digest, found);
    assert_string_equal(found, hex);
}

static void begins_empty_with_a_digest_of_nothing(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(10);
    assert_int_equal(rows_count(rows), 0);
    expect_digest(rows, "00000000000000000000000000000000");
    assert_int_equal(rows_sort(rows), STATUS_OK);
    rows_destroy(&rows);
    rows_destroy(&rows);
}

/* XXH3-128 (seed 0) of the bytes 92 a4 "test" 93 a1 "a" a1 "b" 07. */
static void the_digest_of_one_row_is_the_hash_of_view_and_row(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x92, 0xa4, 't', 'e', 's', 't', 0x93, 0xa1, 'a', 0xa1, 'b', 7};
    struct rows *rows = rows_of_at_most(10);
    *at_text(rows, "a", "b") = 7;

    struct digest expected = {0};
    char hex[DIGEST_HEX_BYTES];
    digest_add(&expected, bytes, sizeof bytes);
    digest_hex(&expected, hex);
    expect_digest(rows, hex);
    expect_digest(rows, "12f01bd3324a395962be9cc56fa059f9");
    rows_destroy(&rows);
}

static void finds_a_row_again_by_its_key(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(10);
    *at_text(rows, "a", "b") += 7;
    *at_text(rows, "ab", "") += 1;
    *at_int(rows, "a", -1) += 2;
    *at_text(rows, "a", "b") += 1;
    assert_int_equal(rows_count(rows), 3);
    assert_int_equal(*at_text(rows, "a", "b"), 8);
    assert_int_equal(*at_int(rows, "a", -1), 2);
    rows_destroy(&rows);
}

static void a_wrong_guess_finds_the_right_row(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(10);
    const struct slice keys[] = {slice_of_text("\xa1"
                                               "a\xa1x"),
                                 slice_of_text("\xa1"
                                               "a\xa1y")};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t hash = rows_hash(rows, keys[i]);
        assert_int_equal(rows_prefetch_row(rows, hash), ROWS_NO_GUESS);
        *(uint64_t *)rows_at(rows, hash, keys[i]) = 10 + i;
    }
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t hash = rows_hash(rows, keys[i]);
        assert_int_equal(rows_prefetch_row(rows, hash), i);
        for (uint32_t guess = 0; guess < 2; guess++)
            assert_int_equal(*(uint64_t *)rows_at_guess(rows, guess, hash, keys[i]), 10 + i);
    }
    assert_int_equal(rows_count(rows), 2);
    rows_destroy(&rows);
}

static void counts_what_finds_no_room(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(2);
    assert_non_null(at_text(rows, "a", "1"));
    assert_non_null(at_text(rows, "a", "2"));
    assert_null(at_text(rows, "a", "3"));
    assert_null(at_text(rows, "a", "4"));
    assert_non_null(at_text(rows, "a", "2"));
    assert_int_equal(rows_count(rows), 2);
    assert_int_equal(rows_left_out(rows), 2);
    rows_destroy(&rows);
}

static void writes_a_row_as_a_map_of_its_columns(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x83, 0xa4, 'k',  'i', 'n', 'd', 0xa1, 'a', 0xa3, 'k', 'e',
                                       'y',  0xff, 0xa5, 'c', 'o', 'u', 'n',  't', 0xcc, 200};
    struct rows *rows = rows_of_at_most(2);
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    *at_int(rows, "a", -1) = 200;
    assert_int_equal(rows_sort(rows), STATUS_OK);

    rows_write(rows, 0, &buffer);

    assert_int_equal(buffer.size, sizeof expected);
    assert_memory_equal(buffer.data, expected, sizeof expected);
    buffer_fini(&buffer);
    rows_destroy(&rows);
}

/* --- order --- */

/* The key column of row `place`, as text or as a number. */
static bool read_key(struct rows *rows, uint32_t place, char ret_text[KEY_TEXT_MAX],
                     int64_t *ret_number)
{
    struct buffer buffer;
    struct slice text;
    uint32_t pairs;
    buffer_init(&buffer, 2000);
    rows_write(rows, place, &buffer);
    struct mp_reader reader = mp_reader_of(buffer_slice(&buffer));
    assert_int_equal(mp_read_map(&reader, &pairs), STATUS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mp_skip(&reader), STATUS_OK);
    bool is_text = mp_read_text(&reader, &text) == STATUS_OK;
    if (is_text) {
        assert_true(text.size < KEY_TEXT_MAX);
        memcpy(ret_text, text.data, text.size);
        ret_text[text.size] = '\0';
    } else {
        assert_int_equal(mp_read_int(&reader, ret_number), STATUS_OK);
    }
    buffer_fini(&buffer);
    return is_text;
}

static void expect_sorted(struct rows *rows)
{
    char text[KEY_TEXT_MAX] = "", before[KEY_TEXT_MAX] = "";
    int64_t number = 0, number_before = INT64_MIN;
    bool texts_began = false;
    assert_int_equal(rows_sort(rows), STATUS_OK);
    for (uint32_t i = 0; i < rows_count(rows); i++) {
        bool is_text = read_key(rows, i, text, &number);
        assert_true(is_text || !texts_began);
        if (is_text) {
            assert_true(!texts_began || strcmp(before, text) < 0);
            memcpy(before, text, sizeof before);
            texts_began = true;
        } else {
            assert_true(i == 0 || number_before < number);
            number_before = number;
        }
    }
}

static void enter_random_key(struct rows *rows, struct rng *rng)
{
    char text[KEY_TEXT_MAX] = "";
    uint64_t letters = rng_below(rng, 12) == 0 ? 90 : rng_below(rng, 5);
    if (rng_below(rng, 2) == 0) {
        *at_int(rows, "k", (int64_t)rng_next(rng) >> rng_below(rng, 64)) += 1;
        return;
    }
    for (uint64_t i = 0; i < letters; i++)
        text[i] = (char)('a' + rng_below(rng, 3));
    *at_text(rows, "k", text) += 1;
}

static void keeps_integers_before_texts_and_both_in_order(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct rows *rows = rows_of_at_most(ROWS_TESTED_MAX);
    for (int i = 0; i < 60; i++) {
        for (uint64_t more = rng_below(&rng, 30); more > 0; more--)
            enter_random_key(rows, &rng);
        expect_sorted(rows);
    }
    rows_destroy(&rows);
}

static void sorts_by_the_first_column_first(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(10);
    struct buffer first, second;
    buffer_init(&first, 100);
    buffer_init(&second, 100);
    at_text(rows, "b", "a");
    at_int(rows, "a", 2);
    at_text(rows, "a", "x");
    assert_int_equal(rows_sort(rows), STATUS_OK);
    rows_write(rows, 0, &first);
    rows_write(rows, 2, &second);
    assert_int_equal(first.data[7], 'a');
    assert_int_equal(first.data[12], 2);
    assert_int_equal(second.data[7], 'b');
    buffer_fini(&first);
    buffer_fini(&second);
    rows_destroy(&rows);
}

/* --- digest --- */

/* Adds `add` to the row of each number once, in random order, asking for the digest in between. */
static void add_in_random_order(struct rows *rows, struct rng *rng, int64_t count, uint64_t add)
{
    static int64_t numbers[ROWS_TESTED_MAX];
    for (int64_t i = 0; i < count; i++)
        numbers[i] = i;
    for (int64_t left = count; left > 0; left--) {
        uint64_t pick = rng_below(rng, (uint64_t)left);
        *at_int(rows, "k", numbers[pick]) += add;
        numbers[pick] = numbers[left - 1];
        if (rng_below(rng, 50) == 0)
            (void)rows_digest(rows);
    }
}

static void the_digest_depends_on_the_rows_and_not_on_the_way_there(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct rows *one = rows_of_at_most(ROWS_TESTED_MAX), *other = rows_of_at_most(ROWS_TESTED_MAX);
    add_in_random_order(one, &rng, 1000, 5);
    add_in_random_order(other, &rng, 700, 2);
    add_in_random_order(other, &rng, 1000, 1);
    add_in_random_order(other, &rng, 1000, 2);
    struct digest before = rows_digest(one), different = rows_digest(other);
    assert_memory_not_equal(&before, &different, sizeof before);
    for (int64_t i = 700; i < 1000; i++)
        *at_int(other, "k", i) += 2;

    struct digest same = rows_digest(other);

    assert_memory_equal(&before, &same, sizeof before);
    rows_destroy(&one);
    rows_destroy(&other);
}

/* --- to the database and back --- */

static void expect_same(struct rows *a, struct rows *b)
{
    struct digest left = rows_digest(a), right = rows_digest(b);
    assert_int_equal(rows_count(a), rows_count(b));
    assert_memory_equal(&left, &right, sizeof left);
}

static struct rows *rows_that_note(void)
{
    struct rows *rows = rows_of_at_most(ROWS_TESTED_MAX);
    rows_note_changes(rows);
    return rows;
}

/* Restores rows that were taken, in the order of their places; changes what is there already. */
static void put_back(struct rows *rows, struct slice changes, struct slice *ret_values)
{
    while (changes.size > 0) {
        struct rows_change change = rows_change_read(&changes);
        assert_true(change.place < ROWS_TESTED_MAX);
        ret_values[change.place] = change.value;
        if (change.place == rows_count(rows))
            assert_int_equal(rows_restore(rows, change.key, change.value), STATUS_OK);
    }
}

static void what_changed_is_taken_once(void **state)
{
    (void)state;
    struct rows *rows = rows_that_note();
    struct buffer changes;
    buffer_init(&changes, 1 << 20);
    *at_text(rows, "a", "x") = 1;
    *at_text(rows, "a", "y") = 2;
    *at_text(rows, "a", "x") = 3;
    assert_int_equal(rows_unsaved(rows), 2);
    assert_int_equal(rows_take_changes(rows, &changes), STATUS_OK);
    assert_int_equal(rows_unsaved(rows), 0);

    *at_text(rows, "a", "y") = 5;
    (void)rows_digest(rows);
    *at_text(rows, "a", "y") = 6;
    assert_int_equal(rows_unsaved(rows), 1);
    buffer_clear(&changes);
    assert_int_equal(rows_take_changes(rows, &changes), STATUS_OK);

    struct slice left = buffer_slice(&changes);
    struct rows_change change = rows_change_read(&left);
    assert_int_equal(left.size, 0);
    assert_int_equal(change.place, 1);
    assert_int_equal(*(const uint8_t *)change.value.data, 6);
    assert_memory_equal(change.columns.data,
                        "\xa1"
                        "a\xa1y\x06",
                        5);
    assert_int_equal(change.columns.size, 5);
    assert_int_equal(change.key.size, 4);
    rows_unsave(rows);
    assert_int_equal(rows_unsaved(rows), 2);
    buffer_fini(&changes);
    rows_destroy(&rows);
}

static void nothing_is_noted_where_nobody_asked(void **state)
{
    (void)state;
    struct rows *rows = rows_of_at_most(10);
    *at_text(rows, "a", "x") = 1;
    rows_unsave(rows);
    assert_int_equal(rows_unsaved(rows), 0);
    rows_destroy(&rows);
}

static void more_than_the_buffer_holds_is_taken_in_pieces(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct rows *rows = rows_that_note();
    struct buffer changes;
    buffer_init(&changes, 4096);
    add_in_random_order(rows, &rng, 1000, 5);
    uint32_t taken = 0;
    while (rows_unsaved(rows) > 0) {
        buffer_clear(&changes);
        assert_int_equal(rows_take_changes(rows, &changes), STATUS_OK);
        struct slice left = buffer_slice(&changes);
        for (; left.size > 0; taken++)
            (void)rows_change_read(&left);
    }
    assert_int_equal(taken, 1000);
    buffer_fini(&changes);
    rows_destroy(&rows);
}

static void packed_rows_are_the_same_rows(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct rows *rows = rows_of_at_most(ROWS_TESTED_MAX), *copy = rows_that_note();
    struct buffer packed;
    buffer_init(&packed, 1 << 20);
    add_in_random_order(rows, &rng, 1000, 5);
    *at_text(rows, "long", "a key that is longer than what fits into the head of a row, by far") =
        9;
    assert_int_equal(rows_pack(rows, &packed), STATUS_OK);
    assert_int_equal(packed.status, STATUS_OK);
    assert_int_equal(rows_unpack(copy, buffer_slice(&packed)), STATUS_OK);
    expect_same(rows, copy);
    assert_int_equal(rows_unsaved(copy), 0);
    *at_int(copy, "k", 7) += 1;
    *at_int(rows, "k", 7) += 1;
    expect_same(rows, copy);
    assert_int_equal(rows_unsaved(copy), 1);
    buffer_fini(&packed);
    rows_destroy(&rows);
    rows_destroy(&copy);
}

static void what_cannot_be_a_row_is_not_restored(void **state)
{
    (void)state;
    static const uint8_t value[8] = {1};
    static const struct {
        const char *key;
        size_t key_bytes, value_bytes;
    } cases[] = {{"\xa1"
                  "a",
                  2, 8},
                 {"\xa1"
                  "a\xa1",
                  3, 8},
                 {"\xa1"
                  "a\xa1x\x01",
                  5, 8},
                 {"\xa1"
                  "a\xc0",
                  3, 8},
                 {"", 0, 8},
                 {"\xa1"
                  "a\xa1x",
                  4, 7},
                 {"\xa1"
                  "a\xa1x",
                  4, 9}};
    struct rows *rows = rows_of_at_most(1);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            rows_restore(rows, (struct slice){(const uint8_t *)cases[i].key, cases[i].key_bytes},
                         (struct slice){value, cases[i].value_bytes}),
            STATUS_INVALID);
    struct slice key = slice_of_text("\xa1"
                                     "a\xa1x"),
                 other = slice_of_text("\xa1"
                                       "a\xa1y");
    assert_int_equal(rows_restore(rows, key, (struct slice){value, 8}), STATUS_OK);
    assert_int_equal(rows_restore(rows, key, (struct slice){value, 8}), STATUS_INVALID);
    assert_int_equal(rows_restore(rows, other, (struct slice){value, 8}), STATUS_FULL);
    static const uint8_t cut[] = {4, 0, 0xa1, 'a', 0xa1};
    assert_int_equal(rows_unpack(rows, (struct slice){cut, sizeof cut}), STATUS_MALFORMED);
    assert_int_equal(rows_unpack(rows, (struct slice){cut, 1}), STATUS_MALFORMED);
    rows_destroy(&rows);
}

/* Random changes, digests and checkpoints; what was put back is at each checkpoint what is there.
 */
static void checkpoints_at_random_keep_all_rows(void **state)
{
    (void)state;
    static struct slice values[ROWS_TESTED_MAX];
    struct rng rng = test_rng();
    struct rows *rows = rows_that_note();
    struct buffer changes, all;
    uint64_t kept[200] = {0};
    buffer_init(&changes, 1 << 20);
    buffer_init(&all, 1 << 24);
    for (int round = 0; round < 300; round++) {
        for (uint64_t n = rng_below(&rng, 30); n > 0; n--)
            *at_int(rows, "k", (int64_t)rng_below(&rng, 200)) += rng_below(&rng, 9);
        if (rng_below(&rng, 3) == 0)
            (void)rows_digest(rows);
        if (rng_below(&rng, 4) > 0)
            continue;
        buffer_clear(&changes);
        assert_int_equal(rows_take_changes(rows, &changes), STATUS_OK);
        struct slice left = buffer_slice(&changes);
        while (left.size > 0) {
            struct rows_change change = rows_change_read(&left);
            memcpy(&kept[change.place], change.value.data, sizeof *kept);
        }
        buffer_clear(&all);
        rows_unsave(rows);
        assert_int_equal(rows_take_changes(rows, &all), STATUS_OK);
        struct rows *copy = rows_that_note();
        struct buffer packed;
        buffer_init(&packed, 1 << 20);
        assert_int_equal(rows_pack(rows, &packed), STATUS_OK);
        assert_int_equal(rows_unpack(copy, buffer_slice(&packed)), STATUS_OK);
        expect_same(rows, copy);
        put_back(copy, buffer_slice(&all), values);
        for (uint32_t place = 0; place < rows_count(rows); place++)
            assert_memory_equal(values[place].data, &kept[place], sizeof *kept);
        buffer_fini(&packed);
        rows_destroy(&copy);
    }
    buffer_fini(&changes);
    buffer_fini(&all);
    rows_destroy(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_empty_with_a_digest_of_nothing),
        cmocka_unit_test(the_digest_of_one_row_is_the_hash_of_view_and_row),
        cmocka_unit_test(finds_a_row_again_by_its_key),
        cmocka_unit_test(a_wrong_guess_finds_the_right_row),
        cmocka_unit_test(counts_what_finds_no_room),
        cmocka_unit_test(writes_a_row_as_a_map_of_its_columns),
        cmocka_unit_test(keeps_integers_before_texts_and_both_in_order),
        cmocka_unit_test(sorts_by_the_first_column_first),
        cmocka_unit_test(the_digest_depends_on_the_rows_and_not_on_the_way_there),
        cmocka_unit_test(what_changed_is_taken_once),
        cmocka_unit_test(nothing_is_noted_where_nobody_asked),
        cmocka_unit_test(more_than_the_buffer_holds_is_taken_in_pieces),
        cmocka_unit_test(packed_rows_are_the_same_rows),
        cmocka_unit_test(what_cannot_be_a_row_is_not_restored),
        cmocka_unit_test(checkpoints_at_random_keep_all_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
