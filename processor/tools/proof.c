#include "processor/tools/proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "processor/tools/proof_windows.h"

enum { KEY_BYTES_MAX = 2 + POLICY_KEY_BYTES_MAX };
#define NEVER UINT64_MAX

struct spending {
    struct hash_wide id; /* of the key under this policy */
    uint64_t cost;
    uint32_t policy;
};

/* An event of the group. */
struct prepared {
    enum status status;    /* INVALID: a field is missing */
    uint32_t first, count; /* of its spendings */
};

struct proof {
    struct policy_set policies;
    uint64_t seed; /* of the keys' hashes */
    struct proof_windows windows;
    uint64_t longest_ns;
    struct prepared group[PROOF_GROUP_MAX];
    struct spending spendings[PROOF_GROUP_MAX * POLICIES_MAX]; /* one event's behind another's */
    struct detail details[PROOF_GROUP_MAX];                    /* where the status is not OK */
    struct spending spent[POLICIES_MAX];                       /* scratch */
    struct buffer key;                                         /* scratch */
};

/* ---- life ---- */

struct proof *proof_new(void)
{
    struct proof *proof = calloc(1, sizeof *proof);
    if (proof == NULL)
        return NULL;
    buffer_init(&proof->key, 2 * POLICY_KEY_BYTES_MAX);
    proof->seed = rng_seed_random();
    if (proof_windows_init(&proof->windows) != STATUS_OK)
        proof_destroy(&proof);
    return proof;
}

void proof_destroy(struct proof **proof)
{
    if (*proof == NULL)
        return;
    proof_windows_fini(&(*proof)->windows);
    buffer_fini(&(*proof)->key);
    free(*proof);
    *proof = NULL;
}

enum status proof_set_policies(struct proof *proof, const struct policy_set *policies)
{
    proof_windows_fini(&proof->windows);
    proof->policies = *policies;
    proof->longest_ns = 0;
    for (uint32_t i = 0; i < policies->count; i++)
        if (policies->items[i].mode == POLICY_ENFORCE &&
            policies->items[i].window_ns > proof->longest_ns)
            proof->longest_ns = policies->items[i].window_ns;
    return proof_windows_init(&proof->windows);
}

uint64_t proof_longest_window_ns(const struct proof *proof)
{
    return proof->longest_ns;
}

/* ---- events ---- */

static struct hash_wide id_of(const struct proof *proof, uint32_t policy,
                              const struct policy_key_value *key)
{
    uint8_t bytes[KEY_BYTES_MAX];
    size_t size;
    bytes[0] = (uint8_t)policy;
    bytes[1] = key->is_text ? 0 : key->is_negative ? 1 : 2;
    if (key->is_text) {
        size = key->text.size;
        if (size > 0)
            memcpy(bytes + 2, key->text.data, size);
    } else {
        size = sizeof key->bits;
        memcpy(bytes + 2, &key->bits, size);
    }
    return hash_wide(proof->seed, bytes, size + 2);
}

/* What the event would spend. Without `ret_detail`, a policy that cannot charge it is passed over:
 * it was accepted before that policy was there. INVALID: a field is missing. */
static enum status spendings_find(const struct proof *proof, struct slice source,
                                  const struct event *event, struct spending *ret_spendings,
                                  uint32_t *ret_count, struct detail *ret_detail)
{
    uint32_t count = 0;
    *ret_count = 0;
    for (uint32_t i = 0; i < proof->policies.count; i++) {
        const struct policy *policy = &proof->policies.items[i];
        struct charge charge;
        if (policy->mode != POLICY_ENFORCE || !policy_matches(policy, event->type))
            continue;
        enum status status = policy_charge(policy, source, event, &charge, ret_detail);
        if (status == STATUS_OK) {
            struct spending *spending = &ret_spendings[count++];
            spending->id = id_of(proof, i, &charge.key);
            spending->cost = charge.cost;
            spending->policy = i;
        } else if (ret_detail != NULL) {
            return STATUS_INVALID;
        }
    }
    *ret_count = count;
    return STATUS_OK;
}

void proof_prepare(struct proof *proof, uint32_t index, struct slice source,
                   const struct event *event)
{
    struct prepared *prepared = &proof->group[index];
    prepared->first = index == 0 ? 0 : prepared[-1].first + prepared[-1].count;
    struct spending *spendings = &proof->spendings[prepared->first];
    prepared->status =
        spendings_find(proof, source, event, spendings, &prepared->count, &proof->details[index]);
    for (uint32_t i = 0; i < prepared->count; i++)
        proof_windows_prefetch(&proof->windows, spendings[i].id);
}

void proof_prefetch(const struct proof *proof, uint32_t index)
{
    const struct prepared *prepared = &proof->group[index];
    for (uint32_t i = 0; i < prepared->count; i++)
        proof_windows_prefetch_entry(&proof->windows, proof->spendings[prepared->first + i].id);
}

static struct proof_window *window_of(struct proof *proof, const struct spending *spending,
                                      uint64_t now_ns)
{
    return proof_windows_enter(&proof->windows, spending->id, now_ns, proof->longest_ns);
}

static enum status over_quota(const struct policy *policy, uint64_t sum, struct detail *ret_what)
{
    return detail_set(ret_what, STATUS_INVALID,
                      "accepted, but with it policy %s has %" PRIu64
                      " units in one window for its key, %" PRIu64 " at most",
                      policy->name, sum, policy->quota);
}

