#include "processor/tools/proof.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/prefetch.h"
#include "common/base/rng.h"

enum {
    PLACES_MIN = 1024, /* of the table, a power of two */
    KEY_BYTES_MAX = 2 + POLICY_KEY_BYTES_MAX,
    CACHE_LINE_BYTES = 64,
    CAPACITY_FIRST = 2, /* entries of a window that gets its second one */
};
#define NEVER UINT64_MAX

struct entry {
    uint64_t time_ns;
    uint64_t total; /* of all costs of the window up to here, mod 2^64 */
};

/* What one key had accepted under one policy. `alone` holds the first entry until a second comes.
 */
struct window {
    struct hash_wide id;   /* both 0: a free place */
    struct entry *entries; /* [first, count) are in the window or not yet dropped; NULL: `alone` */
    struct entry alone;
    uint64_t dropped; /* the total of the last entry that has left */
    uint32_t first, count, capacity;
};

static_assert(sizeof(struct window) == CACHE_LINE_BYTES, "a window is one cache line");

struct spending {
    struct hash_wide id;
    uint64_t cost;
    uint32_t policy;
};

/* An event of the group. */
struct prepared {
    enum status status; /* INVALID: a field is missing */
    uint32_t count;
    struct spending spendings[POLICIES_MAX];
    struct detail detail;
};

struct proof {
    struct policy_set policies;
    uint64_t seed; /* of the keys' hashes */
    struct window *windows;
    uint64_t place_count; /* a power of two */
    uint64_t used;        /* places */
    uint64_t used_max;    /* then the table is gone through and made anew */
    uint64_t longest_ns;
    uint64_t now_ns;
    struct prepared group[PROOF_GROUP_MAX];
    struct prepared refused; /* scratch */
    struct buffer key;       /* scratch */
};

/* ---- windows ---- */

static struct entry *entries_of(struct window *window)
{
    return window->entries == NULL ? &window->alone : window->entries;
}

static void window_expire(struct window *window, uint64_t now_ns, uint64_t window_ns)
{
    const struct entry *entries = entries_of(window);
    while (window->first < window->count && now_ns - entries[window->first].time_ns >= window_ns) {
        window->dropped = entries[window->first].total;
        window->first++;
    }
}

/* Of what has not been dropped. */
static uint64_t window_sum(struct window *window)
{
    return window->first == window->count
               ? 0
               : entries_of(window)[window->count - 1].total - window->dropped;
}

/* Room for one more entry behind the others: the dropped ones give theirs, or the array grows. */
static bool window_reach(struct window *window)
{
    uint32_t live = window->count - window->first;
    struct entry *entries = entries_of(window);
    uint32_t capacity = window->entries == NULL ? 1 : window->capacity;
    if (window->count < capacity)
        return true;
    if (window->first > 0 && live <= capacity / 2) {
        memmove(entries, entries + window->first, live * sizeof *entries);
    } else {
        uint32_t wanted = live < CAPACITY_FIRST ? CAPACITY_FIRST : 2 * live;
        struct entry *grown = malloc(wanted * sizeof *grown);
        if (grown == NULL)
            return false;
        memcpy(grown, entries + window->first, live * sizeof *grown);
        free(window->entries);
        window->entries = grown;
        window->capacity = wanted;
    }
    window->first = 0;
    window->count = live;
    return true;
}

static bool window_add(struct window *window, uint64_t now_ns, uint64_t cost)
{
    uint64_t total = window->dropped + window_sum(window) + cost;
    if (window->count > window->first && entries_of(window)[window->count - 1].time_ns == now_ns) {
        entries_of(window)[window->count - 1].total = total;
        return true;
    }
    if (!window_reach(window))
        return false;
    entries_of(window)[window->count++] = (struct entry){now_ns, total};
    return true;
}

/* How long until `cost` fits if nothing is added; 0: it fits now. */
static uint64_t window_wait_ns(struct window *window, const struct policy *policy, uint64_t cost,
                               uint64_t now_ns)
{
    const struct entry *entries = entries_of(window);
    uint64_t sum = window_sum(window);
    if (cost == 0 || (cost <= policy->quota && sum <= policy->quota - cost))
        return 0;
    if (cost > policy->quota)
        return NEVER;
    uint64_t excess = sum - (policy->quota - cost); /* must leave first */
    uint32_t low = window->first, high = window->count - 1;
    while (low < high) { /* the first entry with which enough has left */
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].total - window->dropped >= excess)
            high = middle;
        else
            low = middle + 1;
    }
    return entries[low].time_ns + policy->window_ns - now_ns;
}

