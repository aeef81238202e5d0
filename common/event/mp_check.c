/* The check of `data` and `attributes`: one pass with an explicit stack of the open maps and
 * arrays. Keys of small maps are compared with each other as they come; those of a large one when
 * it closes, in a hash table whose seed nobody outside knows. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
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
    uint32_t count;     /* items of an array, pairs of a map */
    uint32_t left;      /* of these, still to come */
    uint32_t first_key; /* of a large map, in scratch.keys */
    bool is_map;
};

struct key {
    uint64_t first_word; /* tells keys of up to eight bytes apart without a look at them */
    struct slice text;
};

struct check {
    const uint8_t *start, *end;
    const uint8_t *origin; /* offsets in details count from here */
    struct detail *detail;
    const char *what;    /* "data" or "attributes" */
    bool text_only;      /* no values but strings */
    unsigned depth;      /* open frames */
    uint32_t large_keys; /* of the large maps among them: entries of scratch.keys in use */
    struct frame frames[MP_DATA_DEPTH_MAX];
    struct key keys[MP_DATA_DEPTH_MAX][PAIRWISE_PAIRS_MAX]; /* so far, of small maps */
};

/* Keys as offsets from the start of the item, so that they take four bytes. */
static _Thread_local struct {
    bool seeded;
    struct hash_seed seed;
    uint32_t keys[MP_MAP_PAIRS_MAX]; /* of all open large maps, one map behind the other */
    uint32_t offsets[SCRATCH_SLOTS]; /* hash table of one map's keys: offset + 1; 0: empty */
} scratch;

/* The functions below check what stands at `at` and return the first byte behind it, or NULL when
 * it is not as it must be; then the detail is filled. */

static const uint8_t *fail(const struct check *check, const uint8_t *at, const char *problem)
{
    enum status status = detail_set(check->detail, STATUS_INVALID, "%s: %s at byte %zu",
                                    check->what, problem, (size_t)(at - check->origin));
    return status == STATUS_OK ? at : NULL;
}

static const uint8_t *fail_twice(const struct check *check, struct slice key)
{
    char problem[KEY_SHOWN_BYTES_MAX + 32];
    if (key.size > KEY_SHOWN_BYTES_MAX)
        snprintf(problem, sizeof problem, "a key of %zu bytes appears twice", key.size);
    else
        snprintf(problem, sizeof problem, "key '%.*s' appears twice", (int)key.size,
                 (const char *)key.data);
    return fail(check, key.data, problem);
}

/* Compares the key with those before it and keeps it. */
static bool small_map_enter(struct check *check, const struct frame *map, struct slice key)
{
    struct key *keys = check->keys[check->depth - 1];
    uint32_t before = map->count - map->left;
    uint64_t first_word = slice_first_word(key);
    for (uint32_t i = 0; i < before; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): set below, in order */
        bool alike = keys[i].first_word == first_word && keys[i].text.size == key.size;
        if (alike && memcmp(keys[i].text.data, key.data, key.size) == 0)
            return false;
    }
    keys[before].first_word = first_word;
    keys[before].text = key;
    return true;
}

static const uint8_t *check_key(struct check *check, const struct frame *map, const uint8_t *at)
{
    struct mp_head head = mp_head_read(at, check->end);
    if (!head.whole || head.type != MP_TEXT)
        return fail(check, at, "a key that is not a string");
    struct slice key = {at + head.head_bytes, head.size};
    if (!utf8_valid(key))
        return fail(check, at, "a key that is not UTF-8");
    if (map->count > PAIRWISE_PAIRS_MAX)
        scratch.keys[map->first_key + map->count - map->left] = (uint32_t)(at - check->start);
    else if (!small_map_enter(check, map, key))
        return fail_twice(check, key);
    return key.data + key.size;
}

/* The key at an offset where check_key has seen one. */
static struct slice key_at(const struct check *check, uint32_t offset)
{
    struct mp_reader reader = {check->start + offset, check->end};
    struct slice key = {NULL, 0};
    enum status status = mp_read_text(&reader, &key);
    assert(status == STATUS_OK);
    (void)status;
    return key;
}

/* Enters the key in the hash table of `slots` (a power of two) slots; false if it is there. */
static bool large_map_enter(const struct check *check, uint32_t slots, uint32_t offset)
{
    struct slice key = key_at(check, offset);
    uint64_t hash = hash_keyed(&scratch.seed, key.data, key.size);
    uint32_t i = (uint32_t)hash & (slots - 1);
    for (; scratch.offsets[i] != 0; i = (i + 1) & (slots - 1)) {
        if (slice_equal(key_at(check, scratch.offsets[i] - 1), key))
            return false;
    }
    scratch.offsets[i] = offset + 1;
    return true;
}

