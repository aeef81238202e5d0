/* rng: a small seeded generator for workloads, back-off and tests (xoshiro256**, Blackman and
 * Vigna, seeded by splitmix64). Never for secrets. The same seed gives the same numbers for ever.
 */
#ifndef WEIR_COMMON_BASE_RNG_H
#define WEIR_COMMON_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state[4];
};
void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* 0 … bound − 1, without bias that matters; bound ≥ 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* A seed from the kernel, for when the user names none. */
uint64_t rng_seed_random(void);

#endif
