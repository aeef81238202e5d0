#include "processor/core/state_image.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "processor/core/state_struct.h"

enum {
    VARINT_BYTES_MAX = 10,
    KEY_PREFIX_BYTES = 8,
};

/* ---- writing ---- */

struct writer {
    const struct image_sink *sink;
    struct detail *ret_detail;
    enum status status; /* the first failure sticks */
    size_t size;
    uint8_t bytes[IMAGE_PIECE_BYTES];
};

static void flush(struct writer *writer)
{
    if (writer->status == STATUS_OK && writer->size > 0)
        writer->status = writer->sink->put(
            writer->sink->context, (struct slice){writer->bytes, writer->size}, writer->ret_detail);
    writer->size = 0;
}

static void put_bytes(struct writer *writer, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        size_t room = sizeof writer->bytes - writer->size;
        size_t some = size < room ? size : room;
        memcpy(writer->bytes + writer->size, at, some);
        writer->size += some;
        at += some;
        size -= some;
        if (writer->size == sizeof writer->bytes)
            flush(writer);
    }
}

/* Seven bits a byte, the lowest first; the highest bit says that more follow. */
static void put_uint(struct writer *writer, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    put_bytes(writer, bytes, size);
}

static void put_text(struct writer *writer, struct slice text)
{
    put_uint(writer, text.size);
    if (text.size > 0)
        put_bytes(writer, text.data, text.size);
}

/* Runs of words of the ring: how many are zero, how many are not, then those. */
static void put_ring(struct writer *writer, const uint64_t *words)
{
    for (uint32_t at = 0; at < VERDICT_WORDS;) {
        uint32_t from = at;
        while (words != NULL && from < VERDICT_WORDS && words[from] == 0)
            from++;
        if (words == NULL)
            from = VERDICT_WORDS;
        uint32_t to = from;
        while (to < VERDICT_WORDS && words[to] != 0)
            to++;
        put_uint(writer, from - at);
        put_uint(writer, to - from);
        for (uint32_t i = from; i < to; i++) {
            uint64_t word = htole64(words[i]);
            put_bytes(writer, &word, sizeof word);
        }
        at = to;
    }
}

static void put_sources(struct writer *writer, const struct sources *sources)
{
    put_uint(writer, sources->count);
    for (uint32_t i = 0; i < sources->count; i++) {
        const struct source *source = &sources->items[i];
        put_text(writer, (struct slice){source->name, source->name_size});
        put_uint(writer, source->epoch);
        put_uint(writer, source->last_sequence);
        put_ring(writer, source->refused);
    }
}

/* One entry: the time since the one before, and whether a cost other than 1 follows; never 0. */
static void put_entry(struct writer *writer, uint64_t delta_ns, uint64_t cost)
{
    put_uint(writer, (delta_ns << 1 | (cost != 1)) + 1);
    if (cost != 1)
        put_uint(writer, cost);
}

/* Where the times of a window begin. */
static uint64_t window_start(const struct limiter *limiter)
{
    return limiter->now_ns > limiter->window_ns ? limiter->now_ns - limiter->window_ns : 0;
}

/* All entries, without the 0 that ends them; ret_last is the newest stamp. */
static void put_entries(struct writer *writer, struct window_walk *walk, uint64_t start_ns,
                        uint64_t *ret_last_ns)
{
    uint64_t stamp_ns, cost;
    *ret_last_ns = start_ns;
    while (window_walk_next(walk, &stamp_ns, &cost)) {
        put_entry(writer, stamp_ns - *ret_last_ns, cost);
        *ret_last_ns = stamp_ns;
    }
}

/* A live key on its way to its place. */
struct sorted_key {
    uint64_t prefix; /* the first bytes, so that most comparisons touch nothing else */
    struct slice key;
    uint32_t slot;
};

static int compare_keys(const void *a, const void *b)
{
    const struct sorted_key *left = a, *right = b;
    if (left->prefix != right->prefix)
        return left->prefix < right->prefix ? -1 : 1;
    return slice_compare(left->key, right->key);
}

static uint64_t key_prefix(struct slice key)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < KEY_PREFIX_BYTES; i++)
        prefix = prefix << 8 | (i < key.size ? key.data[i] : 0);
    return prefix;
}

