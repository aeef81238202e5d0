#include "processor/tools/roll.h"

#include <stdlib.h>

#include "common/base/array.h"

enum { NOT_HERE = UINT32_MAX, PLACES_FIRST = 64 };

struct listed {
    uint32_t source;
    uint32_t runs_left; /* in the reader */
    uint64_t last_sequence;
    struct refused_run run; /* the next one; count 0: none left */
    struct mp_reader runs;
};

struct roll {
    struct listed *listed;
    uint32_t count, capacity;
    uint32_t *place_of; /* source → index into listed */
    uint32_t place_count;
    uint64_t untold;
};

struct roll *roll_new(void)
{
    return calloc(1, sizeof(struct roll));
}

void roll_destroy(struct roll **roll)
{
    if (*roll == NULL)
        return;
    free((*roll)->listed);
    free((*roll)->place_of);
    free(*roll);
    *roll = NULL;
}

void roll_clear(struct roll *roll)
{
    for (uint32_t i = 0; i < roll->count; i++)
        roll->place_of[roll->listed[i].source] = NOT_HERE;
    roll->count = 0;
    roll->untold = 0;
}

static bool reach(struct roll *roll, uint32_t source)
{
    struct listed *listed = array_reach(roll->listed, &roll->capacity, roll->count, sizeof *listed);
    if (listed == NULL)
        return false;
    roll->listed = listed;
    if (source < roll->place_count)
        return true;
    uint32_t count = roll->place_count == 0 ? PLACES_FIRST : roll->place_count;
    while (count <= source)
        count *= 2;
    uint32_t *place_of = realloc(roll->place_of, count * sizeof *place_of);
    if (place_of == NULL)
        return false;
    for (uint32_t i = roll->place_count; i < count; i++)
        place_of[i] = NOT_HERE;
    roll->place_of = place_of;
    roll->place_count = count;
    return true;
}

/* Takes the next run from the reader; one that cannot be read ends them. */
static void run_advance(struct listed *listed)
{
    listed->run.count = 0;
    if (listed->runs_left == 0)
        return;
    listed->runs_left--;
    if (refused_run_read(&listed->runs, &listed->run) != STATUS_OK)
        listed->run.count = 0;
}

enum status roll_enter(struct roll *roll, uint32_t source, const struct source_record *record)
{
    if (!reach(roll, source))
        return STATUS_NO_MEMORY;
    if (roll->place_of[source] != NOT_HERE)
        return STATUS_OUT_OF_ORDER;
    roll->place_of[source] = roll->count;
    struct listed *listed = &roll->listed[roll->count++];
    *listed = (struct listed){.source = source,
                              .runs_left = record->run_count,
                              .last_sequence = record->last_sequence,
                              .runs = record->runs};
    run_advance(listed);
    return STATUS_OK;
}

bool roll_has(const struct roll *roll, uint32_t source)
{
    return source < roll->place_count && roll->place_of[source] != NOT_HERE;
}

static void run_take(struct listed *listed, uint64_t count)
{
    listed->run.first += count;
    listed->run.count -= count;
    if (listed->run.count == 0)
        run_advance(listed);
}

bool roll_take(struct roll *roll, uint32_t source, uint64_t first, uint64_t count)
{
    struct listed *listed = &roll->listed[roll->place_of[source]];
    if (listed->run.first != first || listed->run.count < count)
        return false;
    run_take(listed, count);
    return true;
}

bool roll_take_before(struct roll *roll, uint32_t source, uint64_t first, uint64_t before,
                      struct refused_run *ret_run)
{
    struct listed *listed = &roll->listed[roll->place_of[source]];
    if (listed->run.count == 0 || listed->run.first != first || first >= before)
        return false;
    uint64_t room = before - first;
    uint64_t count = listed->run.count < room ? listed->run.count : room;
    *ret_run = (struct refused_run){first, count};
    run_take(listed, count);
    roll->untold += count;
    return true;
}

uint32_t roll_count(const struct roll *roll)
{
    return roll->count;
}

struct roll_entry roll_at(const struct roll *roll, uint32_t index)
{
    const struct listed *listed = &roll->listed[index];
    return (struct roll_entry){listed->source, listed->last_sequence, listed->run.count};
}

uint64_t roll_untold(const struct roll *roll)
{
    return roll->untold;
}
