#include "tests/unit/processor/admission_model.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- one policy and one event ---- */

static bool model_applies(const struct model_policy *policy, const struct model_event *event)
{
    return !policy->orders_only || strncmp(event->type, "order.", 6) == 0;
}

/* The key as text with a letter for its type; false if the event has none that is allowed. */
static bool model_key(const struct model_policy *policy, const struct model_event *event,
                      char *ret_key)
{
    const char *text = policy->key == KEY_SOURCE    ? event->source
                       : policy->key == KEY_SUBJECT ? event->subject
                       : policy->key == KEY_TYPE    ? event->type
                       : policy->key == KEY_GLOBAL  ? "global"
                                                    : NULL;
    if (text != NULL)
        snprintf(ret_key, MODEL_KEY_BYTES, "t%s", text);
    else if (event->user_kind == USER_TEXT)
        snprintf(ret_key, MODEL_KEY_BYTES, "t%" PRId64, event->user);
    else if (event->user_kind == USER_INT)
        snprintf(ret_key, MODEL_KEY_BYTES, "i%" PRId64, event->user);
    else
        return false;
    return true;
}

static bool model_cost(const struct model_policy *policy, const struct model_event *event,
                       uint64_t *ret_cost)
{
    *ret_cost = policy->cost_from_data ? event->cost : policy->fixed_cost;
    return !policy->cost_from_data || event->cost_kind == COST_INT;
}

static bool model_counts(uint64_t stamp_ns, uint64_t time_ns, uint64_t window_ns)
{
    return stamp_ns <= time_ns && stamp_ns + window_ns > time_ns;
}

static uint64_t model_sum(const struct model *model, uint32_t p, const char *key, uint64_t time_ns)
{
    const struct model_list *list = &model->lists[p];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct spent *spent = &list->items[i];
        if (model_counts(spent->time_ns, time_ns, model->policies[p].window_ns) &&
            strcmp(spent->key, key) == 0)
            sum += spent->cost;
    }
    return sum;
}

static bool model_fits(const struct model *model, uint32_t p, const char *key, uint64_t cost,
                       uint64_t time_ns)
{
    return cost <= model->policies[p].quota &&
           model_sum(model, p, key, time_ns) <= model->policies[p].quota - cost;
}

/* The first moment ≥ now at which the cost fits: it can only be now or the end of something. */
static uint64_t model_wait(const struct model *model, uint32_t p, const char *key, uint64_t cost,
                           uint64_t now_ns)
{
    const struct model_policy *policy = &model->policies[p];
    uint64_t best = RETRY_NEVER;
    if (model_fits(model, p, key, cost, now_ns))
        return 0;
    if (cost > policy->quota)
        return best;
    for (uint32_t i = 0; i < model->lists[p].count; i++) {
        uint64_t end_ns = model->lists[p].items[i].time_ns + policy->window_ns;
        if (end_ns > now_ns && end_ns - now_ns < best && model_fits(model, p, key, cost, end_ns))
            best = end_ns - now_ns;
    }
    assert_true(best != RETRY_NEVER);
    assert_true(model_fits(model, p, key, cost, now_ns + best));
    assert_false(model_fits(model, p, key, cost, now_ns + best - 1));
    return best;
}

static bool model_full(const struct model *model, uint32_t p, const char *key, uint64_t now_ns)
{
    const struct model_policy *policy = &model->policies[p];
    const struct model_list *list = &model->lists[p];
    uint64_t units = 0, keys = 0;
    bool known = false;
    if (policy->keys_max > MODEL_SPENT_MAX && policy->units_max > MODEL_SPENT_MAX)
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        if (!model_counts(list->items[i].time_ns, now_ns, policy->window_ns))
            continue;
        bool seen = false;
        for (uint32_t j = 0; j < i && !seen; j++)
            seen = model_counts(list->items[j].time_ns, now_ns, policy->window_ns) &&
                   strcmp(list->items[j].key, list->items[i].key) == 0;
        units++;
        keys += !seen;
        known = known || strcmp(list->items[i].key, key) == 0;
    }
    return (!known && keys >= policy->keys_max) || units >= policy->units_max;
}

static void model_spend(struct model *model, uint32_t p, const char *key, uint64_t cost,
                        uint64_t now_ns)
{
    struct model_list *list = &model->lists[p];
    assert_true(list->count < MODEL_SPENT_MAX);
    struct spent *spent = &list->items[list->count++];
    spent->time_ns = now_ns;
    spent->cost = cost;
    strcpy(spent->key, key);
}

static void expect_shadow(struct expectation *expected, uint32_t p, uint64_t wait_ns)
{
    expected->shadow_policies[expected->shadow_count] = p;
    expected->shadow_waits[expected->shadow_count++] = wait_ns > 0 ? wait_ns : RETRY_NEVER;
}

