#include "common/base/rng.h"

#include <assert.h>
#include <unistd.h>

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

/* https://prng.di.unimi.it/splitmix64.c */
static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void rng_init(struct rng *rng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&seed);
}

/* https://prng.di.unimi.it/xoshiro256starstar.c */
uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The upper half of random × bound (Lemire): for bound ≤ 2^32 the bias is below 2^-32. */
uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    assert(bound >= 1);
    uint64_t random = rng_next(rng);
    if (bound <= UINT32_MAX)
        return ((random >> 32) * bound) >> 32;
    return random % bound;
}

uint64_t rng_seed_random(void)
{
    uint64_t seed;
    int failed = getentropy(&seed, sizeof seed);
    assert(failed == 0); /* so few bytes cannot fail on a kernel that has the call */
    (void)failed;
    return seed;
}
