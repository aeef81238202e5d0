/* Linear probing; removal shifts later entries back (Knuth, TAOCP 3, 6.4, algorithm R), so there
 * are no tombstones and the length of a search depends only on what is in the table. */
#include "common/base/table.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/prefetch.h"

enum { BUCKETS_MIN = 16 };
#define SLOTS_MAX_LARGEST (1u << 30) /* so that 2^31 buckets are enough */

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

void table_init(struct table *table, uint32_t slots_max)
{
    assert(slots_max <= SLOTS_MAX_LARGEST);
    *table = (struct table){.slots_max = slots_max};
}

void table_fini(struct table *table)
{
    free(table->buckets);
    table_init(table, table->slots_max);
}

uint32_t table_find(const struct table *table, uint64_t hash, struct slice key,
                    table_equal_fn *equal, const void *owner)
{
    if (table->count == 0)
        return TABLE_NONE;
    uint32_t mask = table->bucket_count - 1;
    uint32_t tag = tag_of(hash);
    for (uint32_t i = tag & mask; table->buckets[i].slot != TABLE_NONE; i = (i + 1) & mask) {
        if (table->buckets[i].tag == tag && equal(owner, table->buckets[i].slot, key))
            return table->buckets[i].slot;
    }
    return TABLE_NONE;
}

void table_prefetch(const struct table *table, uint64_t hash)
{
    if (table->bucket_count > 0)
        prefetch(&table->buckets[tag_of(hash) & (table->bucket_count - 1)]);
}

uint32_t table_guess(const struct table *table, uint64_t hash)
{
    if (table->count == 0)
        return TABLE_NONE;
    uint32_t mask = table->bucket_count - 1;
    uint32_t tag = tag_of(hash);
    uint32_t i = tag & mask;
    while (table->buckets[i].slot != TABLE_NONE && table->buckets[i].tag != tag)
        i = (i + 1) & mask;
    return table->buckets[i].slot;
}

static void place(struct table_bucket *buckets, uint32_t mask, struct table_bucket entry)
{
    uint32_t i = entry.tag & mask;
    while (buckets[i].slot != TABLE_NONE)
        i = (i + 1) & mask;
    buckets[i] = entry;
}

static enum status grow(struct table *table)
{
    uint32_t bucket_count = table->bucket_count > 0 ? table->bucket_count * 2 : BUCKETS_MIN;
    struct table_bucket *buckets = malloc((size_t)bucket_count * sizeof *buckets);
    if (buckets == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < bucket_count; i++)
        buckets[i] = (struct table_bucket){.tag = 0, .slot = TABLE_NONE};
    for (uint32_t i = 0; i < table->bucket_count; i++) {
        if (table->buckets[i].slot != TABLE_NONE)
            place(buckets, bucket_count - 1, table->buckets[i]);
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return STATUS_OK;
}

enum status table_insert(struct table *table, uint64_t hash, uint32_t slot)
{
    assert(slot != TABLE_NONE);
    if (table->count >= table->slots_max)
        return STATUS_FULL;
    bool crowded = ((uint64_t)table->count + 1) * 10 > (uint64_t)table->bucket_count * 7;
    if (crowded) {
        enum status status = grow(table);
        if (status != STATUS_OK)
            return status;
    }
    struct table_bucket entry = {.tag = tag_of(hash), .slot = slot};
    place(table->buckets, table->bucket_count - 1, entry);
    table->count++;
    return STATUS_OK;
}

/* Empties bucket `hole` and moves back every later entry of the run that may stand there: one whose
 * way from its home bucket is at least as long as its way from the hole. */
static void close_hole(struct table_bucket *buckets, uint32_t mask, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & mask; buckets[i].slot != TABLE_NONE; i = (i + 1) & mask) {
        uint32_t way_from_home = (i - buckets[i].tag) & mask;
        uint32_t way_from_hole = (i - hole) & mask;
        if (way_from_home >= way_from_hole) {
            buckets[hole] = buckets[i];
            hole = i;
        }
    }
    buckets[hole].slot = TABLE_NONE;
}

void table_remove(struct table *table, uint64_t hash, uint32_t slot)
{
    assert(table->count > 0);
    uint32_t mask = table->bucket_count - 1;
    uint32_t i = tag_of(hash) & mask;
    while (table->buckets[i].slot != slot) {
        assert(table->buckets[i].slot != TABLE_NONE); /* the caller says it is there */
        i = (i + 1) & mask;
    }
    close_hole(table->buckets, mask, i);
    table->count--;
}
