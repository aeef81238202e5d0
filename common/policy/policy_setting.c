#include "common/policy/policy_setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/duration.h"

enum { SETTING_TEXT_BYTES = 192 }; /* a rendered value: "data." and a path at most */

/* ---- values ---- */

/* A path in `data` that stands in INI and --limit as it is: no blanks, quotes or semicolons, no
 * empty step. */
static bool path_valid(const char *path)
{
    size_t size = strlen(path);
    if (size == 0 || size > POLICY_FIELD_BYTES_MAX || !utf8_valid(slice_of_text(path)))
        return false;
    if (path[0] == '.' || path[size - 1] == '.' || strstr(path, "..") != NULL)
        return false;
    for (const char *at = path; *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte <= ' ' || byte == 0x7f || byte == ';' || byte == '"')
            return false;
    }
    return true;
}

/* The path behind "data.", or NULL. */
static const char *data_path(const char *value)
{
    static const char prefix[] = "data.";
    size_t size = sizeof prefix - 1;
    if (strncmp(value, prefix, size) != 0 || !path_valid(value + size))
        return NULL;
    return value + size;
}

static bool all_in(const char *text, const char *allowed)
{
    return strspn(text, allowed) == strlen(text);
}

#define NAME_BYTES  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define MATCH_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_.-*?"

/* ---- one reader and one writer per setting ---- */

static bool read_match(struct policy *policy, const char *value)
{
    if (*value == '\0' || strlen(value) > POLICY_MATCH_BYTES_MAX || !all_in(value, MATCH_BYTES))
        return false;
    strcpy(policy->match, value);
    return true;
}

static void write_match(const struct policy *policy, char *ret_text)
{
    strcpy(ret_text, policy->match);
}

static const char *const key_names[] = {
    [POLICY_KEY_SOURCE] = "source",
    [POLICY_KEY_SUBJECT] = "subject",
    [POLICY_KEY_TYPE] = "type",
    [POLICY_KEY_GLOBAL] = "global",
};

static bool read_key(struct policy *policy, const char *value)
{
    for (unsigned i = 0; i < sizeof key_names / sizeof key_names[0]; i++) {
        if (strcmp(value, key_names[i]) == 0) {
            policy->key = (enum policy_key)i;
            return true;
        }
    }
    const char *path = data_path(value);
    if (path == NULL)
        return false;
    policy->key = POLICY_KEY_FIELD;
    strcpy(policy->key_field, path);
    return true;
}

static void write_key(const struct policy *policy, char *ret_text)
{
    if (policy->key == POLICY_KEY_FIELD)
        snprintf(ret_text, SETTING_TEXT_BYTES, "data.%s", policy->key_field);
    else
        strcpy(ret_text, key_names[policy->key]);
}

static void write_uint(uint64_t value, char *ret_text)
{
    snprintf(ret_text, SETTING_TEXT_BYTES, "%" PRIu64, value);
}

static bool read_quota(struct policy *policy, const char *value)
{
    return decimal_parse(value, POLICY_QUOTA_MAX, &policy->quota) && policy->quota > 0;
}

static void write_quota(const struct policy *policy, char *ret_text)
{
    write_uint(policy->quota, ret_text);
}

static bool read_window(struct policy *policy, const char *value)
{
    return duration_parse(value, POLICY_WINDOW_NS_MAX, &policy->window_ns);
}

static void write_window(const struct policy *policy, char *ret_text)
{
    duration_format(policy->window_ns, ret_text);
}

static bool read_cost(struct policy *policy, const char *value)
{
    const char *path = data_path(value);
    if (path == NULL)
        return decimal_parse(value, UINT64_MAX, &policy->cost);
    strcpy(policy->cost_field, path);
    return true;
}

static void write_cost(const struct policy *policy, char *ret_text)
{
    if (policy->cost_field[0] != '\0')
        snprintf(ret_text, SETTING_TEXT_BYTES, "data.%s", policy->cost_field);
    else
        write_uint(policy->cost, ret_text);
}

static bool read_mode(struct policy *policy, const char *value)
{
    policy->mode = strcmp(value, "shadow") == 0 ? POLICY_SHADOW : POLICY_ENFORCE;
    return policy->mode == POLICY_SHADOW || strcmp(value, "enforce") == 0;
}

static void write_mode(const struct policy *policy, char *ret_text)
{
    strcpy(ret_text, policy->mode == POLICY_SHADOW ? "shadow" : "enforce");
}

static bool read_keys_max(struct policy *policy, const char *value)
{
    return decimal_parse(value, POLICY_KEYS_MAX_LARGEST, &policy->keys_max) && policy->keys_max > 0;
}

static void write_keys_max(const struct policy *policy, char *ret_text)
{
    write_uint(policy->keys_max, ret_text);
}

static bool read_units_max(struct policy *policy, const char *value)
{
    return decimal_parse(value, POLICY_UNITS_MAX_LARGEST, &policy->units_max) &&
           policy->units_max > 0;
}

static void write_units_max(const struct policy *policy, char *ret_text)
{
    write_uint(policy->units_max, ret_text);
}

