/* state: everything the processor knows, in one struct; state_apply is the only function that
 * changes it.
 *
 *   policies   what is in force
 *   windows    per policy and key, the stamps and costs of what was accepted in the last window
 *   sources    per source: epoch, last sequence, which of the last 65,536 sequences were refused
 *   position   last event id, last rejection id, last time
 *
 * Not in it: hash seeds, capacities, counters of things that are not logged. `struct state` itself
 * is laid open in state_struct.h for the files of this folder; everybody else reads it through the
 * functions below. No I/O, no clock, no log: time comes in as an argument. Owned by one thread (the
 * core thread; in recovery, the main thread).
 */
#ifndef WEIR_PROCESSOR_CORE_STATE_H
#define WEIR_PROCESSOR_CORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/event/event.h"
#include "common/event/reason.h"
#include "common/policy/policy.h"

enum {
    SOURCES_MAX = 262144,
    VERDICTS_KEPT = 65536, /* sequences per source whose verdict is remembered */
};
#define SOURCE_NONE UINT32_MAX
#define POLICY_NONE UINT32_MAX
#define RETRY_NEVER UINT64_MAX /* a retry_after that never comes; RECORD_NEVER in the log */

struct state;

struct position {
    uint64_t last_event_id;
    uint64_t last_rejection_id;
    uint64_t last_time_ns;
};

struct source_info {
    struct slice name;
    uint64_t epoch;         /* 0: hello never given */
    uint64_t last_sequence; /* 0: none decided */
};

enum verdict { VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_FORGOTTEN };

/* Copies the policies. NULL when out of memory. The seed is that of the log (state_seed), so that
 * all who fold it get the same digest. */
struct state *state_new(const struct policy_set *policies, const struct hash_seed *seed);
void state_destroy(struct state **state);

/* Of a state that holds nothing yet: keeps, of the policies that enforce, the windows of one key
 * only, which a person writes as `key` (policy_key_is; borrowed; no data: all keys). What counts of
 * that key stays exact, and so do the digest and everything but the number of live keys, for what
 * was accepted is spent whatever the windows hold. What a shadow policy let pass depends on how
 * many keys are live, so it keeps all. Not for a state that decides, or whose policies change. */
void state_narrow(struct state *state, struct slice key);
bool state_is_narrow(const struct state *state);

/* The seed that goes with a log's salt, which is secret as well. */
struct hash_seed state_seed(uint64_t salt);

struct position state_position(const struct state *state);
/* Sums up the state at its position, kept along with it: equal for all who folded the same log to
 * the same batch, whatever they did in between. Never 0. */
uint64_t state_digest(const struct state *state);
const struct policy_set *state_policies(const struct state *state);
/* The slot of a source, or SOURCE_NONE. Slots are stable for the life of the state. */
uint32_t state_find_source(const struct state *state, struct slice name);
struct source_info state_source(const struct state *state, uint32_t slot);
uint32_t state_source_count(const struct state *state);
/* The remembered verdict of a sequence ≤ last_sequence. */
enum verdict state_verdict(const struct state *state, uint32_t source, uint64_t sequence);
/* The longest window of the policies in force; 0: there are none. */
uint64_t state_longest_window_ns(const struct state *state);
/* Live keys and stamps kept, per policy (for status). */
uint64_t state_policy_keys(const struct state *state, uint32_t policy);
uint64_t state_policy_units(const struct state *state, uint32_t policy);

/* One event with what it would spend: made by admission_prepare, read by admission_decide. */
struct candidate_charge {
    uint64_t hash;
    struct policy_key_value key;
    uint64_t cost;
    uint32_t policy;
    uint32_t slot_hint; /* from the prefetch; may be stale */
};

enum decision_kind {
    DECISION_TICK,     /* time passed: forget windows that are empty by now (before each batch) */
    DECISION_HELLO,    /* a source's epoch is raised to `epoch` (the source is entered if new) */
    DECISION_ACCEPT,   /* event_id is given out, the charges are spent, the sequence is used */
    DECISION_REFUSE,   /* `count` sequences are used and refused (none when unsequenced) */
    DECISION_RECORDED, /* `count` rejection ids were given out */
    DECISION_POLICY,   /* other policies are in force, with windows filled from the log */
};

struct shadow_report {
    uint32_t policy;
    uint32_t charge;         /* index into charges of what did not fit */
    uint64_t retry_after_ns; /* RETRY_NEVER: never */
};

struct decision {
    enum decision_kind kind;
    uint64_t time_ns;
    uint32_t source;         /* slot; SOURCE_NONE: unsequenced or unknown */
    uint64_t sequence;       /* first used; 0: unsequenced */
    uint64_t count;          /* REFUSE: sequences; RECORDED: ids */
    uint64_t event_id;       /* ACCEPT: the id given out, always last + 1 */
    uint64_t epoch;          /* HELLO */
    struct slice name;       /* HELLO: the source's name */
    enum reason reason;      /* REFUSE */
    uint32_t policy;         /* REFUSE: the policy that refused, or POLICY_NONE */
    uint32_t policy_charge;  /* REFUSE by a policy: index into charges (its key) */
    uint64_t retry_after_ns; /* REFUSE: RETRY_NEVER when it can never fit or is unknown */
    uint32_t charge_count;   /* ACCEPT: what is spent. REFUSE: what was asked for */
    uint32_t shadow_count;   /* reports of shadow policies that would have refused */
    const struct candidate_charge *charges; /* the candidate's, borrowed */
    uint32_t slots[POLICIES_MAX];           /* ACCEPT: where the keys of the charges are now */
    struct shadow_report shadows[POLICIES_MAX];
    uint64_t spends; /* ACCEPT: bit i set: charge i is spent (a shadow charge that does not fit is
                        not) */
    struct window_fill *fill;          /* POLICY: apply exchanges its windows with the state's */
    const struct policy_set *policies; /* POLICY: the fill's */
    struct detail detail;              /* REFUSE: for a person */
};

/* Changes the state; the only function that does. The decision must come from admission_decide (or
 * its siblings) on this very state, or from the log. STATUS_NO_MEMORY leaves the state unusable
 * (the caller stops); every other limit was checked by decide. */
MUST_USE enum status state_apply(struct state *state, const struct decision *decision);

#endif
