/* admission_model: a naive model of what the core decides: plain lists of what was spent, added up
 * anew for every question. It shares nothing with the core but names, not even the reading of keys
 * and costs. */
#ifndef WEIR_TESTS_ADMISSION_MODEL_H
#define WEIR_TESTS_ADMISSION_MODEL_H

#include "processor/core/state.h"

enum {
    MODEL_POLICIES_MAX = 5,
    MODEL_EVENTS_MAX = 120, /* in one schedule */
    MODEL_SPENT_MAX = MODEL_EVENTS_MAX,
    MODEL_KEY_BYTES = 256,
};

enum user_kind { USER_TEXT, USER_INT, USER_MISSING, USER_FLOAT, USER_LONG };
enum cost_kind { COST_INT, COST_MISSING, COST_NEGATIVE };

struct model_event {
    const char *source;
    const char *subject;
    const char *type;
    enum user_kind user_kind;
    int64_t user;
    enum cost_kind cost_kind;
    uint64_t cost;
};

enum model_key { KEY_SOURCE, KEY_SUBJECT, KEY_TYPE, KEY_GLOBAL, KEY_USER, MODEL_KEYS };

struct model_policy {
    char name[16];
    enum model_key key;
    bool orders_only;
    bool cost_from_data;
    bool shadow;
    uint64_t fixed_cost;
    uint64_t quota;
    uint64_t window_ns;
    uint64_t keys_max;
    uint64_t units_max;
};

struct spent {
    uint64_t time_ns;
    uint64_t cost;
    char key[MODEL_KEY_BYTES];
};

/* What was spent of one policy. */
struct model_list {
    uint32_t filled; /* this many came from the log when the policy was new */
    uint32_t count;
    struct spent items[MODEL_SPENT_MAX];
};

struct model {
    uint32_t policies_made; /* names are never used again */
    uint32_t policy_count;
    struct model_policy policies[MODEL_POLICIES_MAX];
    struct model_list lists[MODEL_POLICIES_MAX];
    uint32_t accepted_count;
    struct model_event accepted[MODEL_EVENTS_MAX];
    uint64_t accepted_at[MODEL_EVENTS_MAX];
};

struct expectation {
    bool accept;
    enum reason reason;
    uint32_t policy;
    uint64_t wait_ns;
    uint32_t shadow_count;
    uint32_t shadow_policies[MODEL_POLICIES_MAX];
    uint64_t shadow_waits[MODEL_POLICIES_MAX];
    uint32_t spend_count;
    uint32_t spend_policies[MODEL_POLICIES_MAX];
};

/* What becomes of an event. */
struct expectation model_decide(const struct model *model, const struct model_event *event,
                                uint64_t now_ns);
/* The event was accepted as expected. */
void model_accept(struct model *model, const struct model_event *event,
                  const struct expectation *expected, uint64_t now_ns);
/* Nothing over quota: every window that ends at an acceptance under the policy, added up again. */
void model_check_quotas(const struct model *model);
/* Fills the lists of `model`, whose policies are new, from those of `old`. False when a cap is
 * passed. */
bool model_change(struct model *model, const struct model *old);

#endif
