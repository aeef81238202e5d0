/* proof: the windows of a whole log, proved by an algorithm that shares nothing with the limiter's
 * (proof_windows.h).
 *
 *     after each acceptance    the costs in (t − window, t] sum to at most the quota
 *     at each refusal          they would not have, with what was refused; the policy named is the
 *                              one with the longest wait, and the wait is right to the ns
 *
 * Only what is common to all who read a log is shared: which policies match an event, its key and
 * its cost (common/policy). Shadow policies refuse nothing and are left out. A cost of 0 passes and
 * spends nothing. When other policies come into force their windows are filled with all that was
 * accepted in the last window, policies that stay too.
 *
 * Events are prepared in groups, so that the cache misses of a group overlap. Belongs to one
 * thread.
 */
#ifndef WEIR_PROCESSOR_TOOLS_PROOF_H
#define WEIR_PROCESSOR_TOOLS_PROOF_H

#include "common/policy/policy.h"
#include "common/wire/record.h"

enum { PROOF_GROUP_MAX = 64 };

struct proof;

struct proof *proof_new(void);
void proof_destroy(struct proof **proof);

/* These policies are in force from here on, with empty windows. NO_MEMORY. */
MUST_USE enum status proof_set_policies(struct proof *proof, const struct policy_set *policies);
/* The longest window of an enforcing policy; 0: there is none. */
uint64_t proof_longest_window_ns(const struct proof *proof);
/* Fills: what was accepted before these policies came into force, oldest first. NO_MEMORY. */
MUST_USE enum status proof_fill(struct proof *proof, const struct accepted_record *record);

/* Works out what the event at `index` of a group would spend, and brings the places of its windows
 * towards the cache. The events of a group are prepared in the order of their indices, from 0. */
void proof_prepare(struct proof *proof, uint32_t index, struct slice source,
                   const struct event *event);
/* Second step: brings the windows' entries. It may be left out. */
void proof_prefetch(const struct proof *proof, uint32_t index);
/* The prepared event was accepted at `now_ns`. INVALID: that breaks a window, or a field that a
 * policy needs is missing; NO_MEMORY. */
MUST_USE enum status proof_accept(struct proof *proof, uint32_t index, uint64_t now_ns,
                                  struct detail *ret_what);

/* The event, refused as rate_limited with this record, does not fit. INVALID: it does, or the
 * record names another policy, key or wait. */
MUST_USE enum status proof_refuse(struct proof *proof, const struct rejection *rejection,
                                  const struct event *event, struct detail *ret_what);

#endif
