/* state_digest: the terms of the state's digest, for the files of this folder only.
 *
 * The digest is a sum mod 2^64 over what has ever been applied, so the order within a batch does
 * not matter (a fold applies refusals as runs, and later than they were decided):
 *
 *     accepted sequence    the source's hash, which makes last_sequence × hash
 *     refused sequences    the same, and edge (last) − edge (first − 1): as one run or one by one
 *     hello                a term of the source and its epoch, in the place of that of the old one
 *     spent charge         a term of the key's hash, the policy's number, time and cost
 *     policies             a term of their text and time, and of how full each filled window is
 *
 * What has left a window stays in the sum: expiry depends on time alone. The position is mixed in
 * when the digest is read. Hashes are keyed with the seed that comes from the log's secret salt, so
 * all who fold one log get the same digest and nobody else can aim at one.
 */
#ifndef WEIR_PROCESSOR_CORE_STATE_DIGEST_H
#define WEIR_PROCESSOR_CORE_STATE_DIGEST_H

#include "processor/core/sources.h"
#include "processor/core/state.h"

/* Mixes two words into one in which every bit depends on every bit (the finalizer of MurmurHash3
 * over their combination). */
static inline uint64_t digest_mix(uint64_t a, uint64_t b)
{
    uint64_t word = a ^ (b * 0x9e3779b97f4a7c15ULL);
    word ^= word >> 33;
    word *= 0xff51afd7ed558ccdULL;
    word ^= word >> 33;
    word *= 0xc4ceb9fe1a85ec53ULL;
    return word ^ word >> 33;
}

static inline uint64_t digest_of_spending(const struct candidate_charge *charge, uint64_t time_ns)
{
    return digest_mix(charge->hash + charge->policy,
                      time_ns + charge->cost * 0xd6e8feb86659fd93ULL);
}

/* The term that marks where a run of refusals ends. */
static inline uint64_t digest_of_edge(const struct source *source, uint64_t sequence)
{
    return digest_mix(~source->hash, sequence);
}

static inline uint64_t digest_of_refusals(const struct source *source, uint64_t first,
                                          uint64_t count)
{
    return count * source->hash + digest_of_edge(source, first + count - 1) -
           digest_of_edge(source, first - 1);
}

static inline uint64_t digest_of_epoch(const struct source *source)
{
    return source->epoch == 0 ? 0 : digest_mix(source->hash, source->epoch);
}

#endif
