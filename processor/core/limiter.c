#include "processor/core/limiter.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/prefetch.h"

enum {
    SLOT_KEY_BYTES = 39, /* longer keys are on the heap; a UUID as text is 36 */
    SLOT_FREE = UINT8_MAX,
};

struct slot {
    struct window window;        /* its first bytes link free slots in the pool */
    uint8_t key_size;            /* SLOT_FREE: not in use */
    uint8_t key[SLOT_KEY_BYTES]; /* the key, or a pointer to it */
};
static_assert(sizeof(struct slot) == POOL_CELL_BYTES, "a slot is one cache line");
static_assert((int)POLICY_KEY_BYTES_MAX < (int)SLOT_FREE,
              "key sizes and the mark of a free slot differ");
static_assert(POLICY_KEYS_MAX_LARGEST <= 1u << 30, "a table holds that many");

static struct slot *slot_at(const struct limiter *limiter, uint32_t index)
{
    return pool_at(&limiter->slots, index);
}

/* ---- keys ---- */

/* The bytes that stand for a key in the table: a text as it is; an integer as a byte that no text
 * begins with, since texts are UTF-8, and eight more. So 5 and "5" are two keys. */
static struct slice key_bytes(const struct policy_key_value *key, uint8_t *integer)
{
    if (key->is_text)
        return key->text;
    uint64_t bits = htole64(key->bits); /* snapshots hold these bytes */
    integer[0] = key->is_negative ? 0xfe : 0xff;
    memcpy(integer + 1, &bits, sizeof bits);
    return (struct slice){.data = integer, .size = LIMITER_INTEGER_KEY_BYTES};
}

bool limiter_key_value(struct slice bytes, struct policy_key_value *ret_key)
{
    bool is_text = bytes.size == 0 || bytes.data[0] < 0xfe;
    if (bytes.size > (is_text ? POLICY_KEY_BYTES_MAX : LIMITER_INTEGER_KEY_BYTES))
        return false;
    *ret_key = (struct policy_key_value){.is_text = is_text};
    if (is_text) {
        ret_key->text = bytes;
        return true;
    }
    if (bytes.size != LIMITER_INTEGER_KEY_BYTES)
        return false;
    memcpy(&ret_key->bits, bytes.data + 1, sizeof ret_key->bits);
    ret_key->bits = le64toh(ret_key->bits);
    ret_key->is_negative = bytes.data[0] == 0xfe;
    return true;
}

void limiter_charge_init(struct candidate_charge *charge, const struct hash_seed *seed,
                         uint32_t policy, const struct charge *spends)
{
    uint8_t integer[LIMITER_INTEGER_KEY_BYTES];
    struct slice key = key_bytes(&spends->key, integer);
    charge->hash = hash_keyed(seed, key.data, key.size);
    charge->key = spends->key;
    charge->cost = spends->cost;
    charge->policy = policy;
    charge->slot_hint = TABLE_NONE;
}

static uint8_t *long_key(const struct slot *slot)
{
    uint8_t *bytes;
    memcpy(&bytes, slot->key, sizeof bytes);
    return bytes;
}

static bool slot_has_hash(const struct slot *slot, uint64_t hash)
{
    return slot->window.mark == (uint32_t)(hash >> 32);
}

static bool slot_has_key(const struct slot *slot, struct slice key)
{
    if (slot->key_size != key.size)
        return false;
    const uint8_t *bytes = key.size <= SLOT_KEY_BYTES ? slot->key : long_key(slot);
    return equal_short(bytes, key.data, key.size);
}

static enum status slot_set_key(struct slot *slot, struct slice key)
{
    if (key.size > SLOT_KEY_BYTES) {
        uint8_t *bytes = malloc(key.size);
        if (bytes == NULL)
            return STATUS_NO_MEMORY;
        memcpy(bytes, key.data, key.size);
        memcpy(slot->key, &bytes, sizeof bytes);
        /* cppcheck-suppress memleak ; the slot keeps it, see slot_free_key */
    } else if (key.size > 0) {
        memcpy(slot->key, key.data, key.size);
    }
    slot->key_size = (uint8_t)key.size;
    return STATUS_OK;
}

static void slot_free_key(struct slot *slot)
{
    if (slot->key_size != SLOT_FREE && slot->key_size > SLOT_KEY_BYTES)
        free(long_key(slot));
    slot->key_size = SLOT_FREE;
}

