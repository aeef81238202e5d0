#include "common/base/array.h"

#include <assert.h>
#include <stdlib.h>

void *array_reach(void *items, uint32_t *capacity, uint32_t count, size_t item_bytes)
{
    assert(count <= *capacity);
    if (count < *capacity)
        return items;
    if (*capacity > ARRAY_CAPACITY_MAX / 2)
        return NULL;
    uint32_t wanted = *capacity == 0 ? ARRAY_CAPACITY_FIRST : 2 * *capacity;
    void *grown = reallocarray(items, wanted, item_bytes);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}