/* ---- the table ---- */

static bool is_free(const struct window *window)
{
    return window->id.low == 0 && window->id.high == 0;
}

static struct window *window_find(const struct proof *proof, struct hash_wide id)
{
    uint64_t mask = proof->place_count - 1, at = id.low & mask;
    while (!is_free(&proof->windows[at]) &&
           (proof->windows[at].id.low != id.low || proof->windows[at].id.high != id.high))
        at = (at + 1) & mask;
    return &proof->windows[at];
}

static bool is_over(struct window *window, uint64_t now_ns, uint64_t longest_ns)
{
    return window->count == 0 ||
           now_ns - entries_of(window)[window->count - 1].time_ns >= longest_ns;
}

static void windows_free(struct window *windows, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        free(windows[i].entries);
    free(windows);
}

/* Makes the table anew, without the keys of which nothing can count any more. */
static bool table_renew(struct proof *proof)
{
    uint64_t live = 0, count = PLACES_MIN, old_count = proof->place_count;
    struct window *old = proof->windows;
    for (uint64_t i = 0; i < old_count; i++)
        if (!is_free(&old[i]) && !is_over(&old[i], proof->now_ns, proof->longest_ns))
            live++;
    while (count < 4 * live)
        count *= 2;
    struct window *windows = aligned_alloc(CACHE_LINE_BYTES, count * sizeof *windows);
    if (windows == NULL)
        return false;
    memset(windows, 0, count * sizeof *windows);
    proof->windows = windows;
    proof->place_count = count;
    proof->used = live;
    proof->used_max = count / 2;
    for (uint64_t i = 0; i < old_count; i++) {
        if (is_free(&old[i]) || is_over(&old[i], proof->now_ns, proof->longest_ns))
            continue;
        *window_find(proof, old[i].id) = old[i];
        old[i].entries = NULL;
    }
    windows_free(old, old_count);
    return true;
}

/* The window of a spending, entered if it is new; what has left it is dropped. NULL: no memory. */
static struct window *window_at(struct proof *proof, const struct spending *spending)
{
    struct window *window = window_find(proof, spending->id);
    if (is_free(window)) {
        if (proof->used == proof->used_max) {
            if (!table_renew(proof))
                return NULL;
            window = window_find(proof, spending->id);
        }
        window->id = spending->id;
        proof->used++;
    }
    window_expire(window, proof->now_ns, proof->policies.items[spending->policy].window_ns);
    return window;
}

/* ---- life ---- */

struct proof *proof_new(void)
{
    struct proof *proof = calloc(1, sizeof *proof);
    if (proof == NULL)
        return NULL;
    buffer_init(&proof->key, 2 * POLICY_KEY_BYTES_MAX);
    proof->seed = rng_seed_random();
    if (!table_renew(proof))
        proof_destroy(&proof);
    return proof;
}

void proof_destroy(struct proof **proof)
{
    if (*proof == NULL)
        return;
    windows_free((*proof)->windows, (*proof)->place_count);
    buffer_fini(&(*proof)->key);
    free(*proof);
    *proof = NULL;
}

