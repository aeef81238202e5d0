/* policy_setting: the settings of one policy ("quota", "window", …) in one table, so that the INI
 * reader, the INI writer and --limit know the same settings in the same order.
 *
 * Private to this folder. Pure.
 */
#ifndef WEIR_COMMON_POLICY_POLICY_SETTING_H
#define WEIR_COMMON_POLICY_POLICY_SETTING_H

#include "common/policy/policy.h"

/* A policy that is being read: bit i of `seen` is set once setting i was given. */
struct policy_draft {
    struct policy *policy;
    uint32_t seen;
};

/* Starts policy number set->count, all defaults; the name must be new. The policy belongs to the
 * set once policy_draft_finish adds it. Failures are STATUS_CONFIG with a reason, without a place.
 */
MUST_USE enum status policy_draft_start(struct policy_set *set, struct slice name,
                                        struct policy_draft *ret_draft, struct detail *ret_detail);
/* Sets `key` from text; unknown, repeated and ill-formed settings are STATUS_CONFIG. */
MUST_USE enum status policy_draft_set(struct policy_draft *draft, const char *key,
                                      const char *value, struct detail *ret_detail);
/* Checks that nothing needed is missing and counts the policy into the set. */
MUST_USE enum status policy_draft_finish(struct policy_set *set, const struct policy_draft *draft,
                                         struct detail *ret_detail);

/* Writes set->text from set->items. STATUS_CONFIG when longer than POLICY_TEXT_BYTES_MAX. */
MUST_USE enum status policy_set_render(struct policy_set *set, struct detail *ret_detail);

#endif
