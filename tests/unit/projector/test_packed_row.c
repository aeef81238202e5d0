#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "projector/core/packed_row.h"
#include "tests/lib/seed.h"

enum { ROWS = 300 };

/* What was written, and its bytes. */
static struct packed_row rows[ROWS];
static uint8_t bytes[ROWS * PACKED_ROW_BYTES_MAX];

static struct slice key_of(const struct packed_row *row)
{
    return (struct slice){row->key, row->key_bytes};
}

static struct slice pack(uint32_t count, size_t value_bytes)
{
    uint8_t *at = bytes;
    struct slice before = {NULL, 0};
    for (uint32_t i = 0; i < count; i++) {
        at = packed_row_put(at, before, key_of(&rows[i]),
                            (struct slice){rows[i].value, value_bytes});
        before = key_of(&rows[i]);
    }
    return (struct slice){bytes, (size_t)(at - bytes)};
}

/* A key that has `shared` bytes of the row before, and a value with many zeros. */
static void make_row(struct packed_row *row, const struct packed_row *before, size_t key_bytes,
                     size_t value_bytes, struct rng *rng)
{
    size_t shared = before != NULL ? (size_t)rng_below(rng, before->key_bytes + 1) : 0;
    memset(row, 0, sizeof *row);
    row->key_bytes = key_bytes;
    for (size_t i = 0; i < key_bytes; i++)
        row->key[i] = i < shared ? before->key[i] : (uint8_t)rng_below(rng, 256);
    for (size_t i = 0; i < value_bytes; i++)
        row->value[i] = rng_below(rng, 3) == 0 ? (uint8_t)rng_below(rng, 256) : 0;
}

static void rows_of_all_sizes_come_back(void **state)
{
    (void)state;
    struct rng rng = {{0}};
    rng_init(&rng, test_seed(20261127));
    for (size_t value_bytes = 1; value_bytes <= ROW_VALUE_BYTES_MAX; value_bytes += 37) {
        for (uint32_t i = 0; i < ROWS; i++)
            make_row(&rows[i], i > 0 ? &rows[i - 1] : NULL,
                     1 + (size_t)rng_below(&rng, ROW_KEY_BYTES_MAX), value_bytes, &rng);
        struct slice packed = pack(ROWS, value_bytes);
        struct packed_row row = {.key_bytes = 0};
        for (uint32_t i = 0; i < ROWS; i++) {
            assert_int_equal(packed_row_read(&packed, value_bytes, &row), STATUS_OK);
            assert_true(slice_equal(key_of(&row), key_of(&rows[i])));
            assert_memory_equal(row.value, rows[i].value, value_bytes);
        }
        assert_int_equal(packed.size, 0);
    }
}

static void the_bytes_are_these(void **state)
{
    (void)state;
    static const uint8_t golden[] = {0, 3, 0, 0xa2, 'a', 'b', 2, 0x01, 0x02, 0, /* "ab", 0x201, 0 */
                                     2, 1, 0, 'c',  0,   8,   0, 0,    0,    0,
                                     0, 0, 0, 0x80}; /* "ac", 0, 2^63 */
    rows[0] = (struct packed_row){.key_bytes = 3, .key = {0xa2, 'a', 'b'}, .value = {1, 2}};
    rows[1] = (struct packed_row){.key_bytes = 3, .key = {0xa2, 'a', 'c'}};
    rows[1].value[15] = 0x80;
    struct slice packed = pack(2, 16);
    assert_int_equal(packed.size, sizeof golden);
    assert_memory_equal(packed.data, golden, sizeof golden);
}

static void what_cannot_be_a_row_is_malformed(void **state)
{
    (void)state;
    static const uint8_t more_shared[] = {1, 0, 0, 0}; /* than the key before has */
    static const uint8_t long_rest[] = {0, 1, 2, 0};   /* 513 bytes */
    static const uint8_t long_word[] = {0, 0, 0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct slice cases[] = {{more_shared, sizeof more_shared},
                                  {long_rest, sizeof long_rest},
                                  {long_word, sizeof long_word}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct packed_row row = {.key_bytes = 0};
        struct slice packed = cases[i];
        assert_int_equal(packed_row_read(&packed, 8, &row), STATUS_MALFORMED);
    }
}

static void a_row_that_is_cut_is_malformed(void **state)
{
    (void)state;
    rows[0] = (struct packed_row){.key_bytes = 3, .key = {0xa2, 'a', 'b'}, .value = {1, 2}};
    struct slice whole = pack(1, 8);
    for (size_t size = 0; size < whole.size; size++) {
        struct packed_row row = {.key_bytes = 0};
        struct slice cut = {whole.data, size};
        assert_int_equal(packed_row_read(&cut, 8, &row), STATUS_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_all_sizes_come_back),
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(what_cannot_be_a_row_is_malformed),
        cmocka_unit_test(a_row_that_is_cut_is_malformed),
    };
    return cmocka_run_group_tests_name("packed_row", tests, NULL, NULL);
}
