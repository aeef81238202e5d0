#include "producer/core/burst.h"

#include <string.h>

#include "common/event/codec.h"
#include "common/wire/submission.h"

enum {
    TYPE_BYTES_MAX = EVENT_TYPE_BYTES_MAX + 1,
    SUBMISSION_BURST_EVENTS_MAX = 4096,
    SUBMISSION_BURST_BYTES_MAX = SUBMISSION_BYTES_MAX / 2,
};

/* What `data` must hold so that the policies can charge the event. */
struct field {
    const char *path; /* dotted */
    bool is_key;      /* the marker; else a number of units */
    uint64_t units;
};
struct fields {
    struct field items[2 * POLICIES_MAX];
    uint32_t count;
};

/* One policy under attack. */
struct aim {
    const struct policy_set *policies;
    const struct policy *target;
    const struct injection_place *place;
    char type[TYPE_BYTES_MAX];
    bool own_type; /* BURST_TYPE */
};

void burst_init(struct burst *burst)
{
    *burst = (struct burst){0};
    buffer_init(&burst->event, EVENT_BYTES_MAX);
}

void burst_fini(struct burst *burst)
{
    buffer_fini(&burst->event);
}

/* ---- the event ---- */

/* BURST_TYPE where the policy matches it, else the policy's glob with something for each wildcard.
 * False if that is no type. */
static bool aim_type(struct aim *aim)
{
    aim->own_type = policy_matches(aim->target, slice_of_text(BURST_TYPE));
    const char *glob = aim->own_type ? BURST_TYPE : aim->target->match;
    size_t size = 0;
    for (; *glob != '\0'; glob++) {
        const char *part = (char[]){*glob, '\0'};
        if (*glob == '*')
            part = "inject";
        else if (*glob == '?')
            part = "x";
        size_t more = strlen(part);
        if (size + more >= TYPE_BYTES_MAX)
            return false;
        memcpy(aim->type + size, part, more);
        size += more;
    }
    aim->type[size] = '\0';
    return policy_matches(aim->target, slice_of_text(aim->type));
}

static void field_add(struct fields *fields, struct field field)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (strcmp(fields->items[i].path, field.path) == 0)
            return;
    fields->items[fields->count++] = field;
}

static void policy_fields(const struct policy *policy, uint64_t units, struct fields *fields)
{
    if (policy->key == POLICY_KEY_FIELD)
        field_add(fields, (struct field){.path = policy->key_field, .is_key = true});
    if (policy->cost_field[0] != '\0')
        field_add(fields, (struct field){.path = policy->cost_field, .units = units});
}

static bool enforced(const struct aim *aim, const struct policy *policy)
{
    return policy->mode == POLICY_ENFORCE && policy_matches(policy, slice_of_text(aim->type));
}

/* The target's fields come first; to all other policies the event costs nothing if it can. */
static void aim_fields(const struct aim *aim, struct fields *ret_fields)
{
    ret_fields->count = 0;
    uint64_t units = (aim->target->quota + BURST_COST_PARTS - 1) / BURST_COST_PARTS;
    policy_fields(aim->target, units, ret_fields);
    for (uint32_t i = 0; i < aim->policies->count; i++) {
        const struct policy *policy = &aim->policies->items[i];
        if (enforced(aim, policy))
            policy_fields(policy, 0, ret_fields);
    }
}

/* One member of data: a map in a map for each dot. Paths that begin alike make a key come twice;
 * the check of the whole event finds it. */
static void field_write(const struct field *field, struct slice marker, struct buffer *event)
{
    const char *step = field->path;
    for (const char *dot = strchr(step, '.'); dot != NULL; dot = strchr(step, '.')) {
        codec_text_slice(event, (struct slice){(const uint8_t *)step, (size_t)(dot - step)});
        codec_map(event, 1);
        step = dot + 1;
    }
    codec_text(event, step);
    if (field->is_key)
        codec_text_slice(event, marker);
    else
        codec_uint(event, field->units);
}

static void event_write(const struct aim *aim, struct buffer *event)
{
    struct fields fields;
    aim_fields(aim, &fields);
    codec_array(event, 5);
    codec_uint(event, aim->place->time_ns);
    codec_text(event, aim->type);
    codec_text_slice(event, aim->place->marker);
    codec_uint(event, 1);
    codec_map(event, fields.count);
    for (uint32_t i = 0; i < fields.count; i++)
        field_write(&fields.items[i], aim->place->marker, event);
}

/* ---- how many ---- */

