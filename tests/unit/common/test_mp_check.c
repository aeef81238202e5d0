/* The check of untrusted MessagePack against two oracles that are built quite differently:
 * msgpack-c unpacks the bytes to a tree, and a plain recursion over that tree repeats the rules.
 *
 * WEIR_ROUNDS: random items (default 30,000).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack/unpack.h>

#include "common/event/codec.h"
#include "common/event/mp.h"
#include "tests/lib/naive_utf8.h"
#include "tests/lib/seed.h"
#include "tests/unit/common/golden.h"

enum {
    ITEM_BYTES_MAX = 256 * 1024,
    UNPACK_DEPTH_MAX = 31, /* msgpack-c refuses to unpack deeper */
    MUTATIONS = 8,
};

static struct buffer item;
static uint64_t seen[3]; /* items that were fit to be data, whole but not fit, malformed */

static int init(void **state)
{
    (void)state;
    buffer_init(&item, ITEM_BYTES_MAX);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    buffer_fini(&item);
    return 0;
}

/* ---- random items ---- */

static void put_random_text(struct rng *rng)
{
    static const char *const texts[] = {"",  "a",   "b",    "key",  "a longer key than eight",
                                        "é", "a\0", "€uro", "\xff", "\xed\xa0\x80"};
    uint64_t choice = rng_below(rng, 60);
    const char *text = texts[choice < 10 ? choice : choice % 5];
    codec_text(&item, text);
}

static void put_random_scalar(struct rng *rng)
{
    static const double doubles[] = {0.5, -1e300, INFINITY, NAN};
    static const uint8_t ext[] = {0xd4, 0x01, 0x02};
    switch (rng_below(rng, 40)) {
    case 0:
        codec_bin(&item, slice_of_text("bin"));
        break;
    case 1:
        buffer_append(&item, ext, sizeof ext);
        break;
    case 2:
        codec_float(&item, doubles[rng_below(rng, 4)]);
        break;
    case 3:
        buffer_append(&item, "\xca\x7f\x80\x00\x00", 5); /* float 32, infinity */
        break;
    case 4:
    case 5:
        codec_nil(&item);
        break;
    case 6:
    case 7:
        codec_bool(&item, rng_below(rng, 2) == 0);
        break;
    case 8:
    case 9:
        codec_float(&item, (double)rng_below(rng, 1000) / 8);
        break;
    default:
        if (rng_below(rng, 2) == 0)
            codec_int(&item, (int64_t)rng_next(rng) >> rng_below(rng, 64));
        else
            put_random_text(rng);
    }
}

static void put_random(struct rng *rng, unsigned depth);

static void put_random_map(struct rng *rng, unsigned depth)
{
    uint32_t pairs = (uint32_t)rng_below(rng, rng_below(rng, 8) == 0 ? 30 : 6);
    bool distinct = rng_below(rng, 4) != 0;
    codec_map(&item, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        char key[32];
        snprintf(key, sizeof key, rng_below(rng, 2) == 0 ? "k%u" : "a_long_key_%u", (unsigned)i);
        if (distinct)
            codec_text(&item, key);
        else if (rng_below(rng, 30) == 0)
            put_random_scalar(rng);
        else
            put_random_text(rng);
        put_random(rng, depth + 1);
    }
}

static void put_random(struct rng *rng, unsigned depth)
{
    uint64_t choice = rng_below(rng, 10);
    if (depth > 9 || item.size > 2000 || choice < 6) {
        put_random_scalar(rng);
    } else if (choice < 9) {
        put_random_map(rng, depth);
    } else {
        uint32_t count = (uint32_t)rng_below(rng, 5);
        codec_array(&item, count);
        for (uint32_t i = 0; i < count; i++)
            put_random(rng, depth + 1);
    }
}

/* ---- the oracles ---- */

static bool naive_text(const msgpack_object *object)
{
    return naive_utf8((const uint8_t *)object->via.str.ptr, object->via.str.size);
}