enum status proof_set_policies(struct proof *proof, const struct policy_set *policies)
{
    windows_free(proof->windows, proof->place_count);
    proof->windows = NULL;
    proof->place_count = 0;
    proof->now_ns = 0; /* filling begins in the past */
    proof->policies = *policies;
    proof->longest_ns = 0;
    for (uint32_t i = 0; i < policies->count; i++)
        if (policies->items[i].mode == POLICY_ENFORCE &&
            policies->items[i].window_ns > proof->longest_ns)
            proof->longest_ns = policies->items[i].window_ns;
    return table_renew(proof) ? STATUS_OK : STATUS_NO_MEMORY;
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

/* What the event would spend. With `filling`, a policy that cannot charge it is passed over: it was
 * accepted before that policy was there. */
static void spendings_find(const struct proof *proof, struct slice source,
                           const struct event *event, bool filling, struct prepared *ret_prepared)
{
    ret_prepared->status = STATUS_OK;
    ret_prepared->count = 0;
    for (uint32_t i = 0; i < proof->policies.count; i++) {
        const struct policy *policy = &proof->policies.items[i];
        struct charge charge;
        if (policy->mode != POLICY_ENFORCE || !policy_matches(policy, event->type))
            continue;
        enum status status =
            policy_charge(policy, source, event, &charge, filling ? NULL : &ret_prepared->detail);
        if (status == STATUS_OK) {
            ret_prepared->spendings[ret_prepared->count++] = (struct spending){
                .id = id_of(proof, i, &charge.key), .cost = charge.cost, .policy = i};
        } else if (!filling) {
            ret_prepared->status = STATUS_INVALID;
            return;
        }
    }
}

void proof_prepare(struct proof *proof, uint32_t index, struct slice source,
                   const struct event *event)
{
    struct prepared *prepared = &proof->group[index];
    spendings_find(proof, source, event, false, prepared);
    for (uint32_t i = 0; i < prepared->count; i++)
        prefetch(&proof->windows[prepared->spendings[i].id.low & (proof->place_count - 1)]);
}

void proof_prefetch(const struct proof *proof, uint32_t index)
{
    const struct prepared *prepared = &proof->group[index];
    for (uint32_t i = 0; i < prepared->count; i++) {
        const struct window *window = window_find(proof, prepared->spendings[i].id);
        if (window->entries == NULL)
            continue;
        prefetch(&window->entries[window->first]);
        prefetch(&window->entries[window->count]);
    }
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
    struct prepared *prepared = &proof->group[index];
    proof->now_ns = now_ns;
    if (prepared->status != STATUS_OK)
        return detail_set(ret_what, STATUS_INVALID, "accepted, but %s", prepared->detail.text);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < prepared->count; i++) {
        const struct spending *spending = &prepared->spendings[i];
        const struct policy *policy = &proof->policies.items[spending->policy];
        if (spending->cost == 0)
            continue;
        struct window *window = window_at(proof, spending);
        if (window == NULL || !window_add(window, now_ns, spending->cost))
            return STATUS_NO_MEMORY;
        uint64_t sum = window_sum(window);
        if (status == STATUS_OK && (sum > policy->quota || spending->cost > policy->quota))
            status = over_quota(policy, sum, ret_what);
    }
    return status;
}

enum status proof_fill(struct proof *proof, const struct accepted_record *record)
{
    struct prepared *prepared = &proof->refused;
    proof->now_ns = record->accepted_at_ns;
    spendings_find(proof, record->source, &record->event, true, prepared);
    for (uint32_t i = 0; i < prepared->count; i++) {
        const struct spending *spending = &prepared->spendings[i];
        /* What counts of a cost above the quota is the quota: nothing fits beside either. */
        uint64_t quota = proof->policies.items[spending->policy].quota;
        uint64_t cost = spending->cost < quota ? spending->cost : quota;
        if (cost == 0)
            continue;
        struct window *window = window_at(proof, spending);
        if (window == NULL || !window_add(window, proof->now_ns, cost))
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
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

enum status proof_refuse(struct proof *proof, const struct rejection *rejection,
                         const struct event *event, struct detail *ret_what)
{
    struct prepared *prepared = &proof->refused;
    uint64_t longest_ns = 0;
    uint32_t slowest = 0;
    proof->now_ns = rejection->rejected_at_ns;
    spendings_find(proof, rejection->source, event, false, prepared);
    if (prepared->status != STATUS_OK)
        return detail_set(ret_what, STATUS_INVALID, "refused as rate_limited, but %s",
                          prepared->detail.text);
    for (uint32_t i = 0; i < prepared->count; i++) {
        const struct spending *spending = &prepared->spendings[i];
        struct window *window = window_at(proof, spending);
        if (window == NULL)
            return STATUS_NO_MEMORY;
        uint64_t wait_ns = window_wait_ns(window, &proof->policies.items[spending->policy],
                                          spending->cost, proof->now_ns);
        if (wait_ns > longest_ns) {
            longest_ns = wait_ns;
            slowest = spending->policy;
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
