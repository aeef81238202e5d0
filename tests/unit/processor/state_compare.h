/* state_compare: are two states the same, as far as decisions can tell? */
#ifndef WEIR_TESTS_STATE_COMPARE_H
#define WEIR_TESTS_STATE_COMPARE_H

#include "processor/core/state.h"

/* Two states that folded the same log: positions, sources, verdicts, keys and units, and the
 * decisions on random candidates from `now_ns` on. That is not before the last tick: the live state
 * has seen those of idle turns, which leave nothing in the log. */
void states_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed);

#endif
