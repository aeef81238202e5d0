#include "processor/core/window.h"

#include <assert.h>
#include <stddef.h>

#include "common/base/prefetch.h"

enum chunk_kind { CHUNK_UNITS, CHUNK_WEIGHTED, CHUNK_EXPRESS };
enum {
    CHUNK_UNITS_MAX = 12,
    CHUNK_WEIGHTED_MAX = 4,
    EXPRESS_EVERY = 64, /* chunks */
};

struct chunk {
    uint32_t next; /* newer chunk, or POOL_NONE */
    uint8_t kind;
    uint8_t count; /* entries written */
    uint8_t first; /* entries before it are trimmed */
    uint8_t place; /* chunks since the express chunk before it, or since the list was empty */
    uint64_t base_ns;
    union {
        uint32_t unit_offsets[CHUNK_UNITS_MAX]; /* ns from the base */
        struct {
            uint32_t offsets[CHUNK_WEIGHTED_MAX];
            uint64_t costs[CHUNK_WEIGHTED_MAX];
        } weighted;
        struct {
            uint64_t units; /* of the chunks between this and the next, once there is a next */
            uint32_t next;  /* the next express chunk, or POOL_NONE */
        } express;
    } entries;
};
static_assert(sizeof(struct chunk) == POOL_CELL_BYTES, "a chunk is one cache line");

static struct chunk *chunk_at(const struct pool *pool, uint32_t index)
{
    return pool_at(pool, index);
}

static uint32_t offset_of(const struct chunk *chunk, uint32_t entry)
{
    return chunk->kind == CHUNK_UNITS ? chunk->entries.unit_offsets[entry]
                                      : chunk->entries.weighted.offsets[entry];
}

static uint64_t stamp_of(const struct chunk *chunk, uint32_t entry)
{
    return chunk->base_ns + offset_of(chunk, entry);
}

static uint64_t cost_of(const struct chunk *chunk, uint32_t entry)
{
    return chunk->kind == CHUNK_UNITS ? 1 : chunk->entries.weighted.costs[entry];
}

static uint64_t chunk_units(const struct chunk *chunk)
{
    uint64_t units = 0;
    for (uint32_t i = chunk->first; i < chunk->count; i++)
        units += cost_of(chunk, i);
    return units;
}

void window_init(struct window *window)
{
    *window = (struct window){.head = POOL_NONE, .tail = POOL_NONE, .express = POOL_NONE};
}

/* ---- adding ---- */

static bool add_unit(struct chunk *chunk, uint32_t offset, uint64_t cost)
{
    if (cost != 1 || chunk->count == CHUNK_UNITS_MAX)
        return false;
    chunk->entries.unit_offsets[chunk->count++] = offset;
    return true;
}

static bool add_weight(struct chunk *chunk, uint32_t offset, uint64_t cost)
{
    uint32_t count = chunk->count;
    if (count > chunk->first && chunk->entries.weighted.offsets[count - 1] == offset) {
        chunk->entries.weighted.costs[count - 1] += cost;
        return true;
    }
    if (count == CHUNK_WEIGHTED_MAX)
        return false;
    chunk->entries.weighted.offsets[count] = offset;
    chunk->entries.weighted.costs[count] = cost;
    chunk->count++;
    return true;
}

/* False when the entry does not fit this chunk. */
static bool chunk_add(struct chunk *chunk, uint64_t stamp_ns, uint64_t cost)
{
    uint64_t offset = stamp_ns - chunk->base_ns;
    if (offset > UINT32_MAX)
        return false;
    return chunk->kind == CHUNK_UNITS ? add_unit(chunk, (uint32_t)offset, cost)
                                      : add_weight(chunk, (uint32_t)offset, cost);
}

