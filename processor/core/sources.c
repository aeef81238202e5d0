#include "processor/core/sources.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/array.h"

void sources_init(struct sources *sources, const struct hash_seed *seed)
{
    *sources = (struct sources){.seed = *seed};
    table_init(&sources->table, SOURCES_MAX);
}

void sources_fini(struct sources *sources)
{
    for (uint32_t i = 0; i < sources->count; i++) {
        free(sources->items[i].name);
        free(sources->items[i].refused);
    }
    free(sources->items);
    table_fini(&sources->table);
    sources_init(sources, &sources->seed);
}

static bool name_equal(const void *owner, uint32_t slot, struct slice name)
{
    const struct source *source = &((const struct sources *)owner)->items[slot];
    return source->name_size == name.size && memcmp(source->name, name.data, name.size) == 0;
}

uint32_t sources_find(const struct sources *sources, struct slice name)
{
    uint64_t hash = hash_keyed(&sources->seed, name.data, name.size);
    uint32_t slot = table_find(&sources->table, hash, name, name_equal, sources);
    return slot == TABLE_NONE ? SOURCE_NONE : slot;
}

static enum status reserve(struct sources *sources)
{
    struct source *items =
        array_reach(sources->items, &sources->capacity, sources->count, sizeof *items);
    if (items == NULL)
        return STATUS_NO_MEMORY;
    sources->items = items;
    return STATUS_OK;
}

enum status sources_enter(struct sources *sources, struct slice name, uint32_t *ret_slot)
{
    assert(name.size > 0 && name.size <= EVENT_SOURCE_BYTES_MAX);
    enum status status = reserve(sources);
    if (status != STATUS_OK)
        return status;
    uint8_t *copy = malloc(name.size);
    if (copy == NULL)
        return STATUS_NO_MEMORY;
    uint64_t hash = hash_keyed(&sources->seed, name.data, name.size);
    status = table_insert(&sources->table, hash, sources->count);
    if (status != STATUS_OK) {
        free(copy);
        return status;
    }
    memcpy(copy, name.data, name.size);
    sources->items[sources->count] =
        (struct source){.name = copy, .hash = hash, .name_size = (uint32_t)name.size};
    *ret_slot = sources->count++;
    return STATUS_OK;
}

static uint64_t bit_of(uint64_t sequence)
{
    return 1ULL << (sequence % 64);
}

static uint64_t *word_of(const struct source *source, uint64_t sequence)
{
    return &source->refused[sequence % VERDICTS_KEPT / 64];
}

void source_accept(struct source *source, uint64_t sequence)
{
    assert(sequence == source->last_sequence + 1);
    source->last_sequence = sequence;
    if (source->refused != NULL)
        *word_of(source, sequence) &= ~bit_of(sequence);
}

enum status source_refuse(struct source *source, uint64_t first_sequence, uint64_t count)
{
    assert(first_sequence == source->last_sequence + 1 && count >= 1);
    assert(count <= UINT64_MAX - source->last_sequence);
    if (source->refused == NULL) {
        source->refused = calloc(VERDICT_WORDS, sizeof *source->refused);
        if (source->refused == NULL)
            return STATUS_NO_MEMORY;
    }
    source->last_sequence += count;
    uint64_t kept = count < VERDICTS_KEPT ? count : VERDICTS_KEPT; /* the last of them */
    for (uint64_t i = 0; i < kept; i++) {
        uint64_t sequence = source->last_sequence - i;
        *word_of(source, sequence) |= bit_of(sequence);
    }
    return STATUS_OK;
}

void source_restore(struct source *source, uint64_t epoch, uint64_t last_sequence,
                    uint64_t *refused)
{
    source->epoch = epoch;
    source->last_sequence = last_sequence;
    source->refused = refused;
}

enum verdict source_verdict(const struct source *source, uint64_t sequence)
{
    assert(sequence >= 1 && sequence <= source->last_sequence);
    if (source->last_sequence - sequence >= VERDICTS_KEPT)
        return VERDICT_FORGOTTEN;
    bool refused = source->refused != NULL && (*word_of(source, sequence) & bit_of(sequence)) != 0;
    return refused ? VERDICT_REFUSED : VERDICT_ACCEPTED;
}
