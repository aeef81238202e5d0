/* siphash: SipHash-c-d for short keys, inlined where it is called (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012). Keyed: who does not know the key cannot make keys that
 * collide.
 *
 * Our own because it runs several times per event: libsodium's 2-4 takes about 180 instructions for
 * a short key, 1-3 inlined half of that. 1-3 is what several languages use for hash tables; 2-4 is
 * here for its published vectors.
 */
#ifndef WEIR_COMMON_BASE_SIPHASH_H
#define WEIR_COMMON_BASE_SIPHASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void siphash_rounds(struct siphash *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
        s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
        s->v0 = siphash_rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
        s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
        s->v2 = siphash_rotate(s->v2, 32);
    }
}

static inline uint64_t siphash_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

/* The `left` (0 to 7) bytes at `bytes`, the last of `size`, and the size in the highest byte. Where
 * there are eight bytes to read back from the end, one load and a shift: a copy of so many bytes as
 * happen to be left is a call. */
static inline uint64_t siphash_tail(const uint8_t *bytes, size_t left, size_t size)
{
    uint64_t word = 0;
    if (left > 0 && size >= sizeof word)
        word = siphash_word(bytes + left - sizeof word) >> (8 * (sizeof word - left));
    else
        for (size_t i = 0; i < left; i++)
            word |= (uint64_t)bytes[i] << (8 * i);
    return word | (uint64_t)size << 56;
}

/* `key` has 16 bytes. */
static inline uint64_t siphash(const uint8_t *key, const uint8_t *bytes, size_t size,
                               unsigned compression, unsigned finalization)
{
    uint64_t k0 = siphash_word(key), k1 = siphash_word(key + 8);
    struct siphash s = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                        k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL};
    size_t left = size;
    for (; left >= 8; left -= 8, bytes += 8) {
        uint64_t word = siphash_word(bytes);
        s.v3 ^= word;
        siphash_rounds(&s, compression);
        s.v0 ^= word;
    }
    uint64_t word = siphash_tail(bytes, left, size);
    s.v3 ^= word;
    siphash_rounds(&s, compression);
    s.v0 ^= word;
    s.v2 ^= 0xff;
    siphash_rounds(&s, finalization);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
