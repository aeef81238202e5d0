/* The check of `data` and `attributes`: one pass with an explicit stack of the open maps and
 * arrays. Keys of small maps are compared with each other as they come; a map of more pairs is
 * walked once more when it closes, with a hash table whose seed nobody outside knows. */
#include <math.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/event/mp.h"
#include "common/event/mp_head.h"

enum {
    PAIRWISE_PAIRS_MAX = 8,
    SCRATCH_SLOTS = 2 * MP_MAP_PAIRS_MAX,
    KEY_SHOWN_BYTES_MAX = 64,
};

struct frame {
    const uint8_t *items; /* the first item */
    uint32_t count;       /* items of an array, pairs of a map */
    uint32_t left;        /* of these, still to come */
    bool is_map;
};

struct check {
    struct mp_reader reader;
    const uint8_t *origin; /* offsets in details count from here */
    struct detail *detail;
    const char *what; /* "data" or "attributes" */
    bool text_only;   /* no values but strings */
    unsigned depth;   /* open frames */
    struct frame frames[MP_DATA_DEPTH_MAX];
    struct slice keys[MP_DATA_DEPTH_MAX][PAIRWISE_PAIRS_MAX]; /* so far, of small maps */
};

/* Positions of the keys of one map, by hash: offset from the map's first item, plus 1; 0: empty. */
static _Thread_local struct {
    bool seeded;
    struct hash_seed seed;
    uint32_t offsets[SCRATCH_SLOTS];
} scratch;

static enum status fail(const struct check *check, const uint8_t *at, const char *problem)
{
    return detail_set(check->detail, STATUS_INVALID, "%s: %s at byte %zu", check->what, problem,
                      (size_t)(at - check->origin));
}

static enum status fail_twice(const struct check *check, struct slice key)
{
    size_t offset = (size_t)(key.data - check->origin);
    if (key.size > KEY_SHOWN_BYTES_MAX)
        return detail_set(check->detail, STATUS_INVALID,
                          "%s: a key of %zu bytes appears twice at byte %zu", check->what, key.size,
                          offset);
    return detail_set(check->detail, STATUS_INVALID, "%s: key '%.*s' appears twice at byte %zu",
                      check->what, (int)key.size, (const char *)key.data, offset);
}

static enum status check_small_map_key(struct check *check, const struct frame *map,
                                       struct slice key)
{
    struct slice *keys = check->keys[check->depth - 1];
    uint32_t before = map->count - map->left;
    for (uint32_t i = 0; i < before; i++) {
        if (slice_equal(keys[i], key))
            return fail_twice(check, key);
    }
    keys[before] = key;
    return STATUS_OK;
}

static enum status check_key(struct check *check, const struct frame *map)
{
    const uint8_t *start = check->reader.at;
    struct slice key;
    enum status status = mp_read_text(&check->reader, &key);
    if (status != STATUS_OK)
        return fail(check, start, "a key that is not a string");
    if (!utf8_valid(key))
        return fail(check, start, "a key that is not UTF-8");
    return map->count <= PAIRWISE_PAIRS_MAX ? check_small_map_key(check, map, key) : STATUS_OK;
}

/* Enters the key in the scratch table of `slots` (a power of two) slots; false if it is there. */
static bool scratch_enter(const uint8_t *items, const uint8_t *end, uint32_t slots,
                          struct slice key, const uint8_t *key_at)
{
    uint64_t hash = hash_keyed(&scratch.seed, key.data, key.size);
    uint32_t i = (uint32_t)hash & (slots - 1);
    for (; scratch.offsets[i] != 0; i = (i + 1) & (slots - 1)) {
        struct mp_reader other = {items + scratch.offsets[i] - 1, end};
        struct slice other_key;
        if (mp_read_text(&other, &other_key) != STATUS_OK || slice_equal(other_key, key))
            return false;
    }
    scratch.offsets[i] = (uint32_t)(key_at - items) + 1;
    return true;
}

/* A map whose items have all been checked. */
static enum status check_large_map_keys(const struct check *check, const struct frame *map)
{
    uint32_t slots = 2 * PAIRWISE_PAIRS_MAX;
    while (slots < 2 * map->count)
        slots *= 2;
    memset(scratch.offsets, 0, slots * sizeof *scratch.offsets);
    if (!scratch.seeded)
        hash_seed_random(&scratch.seed);
    scratch.seeded = true;