struct expectation model_decide(const struct model *model, const struct model_event *event,
                                uint64_t now_ns)
{
    struct expectation expected = {.accept = true, .policy = POLICY_NONE};
    uint32_t full = POLICY_NONE;
    for (uint32_t p = 0; p < model->policy_count; p++) {
        const struct model_policy *policy = &model->policies[p];
        char key[MODEL_KEY_BYTES];
        uint64_t cost;
        if (!model_applies(policy, event))
            continue;
        if (!model_key(policy, event, key) || !model_cost(policy, event, &cost)) {
            if (policy->shadow)
                continue;
            return (struct expectation){.reason = REASON_INVALID, .policy = POLICY_NONE};
        }
        if (cost == 0)
            continue;
        uint64_t wait_ns = model_wait(model, p, key, cost, now_ns);
        bool is_full = model_full(model, p, key, now_ns);
        if (wait_ns == 0 && !is_full)
            expected.spend_policies[expected.spend_count++] = p;
        else if (policy->shadow)
            expect_shadow(&expected, p, wait_ns);
        else if (wait_ns > expected.wait_ns) {
            expected.wait_ns = wait_ns;
            expected.policy = p;
        } else if (wait_ns == 0 && full == POLICY_NONE)
            full = p;
    }
    if (expected.policy != POLICY_NONE)
        return (struct expectation){
            .reason = REASON_RATE_LIMITED, .policy = expected.policy, .wait_ns = expected.wait_ns};
    if (full != POLICY_NONE)
        return (struct expectation){
            .reason = REASON_UNAVAILABLE, .policy = full, .wait_ns = RETRY_NEVER};
    return expected;
}

void model_accept(struct model *model, const struct model_event *event,
                  const struct expectation *expected, uint64_t now_ns)
{
    for (uint32_t i = 0; i < expected->spend_count; i++) {
        uint32_t p = expected->spend_policies[i];
        char key[MODEL_KEY_BYTES];
        uint64_t cost;
        assert_true(model_key(&model->policies[p], event, key));
        assert_true(model_cost(&model->policies[p], event, &cost));
        model_spend(model, p, key, cost, now_ns);
    }
    model->accepted[model->accepted_count] = *event;
    model->accepted_at[model->accepted_count++] = now_ns;
}

void model_check_quotas(const struct model *model)
{
    for (uint32_t p = 0; p < model->policy_count; p++) {
        const struct model_list *list = &model->lists[p];
        for (uint32_t i = list->filled; i < list->count; i++) {
            uint64_t sum = model_sum(model, p, list->items[i].key, list->items[i].time_ns);
            assert_true(sum <= model->policies[p].quota);
        }
    }
}

/* ---- policies that change ---- */

static bool model_same(const struct model_policy *a, const struct model_policy *b)
{
    return strcmp(a->name, b->name) == 0 && a->key == b->key && a->orders_only == b->orders_only &&
           a->cost_from_data == b->cost_from_data && a->shadow == b->shadow &&
           (a->cost_from_data || a->fixed_cost == b->fixed_cost) && a->quota == b->quota &&
           a->window_ns == b->window_ns && a->keys_max == b->keys_max &&
           a->units_max == b->units_max;
}

/* What a new policy starts with: all that was accepted. False when a cap is passed. */
static bool model_fill(struct model *model, uint32_t p)
{
    model->lists[p].count = 0;
    for (uint32_t i = 0; i < model->accepted_count; i++) {
        const struct model_event *event = &model->accepted[i];
        uint64_t at_ns = model->accepted_at[i], cost;
        char key[MODEL_KEY_BYTES];
        if (!model_applies(&model->policies[p], event) ||
            !model_key(&model->policies[p], event, key) ||
            !model_cost(&model->policies[p], event, &cost) || cost == 0)
            continue;
        if (model_full(model, p, key, at_ns))
            return false;
        if (cost > model->policies[p].quota)
            cost = model->policies[p].quota; /* so that sums stay small; it fills the window */
        model_spend(model, p, key, cost, at_ns);
    }
    return true;
}

static uint32_t model_find_same(const struct model *model, const struct model_policy *policy)
{
    for (uint32_t p = 0; p < model->policy_count; p++) {
        if (model_same(&model->policies[p], policy))
            return p;
    }
    return POLICY_NONE;
}

bool model_change(struct model *model, const struct model *old)
{
    bool filled = true;
    for (uint32_t p = 0; p < model->policy_count; p++) {
        uint32_t same = model_find_same(old, &model->policies[p]);
        if (same != POLICY_NONE) {
            model->lists[p] = old->lists[same];
        } else {
            filled = model_fill(model, p) && filled;
            model->lists[p].filled = model->lists[p].count;
        }
    }
    return filled;
}
