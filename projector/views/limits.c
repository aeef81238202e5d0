/* limits: what each policy let through and refused, by key.
 *
 * `accepted` is the sum of the costs of accepted events, under every policy in force that matches
 * them; `refused` the number of events refused as rate_limited, by the policy that refused them;
 * `last_refused_at` log time, nil if never. Reports of shadow policies are no refusals. An event of
 * cost 0 spends nothing and makes no row.
 */
#include <assert.h>

#include "common/event/codec.h"
#include "common/event/upcast/upcast.h"
#include "projector/views/view.h"

enum {
    KEY_BYTES_MAX = 2 * CODEC_TEXT_HEADER_BYTES_MAX + POLICY_NAME_BYTES_MAX + POLICY_KEY_BYTES_MAX
};

struct value {
    uint64_t accepted;           /* units */
    uint64_t refused;            /* events */
    uint64_t last_refused_at_ns; /* meaningful where refused > 0 */
};

/* A key and where it hashes to, kept while its row is on its way to the cache. */
struct place {
    uint64_t hash;
    uint64_t cost;    /* units */
    uint32_t guess;   /* of the row, by rows_prefetch_row */
    struct slice key; /* in the caller's memory */
};

/* A negative integer needs the general writer; there is none at a pointer. */
static uint8_t *put_negative(uint8_t *at, const struct policy_key_value *key)
{
    struct buffer item;
    buffer_init(&item, CODEC_UINT_BYTES_MAX);
    policy_key_write(key, &item);
    at = codec_put_bytes(at, buffer_slice(&item));
    buffer_fini(&item);
    return at;
}

/* Writes the key at `at` (KEY_BYTES_MAX are free) and returns the next free byte. */
static uint8_t *place_set(struct place *place, uint8_t *at, struct slice policy,
                          const struct policy_key_value *key)
{
    uint8_t *end = codec_put_text(at, policy);
    if (key->is_text)
        end = codec_put_text(end, key->text);
    else if (key->is_negative)
        end = put_negative(end, key);
    else
        end = codec_put_uint(end, key->bits);
    place->key = (struct slice){at, (size_t)(end - at)};
    assert(place->key.size <= KEY_BYTES_MAX);
    return end;
}

/* --- accepted --- */

/* What the event spends; policies see it as it was submitted. */
static enum status charge_of(const struct policy *policy, const struct accepted_record *record,
                             struct charge *ret_charge)
{
    if (!upcast_was(&record->event))
        return policy_charge(policy, record->source, &record->event, ret_charge, NULL);
    struct event submitted = upcast_original(&record->event);
    return policy_charge(policy, record->source, &submitted, ret_charge, NULL);
}

static void charge_policy(struct rows *rows, const struct policy *policy,
                          const struct accepted_record *records, uint32_t count)
{
    struct place places[VIEW_GROUP_MAX];
    uint8_t keys[VIEW_GROUP_MAX * KEY_BYTES_MAX]; /* one behind the other: few cache lines */
    uint8_t *at = keys;
    uint32_t used = 0;
    struct slice name = slice_of_text(policy->name);
    for (uint32_t i = 0; i < count; i++) {
        struct charge charge;
        if (!policy_matches(policy, records[i].event.type) ||
            charge_of(policy, &records[i], &charge) != STATUS_OK || charge.cost == 0)
            continue;
        places[used].cost = charge.cost;
        at = place_set(&places[used++], at, name, &charge.key);
    }
    /* Not before all are written: words just written in pieces are slow to read. */
    for (uint32_t i = 0; i < used; i++) {
        places[i].hash = rows_hash(rows, places[i].key);
        rows_prefetch_place(rows, places[i].hash);
    }
    for (uint32_t i = 0; i < used; i++)
        places[i].guess = rows_prefetch_row(rows, places[i].hash);
    for (uint32_t i = 0; i < used; i++) {
        struct value *value = rows_at_guess(rows, places[i].guess, places[i].hash, places[i].key);
        if (value != NULL)
            value->accepted += places[i].cost;
    }
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    for (uint32_t i = 0; i < context->policies->count; i++)
        charge_policy(rows, &context->policies->items[i], records, count);
}

/* --- rejected --- */

/* The key of a record, which is text or an integer. */
static bool read_key(struct slice item, struct policy_key_value *ret_key)
{
    struct mp_reader reader = mp_reader_of(item);
    struct policy_key_value key = {0};
    int64_t number;
    key.is_text = mp_read_text(&reader, &key.text) == STATUS_OK;
    if (!key.is_text && mp_read_uint(&reader, &key.bits) != STATUS_OK) {
        if (mp_read_int(&reader, &number) != STATUS_OK)
            return false;
        key.is_negative = true;
        key.bits = (uint64_t)number;
    }
    *ret_key = key;
    return !key.is_text || key.text.size <= POLICY_KEY_BYTES_MAX;
}

static void refuse(struct rows *rows, const struct rejection *record)
{
    struct policy_key_value key;
    struct place place;
    uint8_t bytes[KEY_BYTES_MAX];
    if (record->reason != REASON_RATE_LIMITED || record->policy.size == 0 ||
        record->policy.size > POLICY_NAME_BYTES_MAX || !read_key(record->key, &key))
        return;
    (void)place_set(&place, bytes, record->policy, &key);
    struct value *value = rows_at(rows, rows_hash(rows, place.key), place.key);
    if (value == NULL)
        return;
    value->refused += record->count;
    value->last_refused_at_ns = record->rejected_at_ns;
}

static void apply_rejected(struct rows *rows, const struct view_context *context,
                           const struct rejection *records, uint32_t count)
{
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        refuse(rows, &records[i]);
}

/* --- columns --- */

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_uint(buffer, v->accepted);
    codec_uint(buffer, v->refused);
    if (v->refused > 0)
        codec_uint(buffer, v->last_refused_at_ns);
    else
        codec_nil(buffer);
}

static const char *const columns[] = {"policy", "key", "accepted", "refused", "last_refused_at"};

const struct view_type view_limits = {
    .name = "limits",
    .columns = columns,
    .column_count = 5,
    .key_column_count = 2,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
    .apply_rejected = apply_rejected,
};