enum status proof_accept(struct proof *proof, uint32_t index, uint64_t now_ns,
                         struct detail *ret_what)
{
    const struct prepared *prepared = &proof->group[index];
    enum status status = STATUS_OK;
    if (prepared->status != STATUS_OK)
        return detail_set(ret_what, STATUS_INVALID, "accepted, but %s", proof->details[index].text);
    for (uint32_t i = 0; i < prepared->count; i++) {
        const struct spending *spending = &proof->spendings[prepared->first + i];
        const struct policy *policy = &proof->policies.items[spending->policy];
        if (spending->cost == 0)
            continue;
        struct proof_window *window = window_of(proof, spending, now_ns);
        if (window == NULL ||
            proof_window_add(window, now_ns, policy->window_ns, spending->cost) != STATUS_OK)
            return STATUS_NO_MEMORY;
        uint64_t sum = proof_window_sum_above(window, now_ns, policy->window_ns, policy->quota);
        if (status == STATUS_OK && (sum > policy->quota || spending->cost > policy->quota))
            status = over_quota(policy, sum, ret_what);
    }
    return status;
}

enum status proof_fill(struct proof *proof, const struct accepted_record *record)
{
    uint64_t now_ns = record->accepted_at_ns;
    uint32_t count;
    enum status status =
        spendings_find(proof, record->source, &record->event, proof->spent, &count, NULL);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct spending *spending = &proof->spent[i];
        const struct policy *policy = &proof->policies.items[spending->policy];
        /* What counts of a cost above the quota is the quota: nothing fits beside either. */
        uint64_t cost = spending->cost < policy->quota ? spending->cost : policy->quota;
        if (cost == 0)
            continue;
        struct proof_window *window = window_of(proof, spending, now_ns);
        status = window == NULL ? STATUS_NO_MEMORY
                                : proof_window_add(window, now_ns, policy->window_ns, cost);
    }
    return status;
}

/* ---- refusals ---- */

static void wait_format(uint64_t wait_ns, char *ret_text, size_t size)
{
    if (wait_ns == NEVER)
        snprintf(ret_text, size, "for ever");
    else
        snprintf(ret_text, size, "%" PRIu64 " ns", wait_ns);
}

static enum status named_wrong(const struct policy *policy, uint64_t wait_ns,
                               const struct rejection *rejection, struct detail *ret_what)
{
    char right[32], told[32];
    wait_format(wait_ns, right, sizeof right);
    wait_format(rejection->retry_after_ns, told, sizeof told);
    return detail_set(ret_what, STATUS_INVALID,
                      "refused: the longest wait is %s, of policy %s; the record says %s, %.*s",
                      right, policy->name, told, (int)rejection->policy.size,
                      (const char *)rejection->policy.data);
}

/* The key as the record has it. */
static enum status key_check(struct proof *proof, const struct policy *policy,
                             const struct rejection *rejection, const struct event *event,
                             struct detail *ret_what)
{
    struct charge charge;
    buffer_clear(&proof->key);
    if (policy_charge(policy, rejection->source, event, &charge, NULL) == STATUS_OK)
        policy_key_write(&charge.key, &proof->key);
    if (slice_equal(buffer_slice(&proof->key), rejection->key))
        return STATUS_OK;
    return detail_set(ret_what, STATUS_INVALID,
                      "refused by policy %s: the record names another key", policy->name);
}

/* How long the spending waits; NEVER: it cannot fit. NO_MEMORY. */
static enum status wait_find(struct proof *proof, const struct spending *spending, uint64_t now_ns,
                             uint64_t *ret_wait_ns)
{
    const struct policy *policy = &proof->policies.items[spending->policy];
    *ret_wait_ns = spending->cost == 0 ? 0 : NEVER;
    if (spending->cost == 0 || spending->cost > policy->quota)
        return STATUS_OK;
    struct proof_window *window = window_of(proof, spending, now_ns);
    if (window == NULL)
        return STATUS_NO_MEMORY;
    *ret_wait_ns =
        proof_window_wait_ns(window, now_ns, policy->window_ns, policy->quota - spending->cost);
    return STATUS_OK;
}

enum status proof_refuse(struct proof *proof, const struct rejection *rejection,
                         const struct event *event, struct detail *ret_what)
{
    uint64_t longest_ns = 0;
    uint32_t slowest = 0, count;
    struct detail missing;
    if (spendings_find(proof, rejection->source, event, proof->spent, &count, &missing) !=
        STATUS_OK)
        return detail_set(ret_what, STATUS_INVALID, "refused as rate_limited, but %s",
                          missing.text);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t wait_ns;
        if (wait_find(proof, &proof->spent[i], rejection->rejected_at_ns, &wait_ns) != STATUS_OK)
            return STATUS_NO_MEMORY;
        if (wait_ns > longest_ns) {
            longest_ns = wait_ns;
            slowest = proof->spent[i].policy;
        }
    }
    if (longest_ns == 0)
        return detail_set(ret_what, STATUS_INVALID, "refused as rate_limited, but it fits");
    const struct policy *policy = &proof->policies.items[slowest];
    if (!slice_equal_text(rejection->policy, policy->name) ||
        rejection->retry_after_ns != longest_ns)
        return named_wrong(policy, longest_ns, rejection, ret_what);
    return key_check(proof, policy, rejection, event, ret_what);
}