/* NULL when out of memory. */
static struct sorted_key *sort_keys(const struct limiter *limiter)
{
    struct sorted_key *keys = malloc(((size_t)limiter->keys_live + 1) * sizeof *keys);
    uint32_t count = 0;
    if (keys == NULL)
        return NULL;
    for (uint32_t i = 0; i < limiter_slot_count(limiter); i++) {
        struct window_walk unused;
        struct sorted_key *entry = &keys[count];
        if (!limiter_slot(limiter, i, &entry->key, &unused))
            continue;
        assert(count < limiter->keys_live);
        entry->prefix = key_prefix(entry->key);
        entry->slot = i;
        count++;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

static void put_limiter(struct writer *writer, const struct limiter *limiter)
{
    uint64_t start_ns = window_start(limiter), last_ns;
    struct window_walk walk;
    struct sorted_key *keys = sort_keys(limiter);
    if (keys == NULL) {
        detail_write(writer->ret_detail, "no memory to sort the keys of a policy");
        writer->status = STATUS_NO_MEMORY;
        return;
    }
    limiter_accepted_walk(limiter, &walk);
    put_entries(writer, &walk, start_ns, &last_ns);
    if (limiter->accepted_now > 0)
        put_entry(writer, limiter->now_ns - last_ns, limiter->accepted_now);
    put_uint(writer, 0);
    put_uint(writer, limiter->keys_live);
    for (uint32_t i = 0; i < limiter->keys_live; i++) {
        struct slice key;
        (void)limiter_slot(limiter, keys[i].slot, &key, &walk);
        put_text(writer, key);
        put_entries(writer, &walk, start_ns, &last_ns);
        put_uint(writer, 0);
    }
    free(keys);
}

enum status state_image_write(const struct state *state, const struct image_sink *sink,
                              struct detail *ret_detail)
{
    struct writer *writer = malloc(sizeof *writer);
    if (writer == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory to write a snapshot");
    writer->sink = sink;
    writer->ret_detail = ret_detail;
    writer->status = STATUS_OK;
    writer->size = 0;
    put_uint(writer, state->position.last_event_id);
    put_uint(writer, state->position.last_rejection_id);
    put_uint(writer, state->position.last_time_ns);
    put_uint(writer, state->expired_ns);
    put_uint(writer, state->digest_sum);
    put_text(writer, slice_of_text(state->policies->text));
    put_sources(writer, &state->sources);
    for (uint32_t i = 0; i < state->policies->count && writer->status == STATUS_OK; i++)
        put_limiter(writer, &state->limiters[i]);
    flush(writer);
    enum status status = writer->status;
    free(writer);
    return status;
}

/* ---- reading ---- */

struct reading {
    const struct image_source *source;
    const struct hash_seed *seed;
    struct slice only; /* as in state_narrow */
    struct detail *ret_detail;
    const uint8_t *at, *end;
};

static enum status damaged(struct reading *reading, const char *what)
{
    return detail_set(reading->ret_detail, STATUS_DAMAGED, "a state that cannot be: %s", what);
}

static enum status fill(struct reading *reading)
{
    struct slice piece;
    enum status status =
        reading->source->take(reading->source->context, &piece, reading->ret_detail);
    if (status == STATUS_END)
        return damaged(reading, "it ends too early");
    if (status != STATUS_OK)
        return status;
    reading->at = piece.data;
    reading->end = piece.data + piece.size;
    return STATUS_OK;
}

static inline enum status get_byte(struct reading *reading, uint8_t *ret_byte)
{
    enum status status = reading->at == reading->end ? fill(reading) : STATUS_OK;
    if (status == STATUS_OK)
        *ret_byte = *reading->at++;
    return status;
}

static enum status get_bytes(struct reading *reading, void *bytes, size_t size)
{
    for (uint8_t *to = bytes; size > 0;) {
        if (reading->at == reading->end) {
            enum status status = fill(reading);
            if (status != STATUS_OK)
                return status;
        }
        size_t left = (size_t)(reading->end - reading->at);
        size_t some = size < left ? size : left;
        memcpy(to, reading->at, some);
        reading->at += some;
        to += some;
        size -= some;
    }
    return STATUS_OK;
}

static enum status get_uint(struct reading *reading, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        enum status status = get_byte(reading, &byte);
        if (status != STATUS_OK)
            return status;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1))
                break; /* a number has one form only */
            *ret_value = value;
            return STATUS_OK;
        }
    }
    return damaged(reading, "a number");
}

/* Into `bytes`, where `size_max` are free. */
static enum status get_text(struct reading *reading, void *bytes, size_t size_max, size_t *ret_size)
{
    uint64_t size = 0;
    enum status status = get_uint(reading, &size);
    if (status == STATUS_OK && size > size_max)
        status = damaged(reading, "a text is too long");
    if (status == STATUS_OK)
        status = get_bytes(reading, bytes, (size_t)size);
    *ret_size = (size_t)size;
    return status;
}

/* ---- reading: sources ---- */