/* Weighted after a weight and within a burst, since more of the kind is likely; units else. */
static enum chunk_kind kind_after(const struct chunk *tail, uint64_t stamp_ns, uint64_t cost)
{
    if (cost != 1)
        return CHUNK_WEIGHTED;
    if (tail == NULL)
        return CHUNK_UNITS;
    uint32_t last = tail->count - 1u;
    bool heavy = cost_of(tail, last) > 1 || stamp_of(tail, last) == stamp_ns;
    return heavy ? CHUNK_WEIGHTED : CHUNK_UNITS;
}

/* Appends an empty chunk. */
static enum status append_chunk(struct window *window, struct pool *pool, enum chunk_kind kind,
                                uint8_t place, struct chunk **ret_chunk)
{
    uint32_t index;
    enum status status = pool_take(pool, &index);
    if (status != STATUS_OK)
        return status;
    struct chunk *chunk = chunk_at(pool, index);
    chunk->next = POOL_NONE;
    chunk->kind = (uint8_t)kind;
    chunk->count = 0;
    chunk->first = 0;
    chunk->place = place;
    if (window->tail == POOL_NONE)
        window->head = index;
    else
        chunk_at(pool, window->tail)->next = index;
    window->tail = index;
    *ret_chunk = chunk;
    return STATUS_OK;
}

static enum status append_express(struct window *window, struct pool *pool)
{
    struct chunk *chunk;
    enum status status = append_chunk(window, pool, CHUNK_EXPRESS, 0, &chunk);
    if (status != STATUS_OK)
        return status;
    chunk->entries.express.units = 0;
    chunk->entries.express.next = POOL_NONE;
    if (window->express != POOL_NONE)
        chunk_at(pool, window->express)->entries.express.next = window->tail;
    window->express = window->tail;
    return STATUS_OK;
}

/* Appends a chunk with this one entry. Nothing more is added to the one before, so its sum is
 * known.
 */
static enum status start_chunk(struct window *window, struct pool *pool, uint64_t stamp_ns,
                               uint64_t cost)
{
    const struct chunk *tail = window->tail == POOL_NONE ? NULL : chunk_at(pool, window->tail);
    enum chunk_kind kind = kind_after(tail, stamp_ns, cost);
    uint32_t place = tail == NULL ? 0 : tail->place + 1u;
    enum status status = STATUS_OK;
    if (tail != NULL && window->express != POOL_NONE)
        chunk_at(pool, window->express)->entries.express.units += chunk_units(tail);
    if (place == EXPRESS_EVERY) {
        status = append_express(window, pool);
        place = 0;
    }
    struct chunk *chunk;
    if (status == STATUS_OK)
        status = append_chunk(window, pool, kind, (uint8_t)place, &chunk);
    if (status != STATUS_OK)
        return status;
    chunk->base_ns = stamp_ns;
    bool added = chunk_add(chunk, stamp_ns, cost);
    assert(added); /* a new chunk has room */
    (void)added;
    return STATUS_OK;
}

enum status window_add(struct window *window, struct pool *pool, uint64_t stamp_ns, uint64_t cost,
                       uint64_t length_ns)
{
    if (window->units > UINT64_MAX - cost)
        return STATUS_TOO_LARGE;
    if (window->tail == POOL_NONE || !chunk_add(chunk_at(pool, window->tail), stamp_ns, cost)) {
        window_trim(window, pool, stamp_ns, length_ns);
        enum status status = start_chunk(window, pool, stamp_ns, cost);
        if (status != STATUS_OK)
            return status;
    }
    window->units += cost;
    return STATUS_OK;
}

/* ---- dropping ---- */

static void drop_head(struct window *window, struct pool *pool)
{
    uint32_t head = window->head;
    window->head = chunk_at(pool, head)->next;
    if (window->head == POOL_NONE)
        window->tail = POOL_NONE;
    if (window->express == head)
        window->express = POOL_NONE;
    pool_give(pool, head);
}

