#include "processor/core/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/array.h"

void pool_init(struct pool *pool)
{
    *pool = (struct pool){.free_head = POOL_NONE};
}

void pool_fini(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->block_count; i++)
        free(pool->blocks[i].cells);
    free(pool->blocks);
    pool_init(pool);
}

static enum status add_block(struct pool *pool)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
    const size_t block_bytes = sizeof *pool->blocks;
    struct pool_block *blocks =
        array_reach(pool->blocks, &pool->block_capacity, pool->block_count, block_bytes);
    if (blocks == NULL)
        return STATUS_NO_MEMORY;
    pool->blocks = blocks;
    size_t bytes = sizeof(struct pool_cell) * POOL_BLOCK_CELLS;
    struct pool_cell *cells = aligned_alloc(bytes, bytes);
    if (cells == NULL)
        return STATUS_NO_MEMORY;
    /* Random access over many blocks misses the TLB; a small pool had better stay small. */
    if (pool->block_count > 0)
        (void)madvise(cells, bytes, MADV_HUGEPAGE);
    pool->blocks[pool->block_count++].cells = cells;
    return STATUS_OK;
}

enum status pool_take(struct pool *pool, uint32_t *ret_index)
{
    if (pool->free_head != POOL_NONE) {
        *ret_index = pool->free_head;
        memcpy(&pool->free_head, pool_at(pool, pool->free_head), sizeof pool->free_head);
        return STATUS_OK;
    }
    if (pool->cell_count == pool->block_count * POOL_BLOCK_CELLS) {
        enum status status = add_block(pool);
        if (status != STATUS_OK)
            return status;
    }
    *ret_index = pool->cell_count++;
    return STATUS_OK;
}

void pool_give(struct pool *pool, uint32_t index)
{
    assert(index < pool->cell_count);
    memcpy(pool_at(pool, index), &pool->free_head, sizeof pool->free_head);
    pool->free_head = index;
}
