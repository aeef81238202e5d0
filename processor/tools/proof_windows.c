#include "processor/tools/proof_windows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/prefetch.h"

enum {
    PLACES_MIN = 1024, /* a power of two */
    CAPACITY_FIRST = 4,
    CACHE_LINE_BYTES = 64,
};

static_assert(sizeof(struct proof_window) == CACHE_LINE_BYTES, "a window is one cache line");

/* ---- one window ---- */

/* Of what has not been dropped. */
static uint64_t sum_kept(const struct proof_window *window)
{
    return window->newest.total - window->dropped;
}

static void drop(struct proof_window *window, uint64_t now_ns, uint64_t length_ns)
{
    while (window->first < window->count &&
           now_ns - window->older[window->first].time_ns >= length_ns)
        window->dropped = window->older[window->first++].total;
    if (window->first == window->count && now_ns - window->newest.time_ns >= length_ns)
        window->dropped = window->newest.total;
}

/* Room for one more behind the older ones: the dropped ones give theirs, or the array grows. */
static enum status make_room(struct proof_window *window, uint64_t now_ns, uint64_t length_ns)
{
    drop(window, now_ns, length_ns);
    uint32_t live = window->count - window->first;
    if (window->first > 0 && live <= window->capacity / 2) {
        memmove(window->older, window->older + window->first, live * sizeof *window->older);
    } else {
        uint32_t wanted = 2 * live < CAPACITY_FIRST ? CAPACITY_FIRST : 2 * live;
        struct proof_moment *grown = malloc(wanted * sizeof *grown);
        if (grown == NULL)
            return STATUS_NO_MEMORY;
        if (window->older != NULL)
            memcpy(grown, window->older + window->first, live * sizeof *grown);
        free(window->older);
        window->older = grown;
        window->capacity = wanted;
    }
    window->first = 0;
    window->count = live;
    return STATUS_OK;
}

enum status proof_window_add(struct proof_window *window, uint64_t now_ns, uint64_t length_ns,
                             uint64_t cost)
{
    if (sum_kept(window) > UINT64_MAX - cost)
        drop(window, now_ns, length_ns);
    if (sum_kept(window) > 0 && window->newest.time_ns != now_ns) {
        if (window->count == window->capacity && make_room(window, now_ns, length_ns) != STATUS_OK)
            return STATUS_NO_MEMORY;
        window->older[window->count++] = window->newest;
    }
    window->newest.time_ns = now_ns;
    window->newest.total += cost;
    return STATUS_OK;
}

uint64_t proof_window_sum_above(struct proof_window *window, uint64_t now_ns, uint64_t length_ns,
                                uint64_t most)
{
    if (sum_kept(window) > most)
        drop(window, now_ns, length_ns);
    return sum_kept(window);
}

uint64_t proof_window_wait_ns(struct proof_window *window, uint64_t now_ns, uint64_t length_ns,
                              uint64_t room)
{
    if (proof_window_sum_above(window, now_ns, length_ns, room) <= room)
        return 0;
    uint64_t excess = sum_kept(window) - room; /* must leave first */
    uint32_t low = window->first, high = window->count;
    while (low < high) { /* the first entry with which enough has left; behind all: the newest */
        uint32_t middle = low + (high - low) / 2;
        if (window->older[middle].total - window->dropped >= excess)
            high = middle;
        else
            low = middle + 1;
    }
    const struct proof_moment *last = low < window->count ? &window->older[low] : &window->newest;
    return last->time_ns + length_ns - now_ns;
}

/* ---- the table ---- */

static bool is_free(const struct proof_window *window)
{
    return window->id.low == 0 && window->id.high == 0;
}

static bool has_id(const struct proof_window *window, struct hash_wide id)
{
    return window->id.low == id.low && window->id.high == id.high;
}

/* Its window, or the free place where it would be. */
static struct proof_window *find(const struct proof_windows *windows, struct hash_wide id)
{
    uint64_t mask = windows->place_count - 1, at = id.low & mask;
    while (!is_free(&windows->places[at]) && !has_id(&windows->places[at], id))
        at = (at + 1) & mask;
    return &windows->places[at];
}

static bool is_live(const struct proof_window *window, uint64_t now_ns, uint64_t longest_ns)
{
    return !is_free(window) && sum_kept(window) > 0 && now_ns - window->newest.time_ns < longest_ns;
}

/* A table for `live` windows and as many again. */
static enum status table_new(uint64_t live, struct proof_windows *ret_windows)
{
    uint64_t count = PLACES_MIN;
    while (count < 4 * live)
        count *= 2;
    struct proof_window *places = memory_zeroed(count * sizeof *places);
    if (places == NULL)
        return STATUS_NO_MEMORY;
    *ret_windows = (struct proof_windows){
        .places = places, .place_count = count, .used = live, .used_max = count / 2};
    return STATUS_OK;
}

static enum status table_renew(struct proof_windows *windows, uint64_t now_ns, uint64_t longest_ns)
{
    struct proof_windows renewed;
    uint64_t live = 0;
    for (uint64_t i = 0; i < windows->place_count; i++)
        live += is_live(&windows->places[i], now_ns, longest_ns);
    enum status status = table_new(live, &renewed);
    if (status != STATUS_OK)
        return status;
    for (uint64_t i = 0; i < windows->place_count; i++) {
        struct proof_window *window = &windows->places[i];
        if (!is_live(window, now_ns, longest_ns))
            continue;
        *find(&renewed, window->id) = *window;
        window->older = NULL;
    }
    proof_windows_fini(windows);
    *windows = renewed;
    return STATUS_OK;
}

struct proof_window *proof_windows_enter(struct proof_windows *windows, struct hash_wide id,
                                         uint64_t now_ns, uint64_t longest_ns)
{
    struct proof_window *window = find(windows, id);
    if (!is_free(window))
        return window;
    if (windows->used == windows->used_max) {
        if (table_renew(windows, now_ns, longest_ns) != STATUS_OK)
            return NULL;
        window = find(windows, id);
    }
    window->id = id;
    windows->used++;
    return window;
}

enum status proof_windows_init(struct proof_windows *windows)
{
    return table_new(0, windows);
}

void proof_windows_fini(struct proof_windows *windows)
{
    for (uint64_t i = 0; i < windows->place_count; i++)
        free(windows->places[i].older);
    free(windows->places);
    *windows = (struct proof_windows){0};
}

/* ---- prefetch ---- */

void proof_windows_prefetch(const struct proof_windows *windows, struct hash_wide id)
{
    prefetch(&windows->places[id.low & (windows->place_count - 1)]);
}

void proof_windows_prefetch_entry(const struct proof_windows *windows, struct hash_wide id)
{
    const struct proof_window *window = find(windows, id);
    prefetch(window->older == NULL ? NULL : &window->older[window->count]);
}
