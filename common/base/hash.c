#include "common/base/hash.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <xxhash.h>

#include "common/base/siphash.h"

/* isa-l's crc32_iscsi leaves the upper halves of the vector registers in use (2.30, where it takes
 * AVX-512); until they are cleared, SSE code of this thread (libxxhash, memcpy, ours) runs at a
 * third to a sixth of its speed. The ABI has a function clear them before it returns. */
static void clear_upper_halves(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroupper" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
#endif
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
    /* isa-l wants an int, no const (it only reads) and leaves the complements to its caller. */
    unsigned char *at = (unsigned char *)bytes;
    uint32_t inverted = ~crc;
    while (size > 0) {
        int piece = size > INT_MAX ? INT_MAX : (int)size;
        inverted = crc32_iscsi(at, piece, inverted);
        at += piece;
        size -= (size_t)piece;
    }
    clear_upper_halves();
    return ~inverted;
}

void hash_seed_random(struct hash_seed *ret_seed)
{
    int failed = getentropy(ret_seed->bytes, sizeof ret_seed->bytes);
    assert(failed == 0); /* so few bytes cannot fail on a kernel that has the call */
    (void)failed;
}

uint64_t hash_keyed(const struct hash_seed *seed, const void *bytes, size_t size)
{
    return siphash(seed->bytes, bytes, size, 1, 3);
}

struct hash_wide hash_wide(uint64_t seed, const void *bytes, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, size, seed);
    return (struct hash_wide){hash.low64, hash.high64};
}

void digest_add(struct digest *digest, const void *bytes, size_t size)
{
    XXH128_hash_t row = XXH3_128bits(bytes, size);
    digest->low += row.low64;
    digest->high += row.high64 + (digest->low < row.low64);
}

void digest_subtract(struct digest *digest, const void *bytes, size_t size)
{
    XXH128_hash_t row = XXH3_128bits(bytes, size);
    uint64_t borrow = digest->low < row.low64;
    digest->low -= row.low64;
    digest->high -= row.high64 + borrow;
}

void digest_hex(const struct digest *digest, char ret_hex[DIGEST_HEX_BYTES])
{
    snprintf(ret_hex, DIGEST_HEX_BYTES, "%016llx%016llx", (unsigned long long)digest->high,
             (unsigned long long)digest->low);
}

uint64_t hash_content(uint64_t previous, const void *bytes, size_t size)
{
    return XXH3_64bits_withSeed(bytes, size, previous);
}
