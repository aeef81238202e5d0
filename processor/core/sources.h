/* sources: who has submitted, where each source stands in its sequences, and which of its last
 * sequences were refused.
 *
 * Slots are numbered in the order of arrival and stay for ever. The verdicts are a ring of one bit
 * per sequence, made at a source's first refusal: a source without one has all accepted.
 * Owned by the state. Not thread-safe.
 */
#ifndef WEIR_PROCESSOR_CORE_SOURCES_H
#define WEIR_PROCESSOR_CORE_SOURCES_H

#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/table.h"
#include "processor/core/state.h"

enum { VERDICT_WORDS = VERDICTS_KEPT / 64 };

struct source {
    uint8_t *name; /* name_size bytes */
    uint64_t hash; /* of the name, keyed */
    uint64_t epoch;
    uint64_t last_sequence;
    uint64_t *refused; /* VERDICT_WORDS words, bit = sequence mod VERDICTS_KEPT; NULL: none yet */
    uint32_t name_size;
};

struct sources {
    struct hash_seed seed;
    struct table table; /* name → slot */
    struct source *items;
    uint32_t count;
    uint32_t capacity;
};

void sources_init(struct sources *sources, const struct hash_seed *seed);
void sources_fini(struct sources *sources);

/* The slot, or SOURCE_NONE. */
uint32_t sources_find(const struct sources *sources, struct slice name);
/* Enters a name that sources_find did not find. FULL above SOURCES_MAX; NO_MEMORY. */
MUST_USE enum status sources_enter(struct sources *sources, struct slice name, uint32_t *ret_slot);

/* Uses the next sequence of a source, which was accepted. */
void source_accept(struct source *source, uint64_t sequence);
/* Uses the next `count` sequences, which were refused. NO_MEMORY. */
MUST_USE enum status source_refuse(struct source *source, uint64_t first_sequence, uint64_t count);
/* Brings back where a source stood. `refused` is taken over; NULL: all accepted. */
void source_restore(struct source *source, uint64_t epoch, uint64_t last_sequence,
                    uint64_t *refused);
/* The verdict of a sequence from 1 to last_sequence. */
enum verdict source_verdict(const struct source *source, uint64_t sequence);

#endif
