/* state_struct: the state laid open, for the files of this folder only. */
#ifndef WEIR_PROCESSOR_CORE_STATE_STRUCT_H
#define WEIR_PROCESSOR_CORE_STATE_STRUCT_H

#include "processor/core/limiter.h"
#include "processor/core/sources.h"
#include "processor/core/state.h"

struct state {
    struct hash_seed seed; /* secret, of the log; places keys in tables, decides nothing */
    struct policy_set *policies;
    struct limiter limiters[POLICIES_MAX]; /* one per policy, in the order of the set */
    struct sources sources;
    struct position position;
    uint64_t digest_sum; /* state_digest.h */
    uint64_t expired_ns; /* time of the last tick or decision: what ended by then is forgotten */
};

#endif