static bool key_equal(const void *owner, uint32_t index, struct slice key)
{
    return slot_has_key(slot_at(owner, index), key);
}

/* ---- life ---- */

void limiter_init(struct limiter *limiter, const struct policy *policy)
{
    *limiter = (struct limiter){
        .quota = policy->quota,
        .window_ns = policy->window_ns,
        .keys_max = policy->keys_max,
        .units_max = policy->units_max,
    };
    table_init(&limiter->table, (uint32_t)policy->keys_max);
    pool_init(&limiter->slots);
    pool_init(&limiter->chunks);
    window_init(&limiter->accepted);
}

void limiter_fini(struct limiter *limiter)
{
    for (uint32_t i = 0; i < limiter->slots.cell_count; i++)
        slot_free_key(slot_at(limiter, i));
    table_fini(&limiter->table);
    pool_fini(&limiter->slots);
    pool_fini(&limiter->chunks);
    free(limiter->heap);
    *limiter = (struct limiter){0};
}

void limiter_narrow(struct limiter *limiter, struct slice only)
{
    assert(limiter->keys_live == 0 && limiter_units(limiter) == 0);
    limiter->only = only;
}

static bool keeps(const struct limiter *limiter, const struct policy_key_value *key)
{
    return !limiter_is_narrow(limiter) || policy_key_is(key, limiter->only);
}

bool limiter_keeps(const struct limiter *limiter, struct slice key)
{
    struct policy_key_value value;
    return !limiter_key_value(key, &value) || keeps(limiter, &value);
}

/* ---- the heap of live keys ---- */

static enum status heap_reserve(struct limiter *limiter)
{
    struct live_key *heap =
        array_reach(limiter->heap, &limiter->heap_capacity, limiter->keys_live, sizeof *heap);
    if (heap == NULL)
        return STATUS_NO_MEMORY;
    limiter->heap = heap;
    return STATUS_OK;
}

static void heap_push(struct limiter *limiter, struct live_key entry)
{
    struct live_key *heap = limiter->heap;
    uint32_t at = limiter->keys_live++;
    while (at > 0 && heap[(at - 1) / 2].newest_ns > entry.newest_ns) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

/* Puts `entry` in the place of the least one. */
static void heap_replace_top(struct limiter *limiter, struct live_key entry)
{
    struct live_key *heap = limiter->heap;
    uint32_t at = 0, count = limiter->keys_live;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].newest_ns < heap[child].newest_ns)
            child++;
        if (heap[child].newest_ns >= entry.newest_ns)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void heap_pop(struct limiter *limiter)
{
    limiter->keys_live--;
    if (limiter->keys_live > 0)
        heap_replace_top(limiter, limiter->heap[limiter->keys_live]);
}

/* ---- time ---- */

static void forget_key(struct limiter *limiter, uint32_t index)
{
    struct slot *slot = slot_at(limiter, index);
    table_remove(&limiter->table, (uint64_t)slot->window.mark << 32, index);
    slot_free_key(slot);
    pool_give(&limiter->slots, index);
}

/* The key whose bound is least: forgotten if it has ended, else put back with its true stamp. */
static void review_top(struct limiter *limiter)
{
    uint32_t index = limiter->heap[0].slot;
    struct window *window = &slot_at(limiter, index)->window;
    window_trim(window, &limiter->chunks, limiter->now_ns, limiter->window_ns);
    if (window->units == 0) {
        heap_pop(limiter);
        forget_key(limiter, index);
    } else {
        uint64_t newest_ns = window_newest_ns(window, &limiter->chunks);
        heap_replace_top(limiter, (struct live_key){.newest_ns = newest_ns, .slot = index});
    }
}

enum status limiter_expire(struct limiter *limiter, uint64_t now_ns)
{
    assert(now_ns >= limiter->now_ns);
    if (limiter->accepted_now > 0) {
        enum status status = window_add(&limiter->accepted, &limiter->chunks, limiter->now_ns,
                                        limiter->accepted_now, limiter->window_ns);
        if (status != STATUS_OK)
            return status;
        limiter->accepted_now = 0;
    }
    limiter->now_ns = now_ns;
    window_trim(&limiter->accepted, &limiter->chunks, now_ns, limiter->window_ns);
    while (limiter->keys_live > 0 &&
           window_expired(limiter->heap[0].newest_ns, now_ns, limiter->window_ns))
        review_top(limiter);
    return STATUS_OK;
}

/* ---- questions ---- */