static enum status get_ring_words(struct reading *reading, uint64_t **words)
{
    for (uint64_t at = 0; at < VERDICT_WORDS;) {
        uint64_t zeros, others;
        enum status status = get_uint(reading, &zeros);
        if (status == STATUS_OK)
            status = get_uint(reading, &others);
        if (status != STATUS_OK)
            return status;
        if (zeros > VERDICT_WORDS - at || others > VERDICT_WORDS - at - zeros ||
            zeros + others == 0)
            return damaged(reading, "the verdicts of a source");
        at += zeros;
        if (others > 0 && *words == NULL)
            *words = calloc(VERDICT_WORDS, sizeof **words);
        if (others > 0 && *words == NULL)
            return STATUS_NO_MEMORY;
        for (uint64_t to = at + others; at < to; at++) {
            status = get_bytes(reading, &(*words)[at], sizeof(uint64_t));
            if (status != STATUS_OK)
                return status;
            (*words)[at] = le64toh((*words)[at]);
        }
    }
    return STATUS_OK;
}

static enum status get_source(struct reading *reading, struct sources *sources)
{
    uint8_t name[EVENT_SOURCE_BYTES_MAX];
    size_t size = 0;
    uint64_t epoch = 0, last = 0, *words = NULL;
    uint32_t slot;
    enum status status = get_text(reading, name, sizeof name, &size);
    struct slice text = {name, size};
    if (status == STATUS_OK && (size == 0 || sources_find(sources, text) != SOURCE_NONE))
        status = damaged(reading, "the name of a source");
    if (status == STATUS_OK)
        status = get_uint(reading, &epoch);
    if (status == STATUS_OK)
        status = get_uint(reading, &last);
    if (status == STATUS_OK)
        status = get_ring_words(reading, &words);
    if (status == STATUS_OK)
        status = sources_enter(sources, text, &slot);
    if (status == STATUS_OK)
        source_restore(&sources->items[slot], epoch, last, words);
    else
        free(words);
    return status;
}

static enum status get_sources(struct reading *reading, struct sources *sources)
{
    uint64_t count = 0;
    enum status status = get_uint(reading, &count);
    if (status == STATUS_OK && count > SOURCES_MAX)
        return damaged(reading, "too many sources");
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++)
        status = get_source(reading, sources);
    return status;
}

/* ---- reading: windows ---- */

/* The next entry; a cost of 0 means that there are no more. `stamp_ns` is that of the one before.
 */
static enum status get_entry(struct reading *reading, uint64_t *stamp_ns, uint64_t *ret_cost)
{
    uint64_t word = 0;
    *ret_cost = 0;
    enum status status = get_uint(reading, &word);
    if (status != STATUS_OK || word == 0)
        return status;
    uint64_t delta_ns = (word - 1) >> 1;
    if (delta_ns > UINT64_MAX - *stamp_ns)
        return damaged(reading, "a time");
    *stamp_ns += delta_ns;
    *ret_cost = 1;
    if (((word - 1) & 1) == 0)
        return STATUS_OK;
    status = get_uint(reading, ret_cost);
    if (status == STATUS_OK && *ret_cost < 2)
        return damaged(reading, "a cost");
    return status;
}

static enum status get_accepted(struct reading *reading, struct limiter *limiter)
{
    uint64_t stamp_ns = window_start(limiter), cost;
    for (;;) {
        enum status status = get_entry(reading, &stamp_ns, &cost);
        if (status != STATUS_OK || cost == 0)
            return status;
        status = limiter_restore_accepted(limiter, stamp_ns, cost);
        if (status != STATUS_OK)
            return status;
    }
}

/* A number has one form only, so the first byte that is 0 is the 0 behind the last entry. */
static enum status pass_entries(struct reading *reading)
{
    for (;;) {
        enum status status = reading->at == reading->end ? fill(reading) : STATUS_OK;
        if (status != STATUS_OK)
            return status;
        const uint8_t *zero = memchr(reading->at, 0, (size_t)(reading->end - reading->at));
        reading->at = zero == NULL ? reading->end : zero + 1;
        if (zero != NULL)
            return STATUS_OK;
    }
}

static enum status get_key(struct reading *reading, struct limiter *limiter)
{
    uint8_t bytes[POLICY_KEY_BYTES_MAX];
    struct slice key = {.data = bytes};
    uint64_t stamp_ns = window_start(limiter), cost = 0;
    uint32_t slot = TABLE_NONE;
    enum status status = get_text(reading, bytes, sizeof bytes, &key.size);
    if (status == STATUS_OK && !limiter_keeps(limiter, key))
        return pass_entries(reading);
    if (status == STATUS_OK)
        status = get_entry(reading, &stamp_ns, &cost);
    if (status == STATUS_OK && cost == 0)
        return damaged(reading, "a key of which nothing counts");
    if (status == STATUS_OK)
        status = limiter_restore_key(limiter, reading->seed, key, stamp_ns, &slot);
    while (status == STATUS_OK && cost > 0) {
        status = limiter_restore_units(limiter, slot, stamp_ns, cost);
        if (status == STATUS_OK)
            status = get_entry(reading, &stamp_ns, &cost);
    }
    if (status == STATUS_OK)
        limiter_restore_live(limiter, slot);
    return status;
}