static bool naive_same(const msgpack_object *a, const msgpack_object *b)
{
    uint32_t size = a->via.str.size;
    return size == b->via.str.size &&
           (size == 0 || memcmp(a->via.str.ptr, b->via.str.ptr, size) == 0);
}

static bool naive_value(const msgpack_object *object, unsigned depth);

static bool naive_map(const msgpack_object *object, unsigned depth)
{
    const msgpack_object_kv *pairs = object->via.map.ptr;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        if (pairs[i].key.type != MSGPACK_OBJECT_STR || !naive_text(&pairs[i].key) ||
            !naive_value(&pairs[i].val, depth))
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (naive_same(&pairs[i].key, &pairs[j].key))
                return false;
        }
    }
    return true;
}

/* `depth`: maps and arrays around the value. */
static bool naive_value(const msgpack_object *object, unsigned depth)
{
    switch (object->type) {
    case MSGPACK_OBJECT_MAP:
        return depth < MP_DATA_DEPTH_MAX && naive_map(object, depth + 1);
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < object->via.array.size; i++) {
            if (!naive_value(&object->via.array.ptr[i], depth + 1))
                return false;
        }
        return depth < MP_DATA_DEPTH_MAX;
    case MSGPACK_OBJECT_STR:
        return naive_text(object);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return isfinite(object->via.f64) != 0;
    case MSGPACK_OBJECT_BIN:
    case MSGPACK_OBJECT_EXT:
        return false;
    default:
        return true;
    }
}

static bool naive_attributes(const msgpack_object *object)
{
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        if (object->via.map.ptr[i].val.type != MSGPACK_OBJECT_STR)
            return false;
    }
    return naive_value(object, 0);
}

/* Whether msgpack-c may be asked about bytes that are not whole: a header of 32 or 16 bits could
 * make it allocate without need. */
static bool has_large_header(struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] >= 0xdc && bytes.data[i] <= 0xdf)
            return true;
    }
    return false;
}

static unsigned naive_depth(struct slice bytes)
{
    unsigned depth = 0; /* an upper bound: the number of bytes that could open a container */
    for (size_t i = 0; i < bytes.size; i++)
        depth += (bytes.data[i] >= 0x80 && bytes.data[i] <= 0x9f) ||
                 (bytes.data[i] >= 0xdc && bytes.data[i] <= 0xdf);
    return depth;
}

/* A copy without slack, so that AddressSanitizer sees one byte too many. */
static void compare_with_oracles(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    assert_non_null(copy);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    struct mp_reader skipped = {copy, copy + bytes.size}, data = skipped, attributes = skipped;
    enum status skip_status = mp_skip(&skipped);
    enum status data_status = mp_check_data(&data, copy, NULL);
    enum status attributes_status = mp_check_attributes(&attributes, copy, NULL);

    if (skip_status == STATUS_OK || !has_large_header(bytes)) {
        size_t offset = 0;
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        msgpack_unpack_return result =
            msgpack_unpack_next(&unpacked, (const char *)copy, bytes.size, &offset);
        if (result == MSGPACK_UNPACK_NOMEM_ERROR) {
            assert_true(naive_depth(bytes) > UNPACK_DEPTH_MAX);
        } else if (skip_status == STATUS_OK) {
            bool is_map = unpacked.data.type == MSGPACK_OBJECT_MAP;
            bool fit = is_map && naive_value(&unpacked.data, 0);
            bool fit_attributes = is_map && naive_attributes(&unpacked.data);
            assert_int_equal(result, MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(offset, skipped.at - copy);
            assert_int_equal(data_status, fit ? STATUS_OK : STATUS_INVALID);
            assert_int_equal(attributes_status, fit_attributes ? STATUS_OK : STATUS_INVALID);
            assert_ptr_equal(data.at, fit ? skipped.at : copy);
            assert_ptr_equal(attributes.at, fit_attributes ? skipped.at : copy);
        } else {
            assert_int_not_equal(result, MSGPACK_UNPACK_SUCCESS);
        }
        msgpack_unpacked_destroy(&unpacked);
    }
    seen[data_status == STATUS_OK ? 0 : data_status == STATUS_INVALID ? 1 : 2]++;
    if (skip_status != STATUS_OK) {
        assert_int_equal(skip_status, STATUS_MALFORMED);
        assert_int_equal(data_status, STATUS_MALFORMED);
        assert_int_equal(attributes_status, STATUS_MALFORMED);
        assert_ptr_equal(skipped.at, copy);
    }
    free(copy);
}

static void agrees_with_the_tree_on_random_items_and_their_mutations(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 30000);
    for (uint64_t i = 0; i < rounds; i++) {
        buffer_clear(&item);
        if (rng_below(&rng, 8) == 0)
            put_random(&rng, 0);
        else
            put_random_map(&rng, 0);
        assert_int_equal(item.status, STATUS_OK);
        compare_with_oracles(buffer_slice(&item));
        for (unsigned j = 0; j < MUTATIONS && item.size > 0; j++) {
            golden_spoil(&rng, &item);
            compare_with_oracles(buffer_slice(&item));
        }
    }
    printf("fit %" PRIu64 ", not fit %" PRIu64 ", malformed %" PRIu64 "\n", seen[0], seen[1],
           seen[2]);
    assert_true(rounds < 100 || (seen[0] > 0 && seen[1] > 0 && seen[2] > 0));
}