/* The slot of a key, or TABLE_NONE. The hint is right unless the key came or went since. */
static uint32_t find_slot(const struct limiter *limiter, const struct candidate_charge *charge,
                          struct slice key)
{
    if (charge->slot_hint < limiter->slots.cell_count) {
        const struct slot *slot = slot_at(limiter, charge->slot_hint);
        if (slot_has_hash(slot, charge->hash) && slot_has_key(slot, key))
            return charge->slot_hint;
    }
    return table_find(&limiter->table, charge->hash, key, key_equal, limiter);
}

static enum limiter_room room_for(const struct limiter *limiter, uint32_t slot)
{
    if (slot == TABLE_NONE && limiter->keys_live >= limiter->keys_max)
        return LIMITER_KEYS_FULL;
    if (limiter_units(limiter) >= limiter->units_max)
        return LIMITER_UNITS_FULL;
    return LIMITER_ROOM;
}

struct assay limiter_assay(const struct limiter *limiter, const struct candidate_charge *charge)
{
    struct assay assay = {.wait_ns = 0, .room = LIMITER_ROOM, .slot = TABLE_NONE};
    if (charge->cost == 0)
        return assay;
    uint8_t integer[LIMITER_INTEGER_KEY_BYTES];
    assay.slot = find_slot(limiter, charge, key_bytes(&charge->key, integer));
    assay.room = room_for(limiter, assay.slot);
    if (charge->cost > limiter->quota)
        assay.wait_ns = WINDOW_NEVER;
    else if (assay.slot != TABLE_NONE)
        assay.wait_ns =
            window_wait_ns(&slot_at(limiter, assay.slot)->window, &limiter->chunks,
                           limiter->quota - charge->cost, limiter->now_ns, limiter->window_ns);
    return assay;
}

/* ---- changes ---- */

/* A key without entries, with room for it in the heap. */
static enum status enter_key(struct limiter *limiter, uint64_t hash, struct slice key,
                             uint32_t *ret_index)
{
    uint32_t index;
    enum status status = heap_reserve(limiter);
    if (status == STATUS_OK)
        status = pool_take(&limiter->slots, &index);
    if (status != STATUS_OK)
        return status;
    struct slot *slot = slot_at(limiter, index);
    window_init(&slot->window);
    slot->window.mark = (uint32_t)(hash >> 32);
    slot->key_size = SLOT_FREE;
    status = slot_set_key(slot, key);
    if (status == STATUS_OK)
        status = table_insert(&limiter->table, hash, index);
    if (status != STATUS_OK) {
        slot_free_key(slot);
        pool_give(&limiter->slots, index);
        return status;
    }
    *ret_index = index;
    return STATUS_OK;
}

static enum status find_or_enter(struct limiter *limiter, const struct candidate_charge *charge,
                                 uint32_t *ret_slot)
{
    uint8_t integer[LIMITER_INTEGER_KEY_BYTES];
    struct slice key = key_bytes(&charge->key, integer);
    uint32_t slot = find_slot(limiter, charge, key);
    enum status status = STATUS_OK;
    if (slot == TABLE_NONE) {
        status = enter_key(limiter, charge->hash, key, &slot);
        if (status == STATUS_OK)
            heap_push(limiter, (struct live_key){.newest_ns = limiter->now_ns, .slot = slot});
    }
    *ret_slot = slot;
    return status;
}

enum status limiter_spend(struct limiter *limiter, const struct candidate_charge *charge,
                          uint32_t slot)
{
    enum status status = STATUS_OK;
    limiter->accepted_now++;
    if (slot == TABLE_NONE && !keeps(limiter, &charge->key))
        return STATUS_OK;
    if (slot == TABLE_NONE)
        status = find_or_enter(limiter, charge, &slot);
    if (status != STATUS_OK)
        return status;
    assert(slot_has_hash(slot_at(limiter, slot), charge->hash));
    uint64_t counts = charge->cost < limiter->quota ? charge->cost : limiter->quota;
    return window_add(&slot_at(limiter, slot)->window, &limiter->chunks, limiter->now_ns, counts,
                      limiter->window_ns);
}

void limiter_trim(struct limiter *limiter, const struct candidate_charge *charge)
{
    uint8_t integer[LIMITER_INTEGER_KEY_BYTES];
    uint32_t slot = find_slot(limiter, charge, key_bytes(&charge->key, integer));
    if (slot != TABLE_NONE)
        window_trim(&slot_at(limiter, slot)->window, &limiter->chunks, limiter->now_ns,
                    limiter->window_ns);
}