void window_trim(struct window *window, struct pool *pool, uint64_t now_ns, uint64_t length_ns)
{
    while (window->head != POOL_NONE) {
        struct chunk *chunk = chunk_at(pool, window->head);
        uint32_t first = chunk->first;
        while (first < chunk->count && window_expired(stamp_of(chunk, first), now_ns, length_ns))
            window->units -= cost_of(chunk, first++);
        chunk->first = (uint8_t)first;
        if (first < chunk->count)
            return;
        drop_head(window, pool);
    }
}

void window_clear(struct window *window, struct pool *pool)
{
    while (window->head != POOL_NONE)
        drop_head(window, pool);
    window->units = 0;
}

/* ---- reading ---- */

/* The chunk behind an express chunk from which to go on: the next express chunk where all up to it
 * must go anyway, taking that off *left. */
static uint32_t ride(const struct chunk *chunk, uint64_t room, uint64_t *left)
{
    uint64_t units = chunk->entries.express.units;
    if (chunk->entries.express.next == POOL_NONE || *left - units <= room)
        return chunk->next;
    *left -= units;
    return chunk->entries.express.next;
}

uint64_t window_wait_walk_ns(const struct window *window, const struct pool *pool, uint64_t room,
                             uint64_t now_ns, uint64_t length_ns)
{
    uint64_t left = window->units; /* what is behind the entries passed so far */
    for (uint32_t index = window->head; index != POOL_NONE;) {
        const struct chunk *chunk = chunk_at(pool, index);
        if (chunk->kind == CHUNK_EXPRESS) {
            index = ride(chunk, room, &left);
            continue;
        }
        for (uint32_t i = chunk->first; i < chunk->count; i++) {
            left -= cost_of(chunk, i);
            if (left > room)
                continue;
            uint64_t stamp_ns = stamp_of(chunk, i);
            bool expired = window_expired(stamp_ns, now_ns, length_ns);
            return expired ? 0 : length_ns - (now_ns - stamp_ns);
        }
        index = chunk->next;
    }
    assert(false && "the costs in the list add up to window->units");
    return WINDOW_NEVER;
}

void window_walk_init(struct window_walk *walk, const struct window *window,
                      const struct pool *pool, uint64_t now_ns, uint64_t length_ns)
{
    *walk = (struct window_walk){
        .pool = pool, .now_ns = now_ns, .length_ns = length_ns, .chunk = window->head};
    if (walk->chunk != POOL_NONE)
        walk->entry = chunk_at(pool, walk->chunk)->first;
}

/* The chunk that holds the next entry, or NULL. */
static const struct chunk *walk_chunk(struct window_walk *walk)
{
    while (walk->chunk != POOL_NONE) {
        const struct chunk *chunk = chunk_at(walk->pool, walk->chunk);
        if (chunk->kind != CHUNK_EXPRESS && walk->entry < chunk->count)
            return chunk;
        walk->chunk = chunk->next;
        if (walk->chunk != POOL_NONE)
            walk->entry = chunk_at(walk->pool, walk->chunk)->first;
    }
    return NULL;
}

bool window_walk_next(struct window_walk *walk, uint64_t *ret_stamp_ns, uint64_t *ret_cost)
{
    uint64_t sum = 0, stamp_ns = 0;
    for (const struct chunk *chunk; (chunk = walk_chunk(walk)) != NULL; walk->entry++) {
        uint64_t at_ns = stamp_of(chunk, walk->entry);
        if (window_expired(at_ns, walk->now_ns, walk->length_ns))
            continue;
        if (sum > 0 && at_ns != stamp_ns)
            break;
        stamp_ns = at_ns;
        sum += cost_of(chunk, walk->entry);
    }
    *ret_stamp_ns = stamp_ns;
    *ret_cost = sum;
    return sum > 0;
}

uint64_t window_newest_ns(const struct window *window, const struct pool *pool)
{
    const struct chunk *tail = chunk_at(pool, window->tail);
    return stamp_of(tail, tail->count - 1u);
}

void window_prefetch(const struct window *window, const struct pool *pool)
{
    if (window->tail != POOL_NONE)
        prefetch(chunk_at(pool, window->tail));
}