static void agrees_with_the_tree_on_random_bytes(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    uint64_t rounds = test_number("WEIR_ROUNDS", 30000);
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t bytes[48];
        size_t size = rng_below(&rng, sizeof bytes + 1);
        for (size_t j = 0; j < size; j++)
            bytes[j] = (uint8_t)rng_next(&rng);
        compare_with_oracles((struct slice){bytes, size});
    }
}

/* ---- the rules one by one ---- */

static void assert_check(const char *bytes, size_t size, enum status status, const char *text)
{
    struct mp_reader reader = mp_reader_of((struct slice){(const uint8_t *)bytes, size});
    struct detail detail = {""};
    assert_int_equal(mp_check_data(&reader, (const uint8_t *)bytes, &detail), status);
    assert_string_equal(detail.text, text);
}

#define CHECK(bytes, status, text) assert_check(bytes, sizeof(bytes) - 1, status, text)

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    CHECK("\x80", STATUS_OK, "");
    CHECK("\x81\xa1k\x93\x01\xc0\xc2", STATUS_OK, "");
    CHECK("\x90", STATUS_INVALID, "data: not a map at byte 0");
    CHECK("\x81\x01\x02", STATUS_INVALID, "data: a key that is not a string at byte 1");
    CHECK("\x81\xa1\xff\x02", STATUS_INVALID, "data: a key that is not UTF-8 at byte 1");
    CHECK("\x82\xa1k\x01\xa1k\x02", STATUS_INVALID, "data: key 'k' appears twice at byte 5");
    CHECK("\x81\xa1k\xa1\xff", STATUS_INVALID, "data: a string that is not UTF-8 at byte 3");
    CHECK("\x81\xa1k\xc4\x00", STATUS_INVALID, "data: a bin, which is not allowed, at byte 3");
    CHECK("\x81\xa1k\xd4\x01\x02", STATUS_INVALID, "data: an ext, which is not allowed, at byte 3");
    CHECK("\x81\xa1k\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", STATUS_INVALID,
          "data: a number that is not finite at byte 3");
    CHECK("\x81\xa1k\xca\xff\x80\x00\x00", STATUS_INVALID,
          "data: a number that is not finite at byte 3");
    CHECK("\x81\xa1k\x91\x91\x91\x91\x91\x91\x90", STATUS_OK, "");
    CHECK("\x81\xa1k\x91\x91\x91\x91\x91\x91\x91\x90", STATUS_INVALID,
          "data: nested deeper than 8 at byte 10");
    CHECK("\x81\xa1k", STATUS_MALFORMED, "malformed: cut off at byte 3");
    CHECK("\x82\xa1k\xc0", STATUS_MALFORMED, "malformed: a length or count past the end at byte 0");
    CHECK("\x81\x01\xc1", STATUS_MALFORMED, "malformed: 0xc1, which is never used, at byte 2");
}