/* A large map that ends at `at`. */
static const uint8_t *check_large_map(struct check *check, const struct frame *map,
                                      const uint8_t *at)
{
    uint32_t slots = 2 * PAIRWISE_PAIRS_MAX;
    while (slots < 2 * map->count)
        slots *= 2;
    memset(scratch.offsets, 0, slots * sizeof *scratch.offsets);
    if (!scratch.seeded)
        hash_seed_random(&scratch.seed);
    scratch.seeded = true;

    check->large_keys -= map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        uint32_t offset = scratch.keys[map->first_key + i];
        if (!large_map_enter(check, slots, offset))
            return fail_twice(check, key_at(check, offset));
    }
    return at;
}

/* Opens the map or array at `at`, whose head is `head`. */
static const uint8_t *open_frame(struct check *check, struct mp_head head, const uint8_t *at)
{
    bool is_map = head.type == MP_MAP;
    if (check->depth == MP_DATA_DEPTH_MAX) {
        char problem[32];
        snprintf(problem, sizeof problem, "nested deeper than %d", MP_DATA_DEPTH_MAX);
        return fail(check, at, problem);
    }
    uint32_t first_key = check->large_keys;
    if (is_map && head.size > PAIRWISE_PAIRS_MAX) {
        if (head.size > MP_MAP_PAIRS_MAX - first_key)
            return fail(check, at, "too many pairs in the map");
        check->large_keys += head.size;
    }
    check->frames[check->depth++] = (struct frame){
        .count = head.size, .left = head.size, .first_key = first_key, .is_map = is_map};
    return at + head.head_bytes;
}

static const uint8_t *check_float(struct check *check, const uint8_t *at)
{
    struct mp_reader reader = {at, check->end};
    double value;
    if (mp_read_float(&reader, &value) != STATUS_OK || !isfinite(value))
        return fail(check, at, "a number that is not finite");
    return reader.at;
}

static const uint8_t *check_value(struct check *check, const uint8_t *at)
{
    struct mp_head head = mp_head_read(at, check->end);
    if (!head.whole)
        return fail(check, at, "malformed");
    if (check->text_only && head.type != MP_TEXT)
        return fail(check, at, "a value that is not a string");
    switch ((enum mp_type)head.type) {
    case MP_MAP:
    case MP_ARRAY:
        return open_frame(check, head, at);
    case MP_FLOAT:
        return check_float(check, at);
    case MP_BIN:
        return fail(check, at, "a bin, which is not allowed,");
    case MP_EXT:
        return fail(check, at, "an ext, which is not allowed,");
    case MP_TEXT:
        if (!utf8_valid((struct slice){at + head.head_bytes, head.size}))
            return fail(check, at, "a string that is not UTF-8");
        break;
    case MP_NIL:
    case MP_BOOL:
    case MP_UINT:
    case MP_NEGATIVE:
        break;
    }
    return at + head.head_bytes + head.size;
}

/* Goes through the innermost frame until it ends or another opens in it. */
static const uint8_t *check_frame(struct check *check, const uint8_t *at)
{
    unsigned depth = check->depth;
    struct frame *frame = &check->frames[depth - 1];
    while (at != NULL && frame->left > 0 && check->depth == depth) {
        if (frame->is_map)
            at = check_key(check, frame, at);
        frame->left--;
        if (at != NULL)
            at = check_value(check, at);
    }
    if (at == NULL || check->depth != depth)
        return at;
    check->depth--;
    bool large = frame->is_map && frame->count > PAIRWISE_PAIRS_MAX;
    return large ? check_large_map(check, frame, at) : at;
}

static const uint8_t *check_map(struct check *check, const uint8_t *at)
{
    struct mp_head head = mp_head_read(at, check->end);
    if (!head.whole)
        return fail(check, at, "malformed");
    if (head.type != MP_MAP)
        return fail(check, at, "not a map");
    at = open_frame(check, head, at);
    while (at != NULL && check->depth > 0)
        at = check_frame(check, at);
    return at;
}

/* The part that `what` and `text_only` choose. Bytes that are not even MessagePack may first look
 * like something else, so after a failure the item is looked at as a whole. */
static enum status check_item(struct check *check, struct mp_reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    check->start = reader->at;
    check->end = left < UINT32_MAX ? reader->end : reader->at + UINT32_MAX; /* for the offsets */
    check->depth = 0;
    check->large_keys = 0;
    const uint8_t *behind = check_map(check, reader->at);
    if (behind == NULL) {
        struct mp_reader probe = *reader;
        bool whole = mp_skip_explain(&probe, check->origin, check->detail) == STATUS_OK;
        return whole ? STATUS_INVALID : STATUS_MALFORMED;
    }
    reader->at = behind;
    return STATUS_OK;
}

/* Not initialised as a whole: the stacks are larger than most events. */
enum status mp_check_data(struct mp_reader *reader, const uint8_t *origin,
                          struct detail *ret_detail)
{
    struct check check;
    check.origin = origin;
    check.detail = ret_detail;
    check.what = "data";
    check.text_only = false;
    return check_item(&check, reader);
}

enum status mp_check_attributes(struct mp_reader *reader, const uint8_t *origin,
                                struct detail *ret_detail)
{
    struct check check;
    check.origin = origin;
    check.detail = ret_detail;
    check.what = "attributes";
    check.text_only = true;
    return check_item(&check, reader);
}
