/* policy: what the rate limits are, and what an event costs under them. Pure; no counting here.
 *
 * A policy set is parsed from INI text (libinih) or from --limit items in the style of the IETF
 * RateLimit draft; either way it has one canonical INI text, which is what the log keeps and what
 * is compared. An event's charge under a policy is a function of the event alone, so the processor,
 * verify and the projector's `limits` view compute the same.
 */
#ifndef WEIR_COMMON_POLICY_POLICY_H
#define WEIR_COMMON_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/event/event.h"

enum {
    POLICIES_MAX = 64,
    POLICY_NAME_BYTES_MAX = 64, /* [A-Za-z0-9_.-] */
    POLICY_MATCH_BYTES_MAX = 64,
    POLICY_FIELD_BYTES_MAX = 128,
    POLICY_KEY_BYTES_MAX = 128, /* a string key */
    POLICY_TEXT_BYTES_MAX = 32 * 1024,
    POLICY_KEYS_MAX_DEFAULT = 1000000,    /* live keys of one policy */
    POLICY_UNITS_MAX_DEFAULT = 100000000, /* stamps one policy keeps in its windows */
};
#define POLICY_QUOTA_MAX         INT64_MAX     /* so that sums of units do not overflow */
#define POLICY_KEYS_MAX_LARGEST  1000000000ULL /* a table's limit */
#define POLICY_UNITS_MAX_LARGEST 2000000000ULL /* chunks are numbered with 32 bits */
#define POLICY_WINDOW_NS_MAX     (31ULL * 24 * 3600 * 1000000000ULL)

enum policy_key {
    POLICY_KEY_SOURCE,
    POLICY_KEY_SUBJECT,
    POLICY_KEY_TYPE,
    POLICY_KEY_GLOBAL,
    POLICY_KEY_FIELD
};
enum policy_mode { POLICY_ENFORCE, POLICY_SHADOW };

struct policy {
    char name[POLICY_NAME_BYTES_MAX + 1];
    char match[POLICY_MATCH_BYTES_MAX + 1];      /* glob over the type: * and ? */
    char key_field[POLICY_FIELD_BYTES_MAX + 1];  /* dotted path in data, for POLICY_KEY_FIELD */
    char cost_field[POLICY_FIELD_BYTES_MAX + 1]; /* dotted path in data; empty: cost is fixed */
    uint64_t quota;                              /* units, 1 … POLICY_QUOTA_MAX */
    uint64_t window_ns;                          /* 1 … POLICY_WINDOW_NS_MAX */
    uint64_t cost;                               /* units, where cost_field is empty */
    uint64_t keys_max;  /* live keys; beyond them a new key is refused as unavailable */
    uint64_t units_max; /* stamps kept in all windows together; beyond them: unavailable */
    enum policy_key key;
    enum policy_mode mode;
};

struct policy_set {
    uint32_t count; /* 0: no limits */
    struct policy items[POLICIES_MAX];
    char text[POLICY_TEXT_BYTES_MAX]; /* canonical INI; "" for no limits */
};

/* Parses INI text. `name` is what a message calls it (the file's path). STATUS_CONFIG with
 * "name:line: reason"; the set is then not to be used. It is large: keep it on the heap. */
MUST_USE enum status policy_set_parse(const char *text, const char *name,
                                      struct policy_set *ret_set, struct detail *ret_detail);
/* Adds one --limit item to a set that was parsed, or is {.count = 0, .text = ""}:
 * "per-source";q=100;w=60;pk=source (also wms= for milliseconds, match=, cost=, mode=, max_keys=,
 * max_units=). STATUS_CONFIG names the item. */
MUST_USE enum status policy_set_add_limit(struct policy_set *set, const char *item,
                                          struct detail *ret_detail);

/* Do all settings and the name agree? */
bool policy_equal(const struct policy *a, const struct policy *b);

/* A key: text, or an integer. */
struct policy_key_value {
    struct slice text; /* where is_text */
    uint64_t bits;     /* two's complement where negative */
    bool is_text;
    bool is_negative;
};

struct charge {
    struct policy_key_value key;
    uint64_t cost; /* units */
};

/* Does the policy's glob match the type? Types of our own (weir…) are never charged: false. */
bool policy_matches(const struct policy *policy, struct slice type);

/* What `event` from `source` spends under a policy that matches it. STATUS_INVALID, naming the
 * field, when data lacks a field or it has the wrong type or size; `ret_charge` is undefined then.
 * The charge borrows the event's bytes. */
MUST_USE enum status policy_charge(const struct policy *policy, struct slice source,
                                   const struct event *event, struct charge *ret_charge,
                                   struct detail *ret_detail);

/* Is the key the one that a person wrote? Its text, or the digits of an integer. */
bool policy_key_is(const struct policy_key_value *key, struct slice text);
/* The key as one MessagePack item (str or int). */
void policy_key_write(const struct policy_key_value *key, struct buffer *buffer);

#endif