struct setting {
    const char *name;
    bool (*read)(struct policy *policy, const char *value); /* false: not `expected` */
    void (*write)(const struct policy *policy, char *ret_text);
    const char *expected;
    bool needed;
};
/* In the order of the canonical text. */
static const struct setting settings[] = {
    {"match", read_match, write_match, "up to 64 of a-z 0-9 _ . - and the wildcards * and ?",
     false},
    {"key", read_key, write_key, "source, subject, type, global or data.FIELD", false},
    {"quota", read_quota, write_quota, "an integer from 1 to 9223372036854775807", true},
    {"window", read_window, write_window,
     "an integer ≥ 1 and a unit (ns us ms s m h d), at most 31d", true},
    {"cost", read_cost, write_cost, "an integer ≥ 0 or data.FIELD", false},
    {"mode", read_mode, write_mode, "enforce or shadow", false},
    {"max_keys", read_keys_max, write_keys_max, "an integer from 1 to 1000000000", false},
    {"max_units", read_units_max, write_units_max, "an integer from 1 to 2000000000", false},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

/* ---- drafts ---- */

static bool name_known(const struct policy_set *set, struct slice name)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (slice_equal_text(name, set->items[i].name))
            return true;
    }
    return false;
}

enum status policy_draft_start(struct policy_set *set, struct slice name,
                               struct policy_draft *ret_draft, struct detail *ret_detail)
{
    char text[POLICY_NAME_BYTES_MAX + 1] = {0};
    if (name.size > 0 && name.size <= POLICY_NAME_BYTES_MAX)
        memcpy(text, name.data, name.size);
    if (text[0] == '\0' || strlen(text) != name.size || !all_in(text, NAME_BYTES))
        return detail_set(ret_detail, STATUS_CONFIG,
                          "a policy's name is 1 to %d of A-Z a-z 0-9 _ . -", POLICY_NAME_BYTES_MAX);
    if (name_known(set, name))
        return detail_set(ret_detail, STATUS_CONFIG, "policy '%s' is there twice", text);
    if (set->count == POLICIES_MAX)
        return detail_set(ret_detail, STATUS_CONFIG, "more than %d policies", POLICIES_MAX);
    struct policy *policy = &set->items[set->count];
    *policy = (struct policy){
        .match = "*",
        .cost = 1,
        .keys_max = POLICY_KEYS_MAX_DEFAULT,
        .units_max = POLICY_UNITS_MAX_DEFAULT,
        .key = POLICY_KEY_SOURCE,
        .mode = POLICY_ENFORCE,
    };
    strcpy(policy->name, text);
    *ret_draft = (struct policy_draft){.policy = policy};
    return STATUS_OK;
}

enum status policy_draft_set(struct policy_draft *draft, const char *key, const char *value,
                             struct detail *ret_detail)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].name, key) != 0)
            continue;
        if ((draft->seen & 1u << i) != 0)
            return detail_set(ret_detail, STATUS_CONFIG, "%s is there twice", key);
        if (!settings[i].read(draft->policy, value))
            return detail_set(ret_detail, STATUS_CONFIG, "%s is '%s'; expected %s", key, value,
                              settings[i].expected);
        draft->seen |= 1u << i;
        return STATUS_OK;
    }
    return detail_set(ret_detail, STATUS_CONFIG,
                      "unknown key '%s'; there are match, key, quota, window, cost, mode, "
                      "max_keys, max_units",
                      key);
}

enum status policy_draft_finish(struct policy_set *set, const struct policy_draft *draft,
                                struct detail *ret_detail)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        if (settings[i].needed && (draft->seen & 1u << i) == 0)
            return detail_set(ret_detail, STATUS_CONFIG, "policy '%s' has no %s",
                              draft->policy->name, settings[i].name);
    }
    set->count++;
    return STATUS_OK;
}

/* ---- canonical text ---- */

static void render_policy(const struct policy *policy, struct buffer *text)
{
    buffer_append_text(text, "[policy \"");
    buffer_append_text(text, policy->name);
    buffer_append_text(text, "\"]\n");
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        char value[SETTING_TEXT_BYTES];
        settings[i].write(policy, value);
        buffer_append_text(text, settings[i].name);
        buffer_append_text(text, " = ");
        buffer_append_text(text, value);
        buffer_append_text(text, "\n");
    }
}

enum status policy_set_render(struct policy_set *set, struct detail *ret_detail)
{
    struct buffer text;
    buffer_init(&text, POLICY_TEXT_BYTES_MAX - 1);
    for (uint32_t i = 0; i < set->count; i++) {
        if (i > 0)
            buffer_append_text(&text, "\n");
        render_policy(&set->items[i], &text);
    }
    enum status status = text.status;
    if (status == STATUS_OK) {
        if (text.size > 0)
            memcpy(set->text, text.data, text.size);
        set->text[text.size] = '\0';
    } else if (status == STATUS_FULL) {
        status = detail_set(ret_detail, STATUS_CONFIG,
                            "the policies written out are longer than %d bytes",
                            POLICY_TEXT_BYTES_MAX - 1);
    } else {
        status = detail_set(ret_detail, status, "%s", status_text(status));
    }
    buffer_fini(&text);
    return status;
}