/* ---- going through, bringing back ---- */

bool limiter_slot(const struct limiter *limiter, uint32_t index, struct slice *ret_key,
                  struct window_walk *ret_walk)
{
    const struct slot *slot = slot_at(limiter, index);
    if (slot->key_size == SLOT_FREE)
        return false;
    const uint8_t *bytes = slot->key_size <= SLOT_KEY_BYTES ? slot->key : long_key(slot);
    *ret_key = (struct slice){.data = bytes, .size = slot->key_size};
    window_walk_init(ret_walk, &slot->window, &limiter->chunks, limiter->now_ns,
                     limiter->window_ns);
    return true;
}

void limiter_accepted_walk(const struct limiter *limiter, struct window_walk *ret_walk)
{
    window_walk_init(ret_walk, &limiter->accepted, &limiter->chunks, limiter->now_ns,
                     limiter->window_ns);
}

void limiter_restore_begin(struct limiter *limiter, uint64_t now_ns)
{
    assert(limiter->keys_live == 0 && limiter_units(limiter) == 0);
    limiter->now_ns = now_ns;
}

static bool counts(const struct limiter *limiter, uint64_t stamp_ns)
{
    return stamp_ns <= limiter->now_ns &&
           !window_expired(stamp_ns, limiter->now_ns, limiter->window_ns);
}

enum status limiter_restore_key(struct limiter *limiter, const struct hash_seed *seed,
                                struct slice key, uint64_t oldest_ns, uint32_t *ret_slot)
{
    struct policy_key_value value;
    if (!limiter_key_value(key, &value) || !counts(limiter, oldest_ns))
        return STATUS_INVALID;
    uint64_t hash = hash_keyed(seed, key.data, key.size);
    if (table_find(&limiter->table, hash, key, key_equal, limiter) != TABLE_NONE)
        return STATUS_INVALID;
    return enter_key(limiter, hash, key, ret_slot);
}

/* Entries come in order, and all count. */
static bool continues(const struct limiter *limiter, const struct window *window, uint64_t stamp_ns)
{
    return counts(limiter, stamp_ns) &&
           (window->tail == POOL_NONE || window_newest_ns(window, &limiter->chunks) < stamp_ns);
}

enum status limiter_restore_units(struct limiter *limiter, uint32_t slot, uint64_t stamp_ns,
                                  uint64_t cost)
{
    struct window *window = &slot_at(limiter, slot)->window;
    if (cost == 0 || !continues(limiter, window, stamp_ns))
        return STATUS_INVALID;
    return window_add(window, &limiter->chunks, stamp_ns, cost, limiter->window_ns);
}

void limiter_restore_live(struct limiter *limiter, uint32_t slot)
{
    uint64_t newest_ns = window_newest_ns(&slot_at(limiter, slot)->window, &limiter->chunks);
    heap_push(limiter, (struct live_key){.newest_ns = newest_ns, .slot = slot});
}

enum status limiter_restore_accepted(struct limiter *limiter, uint64_t stamp_ns, uint64_t count)
{
    if (count == 0 || limiter->accepted_now > 0 ||
        !continues(limiter, &limiter->accepted, stamp_ns))
        return STATUS_INVALID;
    if (stamp_ns == limiter->now_ns) {
        limiter->accepted_now = count;
        return STATUS_OK;
    }
    return window_add(&limiter->accepted, &limiter->chunks, stamp_ns, count, limiter->window_ns);
}

/* ---- prefetch ---- */

static bool any_key(const void *owner, uint32_t index, struct slice key)
{
    (void)owner;
    (void)index;
    (void)key;
    return true;
}

void limiter_prefetch_bucket(const struct limiter *limiter, const struct candidate_charge *charge)
{
    table_prefetch(&limiter->table, charge->hash);
}

void limiter_prefetch_slot(const struct limiter *limiter, struct candidate_charge *charge)
{
    struct slice key = {0};
    charge->slot_hint = table_find(&limiter->table, charge->hash, key, any_key, limiter);
    if (charge->slot_hint != TABLE_NONE)
        prefetch(slot_at(limiter, charge->slot_hint));
}

void limiter_prefetch_window(const struct limiter *limiter, const struct candidate_charge *charge)
{
    if (charge->slot_hint != TABLE_NONE)
        window_prefetch(&slot_at(limiter, charge->slot_hint)->window, &limiter->chunks);
}
