#include "common/policy/policy.h"

#include <assert.h>
#include <string.h>

#include "common/base/glob.h"
#include "common/event/codec.h"

#define OWN_TYPES_PREFIX "weir" /* types that begin so are the processor's own events */

static bool is_own_type(struct slice type)
{
    size_t size = sizeof OWN_TYPES_PREFIX - 1;
    return type.size >= size && memcmp(type.data, OWN_TYPES_PREFIX, size) == 0;
}

bool policy_matches(const struct policy *policy, struct slice type)
{
    if (type.size > 0 && type.data[0] == 'w' && is_own_type(type))
        return false;
    if (policy->match[0] == '*' && policy->match[1] == '\0')
        return true;
    return glob_matches(policy->match, type);
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->match, b->match) == 0 &&
           strcmp(a->key_field, b->key_field) == 0 && strcmp(a->cost_field, b->cost_field) == 0 &&
           a->quota == b->quota && a->window_ns == b->window_ns && a->cost == b->cost &&
           a->keys_max == b->keys_max && a->units_max == b->units_max && a->key == b->key &&
           a->mode == b->mode;
}

static enum status find_field(const struct policy *policy, const char *path,
                              const struct event *event, struct mp_reader *ret_value,
                              struct detail *ret_detail)
{
    if (event_field(event->data, slice_of_text(path), ret_value) == STATUS_OK)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_INVALID, "policy %s: data.%s is missing", policy->name,
                      path);
}

/* Keys are written member by member, where they are wanted: this runs for every event and policy,
 * and to copy a struct right after its members were written waits for them. */
static void set_text_key(struct policy_key_value *key, struct slice text)
{
    key->text = text;
    key->bits = 0;
    key->is_text = true;
    key->is_negative = false;
}

static void set_integer_key(struct policy_key_value *key, uint64_t bits, bool is_negative)
{
    key->text = (struct slice){0};
    key->bits = bits;
    key->is_text = false;
    key->is_negative = is_negative;
}

/* A string, or an integer of either sign. */
static enum status read_key(struct mp_reader *value, struct policy_key_value *ret_key)
{
    struct slice text;
    uint64_t bits;
    int64_t negative;
    if (mp_read_text(value, &text) == STATUS_OK)
        set_text_key(ret_key, text);
    else if (mp_read_uint(value, &bits) == STATUS_OK)
        set_integer_key(ret_key, bits, false);
    else if (mp_read_int(value, &negative) == STATUS_OK)
        set_integer_key(ret_key, (uint64_t)negative, true);
    else
        return STATUS_INVALID;
    return STATUS_OK;
}

static enum status key_of_field(const struct policy *policy, const struct event *event,
                                struct policy_key_value *ret_key, struct detail *ret_detail)
{
    struct mp_reader value;
    enum status status = find_field(policy, policy->key_field, event, &value, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (read_key(&value, ret_key) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID,
                          "policy %s: data.%s is neither a string nor an integer", policy->name,
                          policy->key_field);
    if (ret_key->is_text && ret_key->text.size > POLICY_KEY_BYTES_MAX)
        return detail_set(ret_detail, STATUS_INVALID, "policy %s: data.%s is longer than %d bytes",
                          policy->name, policy->key_field, POLICY_KEY_BYTES_MAX);
    return STATUS_OK;
}

static enum status key_of(const struct policy *policy, struct slice source,
                          const struct event *event, struct policy_key_value *ret_key,
                          struct detail *ret_detail)
{
    switch (policy->key) {
    case POLICY_KEY_SOURCE:
        set_text_key(ret_key, source);
        return STATUS_OK;
    case POLICY_KEY_SUBJECT:
        set_text_key(ret_key, event->subject);
        return STATUS_OK;
    case POLICY_KEY_TYPE:
        set_text_key(ret_key, event->type);
        return STATUS_OK;
    case POLICY_KEY_GLOBAL:
        set_text_key(ret_key, slice_of_text("global"));
        return STATUS_OK;
    case POLICY_KEY_FIELD:
        return key_of_field(policy, event, ret_key, ret_detail);
    }
    assert(false && "a key that policy_set_parse does not know");
    return STATUS_INVALID;
}

static enum status cost_of(const struct policy *policy, const struct event *event,
                           uint64_t *ret_cost, struct detail *ret_detail)
{
    if (policy->cost_field[0] == '\0') {
        *ret_cost = policy->cost;
        return STATUS_OK;
    }
    struct mp_reader value;
    enum status status = find_field(policy, policy->cost_field, event, &value, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (mp_read_uint(&value, ret_cost) != STATUS_OK)
        return detail_set(ret_detail, STATUS_INVALID,
                          "policy %s: data.%s is not an integer from 0 on", policy->name,
                          policy->cost_field);
    return STATUS_OK;
}

enum status policy_charge(const struct policy *policy, struct slice source,
                          const struct event *event, struct charge *ret_charge,
                          struct detail *ret_detail)
{
    enum status status = key_of(policy, source, event, &ret_charge->key, ret_detail);
    if (status == STATUS_OK)
        status = cost_of(policy, event, &ret_charge->cost, ret_detail);
    return status;
}

/* Are these the decimal digits of the number, and no more than it takes? From the last one on, so
 * that most numbers are told apart at once. */
static bool digits_are(uint64_t number, struct slice digits)
{
    if (digits.size == 0 || (digits.size > 1 && digits.data[0] == '0'))
        return false;
    for (size_t i = digits.size; i > 0; i--, number /= 10)
        if (digits.data[i - 1] != '0' + number % 10)
            return false;
    return number == 0;
}

bool policy_key_is(const struct policy_key_value *key, struct slice text)
{
    if (key->is_text)
        return slice_equal(key->text, text);
    if (!key->is_negative)
        return digits_are(key->bits, text);
    return text.size > 0 && text.data[0] == '-' &&
           digits_are(0 - key->bits, (struct slice){text.data + 1, text.size - 1});
}

void policy_key_write(const struct policy_key_value *key, struct buffer *buffer)
{
    if (key->is_text)
        codec_text_slice(buffer, key->text);
    else if (key->is_negative)
        codec_int(buffer, (int64_t)key->bits);
    else
        codec_uint(buffer, key->bits);
}
