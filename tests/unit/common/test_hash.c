#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/siphash.h"

static void crc32c_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32];

    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
    memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}

#if defined(__x86_64__)
/* Does the processor say which vector registers are in use (XGETBV with ECX = 1)? */
static bool upper_halves_are_known(void)
{
    uint32_t a = 1, b, c = 0, d;
    if (!__builtin_cpu_supports("avx") || __builtin_cpu_is("amd"))
        return false;
    __asm__ volatile("xorl %%eax, %%eax; cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (a < 0xd)
        return false;
    a = 0xd;
    c = 1;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (a & 1u << 2) != 0;
}

static bool upper_halves_are_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low & 1u << 2) != 0;
}
#endif

/* Otherwise what this thread does next is several times slower. */
static void crc32c_leaves_no_vector_register_in_use(void **state)
{
    (void)state;
#if defined(__x86_64__)
    static char bytes[64 * 1024];
    if (!upper_halves_are_known())
        skip();
    for (size_t size = 1; size <= sizeof bytes; size *= 2) {
        volatile uint32_t crc = crc32c(0, bytes, size);
        (void)crc;
        assert_false(upper_halves_are_in_use());
    }
#else
    skip();
#endif
}

static void crc32c_of_pieces_is_that_of_the_whole(void **state)
{
    (void)state;
    const char text[] = "a batch is a self-contained byte string with a number";
    uint32_t whole = crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        uint32_t first = crc32c(0, text, cut);
        assert_int_equal(crc32c(first, text + cut, sizeof text - cut), whole);
    }
}

static void siphash_gives_the_published_values(void **state)
{
    (void)state;
    struct hash_seed seed;
    uint8_t message[15];
    for (unsigned i = 0; i < HASH_SEED_BYTES; i++)
        seed.bytes[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;

    /* Aumasson and Bernstein, SipHash, appendix A; and the first of their test vectors */
    assert_true(siphash(seed.bytes, message, sizeof message, 2, 4) == 0xa129ca6149be45e5ULL);
    assert_true(siphash(seed.bytes, NULL, 0, 2, 4) == 0x726fdb47dd0e0e31ULL);
    /* The first of the vectors for 1-3 in Rust's standard library. */
    assert_true(siphash(seed.bytes, NULL, 0, 1, 3) == 0xabac0158050fc4dcULL);
    assert_true(siphash(seed.bytes, message, 1, 1, 3) == 0xc9f49bf37d57ca93ULL);
    assert_true(hash_keyed(&seed, message, 1) == 0xc9f49bf37d57ca93ULL);
}

static void seeds_from_the_kernel_differ(void **state)
{
    (void)state;
    struct hash_seed a, b;

    hash_seed_random(&a);
    hash_seed_random(&b);

    assert_memory_not_equal(a.bytes, b.bytes, HASH_SEED_BYTES);
    assert_true(hash_keyed(&a, "key", 3) != hash_keyed(&b, "key", 3));
}

static void a_digest_of_one_row_is_xxh3_128(void **state)
{
    (void)state;
    struct digest digest = {0, 0};
    char hex[DIGEST_HEX_BYTES];

    digest_hex(&digest, hex);
    assert_string_equal(hex, "00000000000000000000000000000000");
    digest_add(&digest, "", 0);
    digest_hex(&digest, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void a_digest_does_not_depend_on_the_order_of_rows(void **state)
{
    (void)state;
    struct digest one = {0, 0}, other = {0, 0};

    digest_add(&one, "row 1", 5);
    digest_add(&one, "row 2", 5);
    digest_add(&one, "row 3", 5);
    digest_add(&other, "row 3", 5);
    digest_add(&other, "row 9", 5);
    digest_add(&other, "row 1", 5);
    digest_subtract(&other, "row 9", 5);
    digest_add(&other, "row 2", 5);

    assert_true(one.low == other.low && one.high == other.high);
}

static void a_digest_carries_and_borrows_between_its_halves(void **state)
{
    (void)state;
    struct digest digest = {0, 0};
    char hex[DIGEST_HEX_BYTES];

    digest_subtract(&digest, "", 0);
    digest_hex(&digest, hex);
    assert_string_equal(hex, "6655f92cfeb867279ffe3cdbb972b681");
    for (unsigned i = 0; i < 1000; i++)
        digest_add(&digest, "x", 1);
    for (unsigned i = 0; i < 1000; i++)
        digest_subtract(&digest, "x", 1);
    digest_add(&digest, "", 0);
    assert_true(digest.low == 0 && digest.high == 0);
}

static void hash_content_is_xxh3_64_chained_by_its_seed(void **state)
{
    (void)state;
    uint64_t first = hash_content(0, "line 1\n", 7);

    assert_true(hash_content(0, "", 0) == 0x2d06800538d394c2ULL);
    assert_true(hash_content(first, "line 2\n", 7) != hash_content(0, "line 2\n", 7));
    assert_true(hash_content(first, "line 2\n", 7) ==
                hash_content(hash_content(0, "line 1\n", 7), "line 2\n", 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_published_values),
        cmocka_unit_test(crc32c_leaves_no_vector_register_in_use),
        cmocka_unit_test(crc32c_of_pieces_is_that_of_the_whole),
        cmocka_unit_test(siphash_gives_the_published_values),
        cmocka_unit_test(seeds_from_the_kernel_differ),
        cmocka_unit_test(a_digest_of_one_row_is_xxh3_128),
        cmocka_unit_test(a_digest_does_not_depend_on_the_order_of_rows),
        cmocka_unit_test(a_digest_carries_and_borrows_between_its_halves),
        cmocka_unit_test(hash_content_is_xxh3_64_chained_by_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