static void a_key_may_appear_again_in_another_map(void **state)
{
    (void)state;
    CHECK("\x82\xa1k\x81\xa1k\x01\xa1m\x81\xa1k\x81\xa1k\x02", STATUS_OK, "");
    CHECK("\x82\xa1k\x81\xa1k\x01\xa1k\x02", STATUS_INVALID,
          "data: key 'k' appears twice at byte 8");
}

static void attributes_are_strings_only(void **state)
{
    (void)state;
    const char bytes[] = "\x82\xa1k\xa1v\xa1m\x01";
    struct mp_reader reader = {(const uint8_t *)bytes, (const uint8_t *)bytes + sizeof bytes - 1};
    struct detail detail;

    assert_int_equal(mp_check_attributes(&reader, reader.at, &detail), STATUS_INVALID);
    assert_string_equal(detail.text, "attributes: a value that is not a string at byte 7");
}

static void put_large_map(uint32_t pairs, const char *last_key)
{
    buffer_clear(&item);
    codec_map(&item, pairs);
    for (uint32_t i = 0; i + 1 < pairs; i++) {
        char key[32];
        snprintf(key, sizeof key, "%x", (unsigned)i);
        codec_text(&item, key);
        codec_uint(&item, 1);
    }
    codec_text(&item, last_key);
    codec_uint(&item, 1);
}

static void assert_item(enum status status, const char *text)
{
    assert_int_equal(item.status, STATUS_OK);
    assert_check((const char *)item.data, item.size, status, text);
}

static void finds_a_repeated_key_in_maps_of_any_size(void **state)
{
    (void)state;
    const uint32_t sizes[] = {2, 8, 9, 16, 17, 1000, 30000, MP_MAP_PAIRS_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_large_map(sizes[i], "x");
        assert_item(STATUS_OK, "");
        char text[64];
        put_large_map(sizes[i], "0");
        snprintf(text, sizeof text, "data: key '0' appears twice at byte %zu", item.size - 2);
        assert_item(STATUS_INVALID, text);
    }
    put_large_map(MP_MAP_PAIRS_MAX + 1, "x");
    assert_item(STATUS_INVALID, "data: too many pairs in the map at byte 0");
}

static void large_maps_inside_large_maps_are_told_apart(void **state)
{
    (void)state;
    buffer_clear(&item);
    codec_map(&item, 10);
    for (unsigned i = 0; i < 10; i++) {
        char key[8];
        snprintf(key, sizeof key, "%u", i % 10);
        codec_text(&item, key);
        codec_map(&item, 10);
        for (unsigned j = 0; j < 10; j++) {
            snprintf(key, sizeof key, "%u", j % 10);
            codec_text(&item, key);
            codec_nil(&item);
        }
    }
    assert_item(STATUS_OK, "");
}

static void a_long_key_that_repeats_is_not_shown(void **state)
{
    (void)state;
    char key[66];
    memset(key, 'x', 65);
    key[65] = '\0';
    buffer_clear(&item);
    codec_map(&item, 2);
    codec_text(&item, key);
    codec_nil(&item);
    codec_text(&item, key);
    codec_nil(&item);
    assert_item(STATUS_INVALID, "data: a key of 65 bytes appears twice at byte 71");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_tree_on_random_items_and_their_mutations),
        cmocka_unit_test(agrees_with_the_tree_on_random_bytes),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(a_key_may_appear_again_in_another_map),
        cmocka_unit_test(attributes_are_strings_only),
        cmocka_unit_test(finds_a_repeated_key_in_maps_of_any_size),
        cmocka_unit_test(large_maps_inside_large_maps_are_told_apart),
        cmocka_unit_test(a_long_key_that_repeats_is_not_shown),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
