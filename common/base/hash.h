/* hash: the hashes of Weir, each for one purpose.
 *
 *   crc32c        guards stored bytes against damage     (isa-l, CRC-32C of RFC 3720)
 *   hash_keyed    places untrusted keys in hash tables   (siphash.h, SipHash-1-3, secret seed)
 *   digest        sums up rows or state for comparison   (libxxhash, XXH3-128 seed 0, mod 2^128)
 *   hash_content  recognises bytes seen before           (libxxhash, XXH3-64)
 *
 * No state but the caller's; thread-safe.
 */
#ifndef WEIR_COMMON_BASE_HASH_H
#define WEIR_COMMON_BASE_HASH_H

#include <stdint.h>

#include "common/base/buffer.h"

/* CRC-32C; `crc` is 0 for the first piece, then what the piece before returned. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

enum { HASH_SEED_BYTES = 16 };
struct hash_seed {
    uint8_t bytes[HASH_SEED_BYTES];
};
/* A secret seed from the kernel. */
void hash_seed_random(struct hash_seed *ret_seed);
uint64_t hash_keyed(const struct hash_seed *seed, const void *bytes, size_t size);

/* 128 bits of XXH3, for telling keys apart by their hash alone. The seed makes collisions hard to
 * aim for; against who knows it nothing is promised. */
struct hash_wide {
    uint64_t low, high;
};
struct hash_wide hash_wide(uint64_t seed, const void *bytes, size_t size);

/* A sum mod 2^128: adding and taking away rows in any order gives the same digest. */
struct digest {
    uint64_t low, high;
};
void digest_add(struct digest *digest, const void *bytes, size_t size);
void digest_subtract(struct digest *digest, const void *bytes, size_t size);
enum { DIGEST_HEX_BYTES = 33 };
/* 32 hexadecimal digits, high half first. */
void digest_hex(const struct digest *digest, char ret_hex[DIGEST_HEX_BYTES]);

/* 64-bit XXH3 in pieces, for the acknowledged prefix of an upload: `previous` is 0 for the first
 * piece, then what the piece before returned (it is the seed, so the hash depends on where the
 * pieces end: cut at line ends). Not secret. */
uint64_t hash_content(uint64_t previous, const void *bytes, size_t size);

#endif