/* Does the policy count the injector's events apart from all others? */
static bool key_is_own(const struct aim *aim, const struct policy *policy)
{
    switch (policy->key) {
    case POLICY_KEY_GLOBAL:
        return false;
    case POLICY_KEY_TYPE:
        return aim->own_type;
    case POLICY_KEY_FIELD: /* a path that is a cost too holds a number, as others' events may */
        return strcmp(policy->key_field, aim->target->cost_field) != 0;
    default:
        return true;
    }
}

/* Events that fit into the policy's window; UINT64_MAX: it does not count them. False if it cannot
 * charge the event. */
static bool policy_fits(const struct aim *aim, const struct policy *policy,
                        const struct event *event, uint64_t *ret_fits)
{
    struct charge charge;
    if (policy_charge(policy, aim->place->source, event, &charge, NULL) != STATUS_OK)
        return false;
    *ret_fits = charge.cost == 0 ? UINT64_MAX : policy->quota / charge.cost;
    return true;
}

/* Sets how many fit and how many to send. False if the target cannot be exceeded alone. */
static bool aim_count(const struct aim *aim, const struct event *event, struct burst *burst)
{
    if (!policy_fits(aim, aim->target, event, &burst->fits) ||
        burst->fits > BURST_EVENTS_MAX - BURST_BEYOND)
        return false;
    burst->events = burst->fits + BURST_BEYOND;
    for (uint32_t i = 0; i < aim->policies->count; i++) {
        const struct policy *policy = &aim->policies->items[i];
        uint64_t fits;
        if (policy == aim->target || !enforced(aim, policy))
            continue;
        if (!policy_fits(aim, policy, event, &fits) || fits < burst->fits)
            return false;
        if (!key_is_own(aim, policy) && fits / BURST_SHARE < burst->events)
            return false;
    }
    return true;
}

/* False: not this policy. A failure to allocate sticks in the burst's event. */
static bool aim_plan(struct aim *aim, struct burst *burst)
{
    const struct policy *target = aim->target;
    if (target->mode != POLICY_ENFORCE || target->window_ns < BURST_WINDOW_NS_MIN ||
        !aim_type(aim) || !key_is_own(aim, target))
        return false;
    event_write(aim, &burst->event);
    struct mp_reader reader = mp_reader_of(buffer_slice(&burst->event));
    struct event event;
    if (burst->event.status != STATUS_OK || event_read(&reader, &event, NULL, NULL) != STATUS_OK ||
        !aim_count(aim, &event, burst))
        return false;
    burst->window_ns = target->window_ns;
    burst->key = target->key;
    memcpy(burst->policy, target->name, sizeof burst->policy);
    return true;
}

enum status burst_plan(const struct policy_set *policies, const struct injection_place *place,
                       struct burst *ret_burst, struct detail *ret_detail)
{
    bool found = false, found_own = false;
    enum status memory = STATUS_OK;
    for (uint32_t i = 0; i < policies->count; i++) {
        struct aim aim = {.policies = policies, .target = &policies->items[i], .place = place};
        struct burst burst;
        burst_init(&burst);
        bool usable = aim_plan(&aim, &burst);
        bool better = !found || (aim.own_type && !found_own) ||
                      (aim.own_type == found_own && burst.events < ret_burst->events);
        if (burst.event.status == STATUS_NO_MEMORY)
            memory = STATUS_NO_MEMORY;
        if (usable && better) {
            burst_fini(ret_burst);
            *ret_burst = burst;
            found = true;
            found_own = aim.own_type;
        } else {
            burst_fini(&burst);
        }
    }
    if (memory != STATUS_OK)
        return detail_set(ret_detail, memory, "no memory for a burst");
    if (!found)
        return detail_set(ret_detail, STATUS_NOT_FOUND,
                          "no policy in force limits one source, subject, type or field to fewer "
                          "than %d events within a window of a second or more",
                          BURST_EVENTS_MAX - BURST_BEYOND);
    return STATUS_OK;
}

/* ---- the submissions ---- */

uint32_t burst_build(const struct burst *burst, const struct injection_place *place, uint64_t left,
                     struct buffer *bytes)
{
    uint64_t events = SUBMISSION_BURST_BYTES_MAX / burst->event.size;
    if (events > SUBMISSION_BURST_EVENTS_MAX)
        events = SUBMISSION_BURST_EVENTS_MAX;
    if (events > left)
        events = left;
    injection_header(place, (uint32_t)events, bytes);
    for (uint64_t i = 0; i < events; i++)
        buffer_append(bytes, burst->event.data, burst->event.size);
    return (uint32_t)events;
}