    struct mp_reader reader = {map->items, check->reader.at};
    for (uint32_t i = 0; i < map->count; i++) {
        const uint8_t *key_at = reader.at;
        struct slice key;
        enum status status = mp_read_text(&reader, &key);
        if (status != STATUS_OK)
            return status;
        if (!scratch_enter(map->items, reader.end, slots, key, key_at))
            return fail_twice(check, key);
        status = mp_skip(&reader);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Opens the map or array whose head is `head`; the cursor stands at it. */
static enum status open_frame(struct check *check, const struct mp_head *head)
{
    bool is_map = head->type == MP_MAP;
    if (check->depth == MP_DATA_DEPTH_MAX)
        return detail_set(check->detail, STATUS_INVALID, "%s: nested deeper than %d at byte %zu",
                          check->what, MP_DATA_DEPTH_MAX,
                          (size_t)(check->reader.at - check->origin));
    if (is_map && head->count > MP_MAP_PAIRS_MAX)
        return fail(check, check->reader.at, "too many pairs in the map");
    check->reader.at += head->head_bytes;
    check->frames[check->depth++] = (struct frame){
        .items = check->reader.at, .count = head->count, .left = head->count, .is_map = is_map};
    return STATUS_OK;
}

static enum status check_float(struct check *check)
{
    const uint8_t *start = check->reader.at;
    double value;
    enum status status = mp_read_float(&check->reader, &value);
    if (status != STATUS_OK || !isfinite(value))
        return fail(check, start, "a number that is not finite");
    return STATUS_OK;
}

static enum status check_value(struct check *check)
{
    const uint8_t *start = check->reader.at;
    struct mp_head head;
    if (mp_head_read(start, check->reader.end, &head) != STATUS_OK)
        return fail(check, start, "malformed");
    if (check->text_only && head.type != MP_TEXT)
        return fail(check, start, "a value that is not a string");
    switch (head.type) {
    case MP_MAP:
    case MP_ARRAY:
        return open_frame(check, &head);
    case MP_FLOAT:
        return check_float(check);
    case MP_BIN:
        return fail(check, start, "a bin, which is not allowed,");
    case MP_EXT:
        return fail(check, start, "an ext, which is not allowed,");
    case MP_TEXT:
        if (!utf8_valid((struct slice){start + head.head_bytes, head.payload_bytes}))
            return fail(check, start, "a string that is not UTF-8");
        break;
    case MP_NIL:
    case MP_BOOL:
    case MP_UINT:
    case MP_NEGATIVE:
        break;
    }
    check->reader.at = start + head.head_bytes + head.payload_bytes;
    return STATUS_OK;
}

/* The next item of the innermost frame (for a map: pair), or its end. */
static enum status check_step(struct check *check)
{
    struct frame *top = &check->frames[check->depth - 1];
    enum status status = STATUS_OK;
    if (top->left == 0) {
        if (top->is_map && top->count > PAIRWISE_PAIRS_MAX)
            status = check_large_map_keys(check, top);
        check->depth--;
        return status;
    }
    if (top->is_map)
        status = check_key(check, top);
    top->left--;
    return status == STATUS_OK ? check_value(check) : status;
}

static enum status check_map(struct check *check)
{
    struct mp_head head;
    if (mp_head_read(check->reader.at, check->reader.end, &head) != STATUS_OK)
        return fail(check, check->reader.at, "malformed");
    if (head.type != MP_MAP)
        return fail(check, check->reader.at, "not a map");
    enum status status = open_frame(check, &head);
    while (status == STATUS_OK && check->depth > 0)
        status = check_step(check);
    return status;
}

/* Runs a check that the caller has described. Bytes that are not even MessagePack may look like
 * something else first, so a failure is looked at once more. */
static enum status check_run(struct check *check, struct mp_reader *reader)
{
    enum status status = check_map(check);
    if (status != STATUS_OK) {
        struct mp_reader probe = *reader;
        bool whole = mp_skip_explain(&probe, check->origin, check->detail) == STATUS_OK;
        return whole ? status : STATUS_MALFORMED;
    }
    reader->at = check->reader.at;
    return STATUS_OK;
}

enum status mp_check_data(struct mp_reader *reader, const uint8_t *origin,
                          struct detail *ret_detail)
{
    struct check check;
    check.reader = *reader;
    check.origin = origin;
    check.detail = ret_detail;
    check.what = "data";
    check.text_only = false;
    check.depth = 0;
    return check_run(&check, reader);
}

enum status mp_check_attributes(struct mp_reader *reader, const uint8_t *origin,
                                struct detail *ret_detail)
{
    struct check check;
    check.reader = *reader;
    check.origin = origin;
    check.detail = ret_detail;
    check.what = "attributes";
    check.text_only = true;
    check.depth = 0;
    return check_run(&check, reader);
}
