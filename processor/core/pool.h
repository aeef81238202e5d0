/* pool: cells of one cache line each, named by 32-bit indices, given out and taken back.
 *
 * Cells live in blocks that never move, so a pool grows without copying and a pointer to a cell
 * stays good until the cell is given back. Blocks are freed only with the pool. Not thread-safe.
 */
#ifndef WEIR_PROCESSOR_CORE_POOL_H
#define WEIR_PROCESSOR_CORE_POOL_H

#include <stdint.h>

#include "common/base/status.h"

enum {
    POOL_CELL_BYTES = 64,
    POOL_BLOCK_CELLS = 32768, /* 2 MiB, a huge page */
};
#define POOL_NONE UINT32_MAX

struct pool_cell {
    _Alignas(POOL_CELL_BYTES) uint8_t bytes[POOL_CELL_BYTES];
};

struct pool_block {
    struct pool_cell *cells; /* POOL_BLOCK_CELLS */
};

struct pool {
    struct pool_block *blocks;
    uint32_t block_count;
    uint32_t block_capacity; /* of the array `blocks` */
    uint32_t cell_count;     /* cells ever given out: indices are below it */
    uint32_t free_head;      /* list of cells given back, linked through their first four bytes */
};

void pool_init(struct pool *pool);
void pool_fini(struct pool *pool);

/* A cell with any content. NO_MEMORY. */
MUST_USE enum status pool_take(struct pool *pool, uint32_t *ret_index);
/* The first four bytes of the cell are overwritten. */
void pool_give(struct pool *pool, uint32_t index);

static inline void *pool_at(const struct pool *pool, uint32_t index)
{
    return &pool->blocks[index / POOL_BLOCK_CELLS].cells[index % POOL_BLOCK_CELLS];
}

#endif