static enum status get_limiter(struct reading *reading, struct limiter *limiter, uint64_t now_ns)
{
    uint64_t count = 0;
    limiter_restore_begin(limiter, now_ns);
    enum status status = get_accepted(reading, limiter);
    if (status == STATUS_OK)
        status = get_uint(reading, &count);
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++)
        status = get_key(reading, limiter);
    return status;
}

/* ---- reading: the whole ---- */

/* What an image begins with. */
struct beginning {
    struct position position;
    uint64_t expired_ns;
    uint64_t digest_sum;
};

static enum status get_beginning(struct reading *reading, struct beginning *ret_beginning,
                                 char ret_text[POLICY_TEXT_BYTES_MAX])
{
    struct beginning *b = ret_beginning;
    uint64_t *const numbers[] = {&b->position.last_event_id, &b->position.last_rejection_id,
                                 &b->position.last_time_ns, &b->expired_ns, &b->digest_sum};
    size_t size = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == STATUS_OK; i++)
        status = get_uint(reading, numbers[i]);
    if (status == STATUS_OK && b->position.last_time_ns > b->expired_ns)
        status = damaged(reading, "its time");
    if (status == STATUS_OK)
        status = get_text(reading, ret_text, POLICY_TEXT_BYTES_MAX - 1, &size);
    if (status == STATUS_OK)
        ret_text[size] = '\0';
    return status;
}

enum status state_image_read_policies(const struct image_source *source,
                                      char ret_text[POLICY_TEXT_BYTES_MAX],
                                      struct detail *ret_detail)
{
    struct reading reading = {.source = source, .ret_detail = ret_detail};
    struct beginning beginning = {.expired_ns = 0};
    return get_beginning(&reading, &beginning, ret_text);
}

static enum status parse_policies(struct reading *reading, const char *text,
                                  struct policy_set *policies)
{
    struct detail reason;
    if (policy_set_parse(text, "a snapshot", policies, &reason) != STATUS_OK ||
        strcmp(policies->text, text) != 0)
        return damaged(reading, "the policies");
    return STATUS_OK;
}

/* The state with nothing in it but the policies. */
static enum status get_empty_state(struct reading *reading, struct state **ret_state)
{
    struct beginning beginning = {.expired_ns = 0};
    struct policy_set *policies = malloc(sizeof *policies);
    char *text = malloc(POLICY_TEXT_BYTES_MAX);
    struct state *state = NULL;
    enum status status = policies != NULL && text != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = get_beginning(reading, &beginning, text);
    if (status == STATUS_OK)
        status = parse_policies(reading, text, policies);
    if (status == STATUS_OK) {
        state = state_new(policies, reading->seed);
        status = state == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    free(text);
    free(policies);
    if (status != STATUS_OK)
        return status;
    state_narrow(state, reading->only);
    state->position = beginning.position;
    state->expired_ns = beginning.expired_ns;
    state->digest_sum = beginning.digest_sum;
    *ret_state = state;
    return STATUS_OK;
}

/* The source must have nothing left. */
static enum status expect_end(struct reading *reading)
{
    struct slice rest;
    if (reading->at != reading->end)
        return damaged(reading, "bytes behind its end");
    enum status status =
        reading->source->take(reading->source->context, &rest, reading->ret_detail);
    if (status == STATUS_OK)
        return damaged(reading, "bytes behind its end");
    return status == STATUS_END ? STATUS_OK : status;
}

/* What the leaves say without a word. */
static enum status explain(struct reading *reading, enum status status)
{
    switch (status) {
    case STATUS_INVALID:
    case STATUS_FULL:
    case STATUS_TOO_LARGE:
        return damaged(reading, "a window");
    case STATUS_NO_MEMORY:
        return detail_set(reading->ret_detail, status, "no memory for the state");
    default:
        return status;
    }
}

enum status state_image_read(const struct image_source *source, const struct hash_seed *seed,
                             struct slice only, struct state **ret_state, struct detail *ret_detail)
{
    struct reading reading = {
        .source = source, .seed = seed, .only = only, .ret_detail = ret_detail};
    struct state *state = NULL;
    enum status status = get_empty_state(&reading, &state);
    if (status == STATUS_OK)
        status = get_sources(&reading, &state->sources);
    for (uint32_t i = 0; status == STATUS_OK && i < state->policies->count; i++)
        status = get_limiter(&reading, &state->limiters[i], state->expired_ns);
    if (status == STATUS_OK)
        status = expect_end(&reading);
    if (status != STATUS_OK) {
        state_destroy(&state);
        return explain(&reading, status);
    }
    *ret_state = state;
    return STATUS_OK;
}
