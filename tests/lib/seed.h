/* seed: numbers that a test takes from the environment, and the seed of random tests.
 *
 * A random test prints its seed, so that a failure can be run again: WEIR_SEED=… test_name.
 */
#ifndef WEIR_TESTS_LIB_SEED_H
#define WEIR_TESTS_LIB_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/rng.h"

/* The number in the environment variable `name`, else `fallback`. */
static inline uint64_t test_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : fallback;
}

/* WEIR_SEED, else `fallback`; prints it. */
static inline uint64_t test_seed(uint64_t fallback)
{
    uint64_t seed = test_number("WEIR_SEED", fallback);
    printf("WEIR_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* A generator whose seed is WEIR_SEED, else one from the kernel; prints it. */
static inline struct rng test_rng(void)
{
    struct rng rng;
    rng_init(&rng, test_seed(rng_seed_random()));
    return rng;
}

#endif
