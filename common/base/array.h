/* array: room in arrays that grow. */
#ifndef WEIR_COMMON_BASE_ARRAY_H
#define WEIR_COMMON_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

enum { ARRAY_CAPACITY_FIRST = 16, ARRAY_CAPACITY_MAX = 1 << 30 /* items */ };

/* Makes room for one more than `count` ≤ *capacity items. Returns the array: the same one, or, when
 * it was full, one of twice the capacity in its place, which realloc made; new items are not
 * initialised. NULL when out of memory or above ARRAY_CAPACITY_MAX: then nothing has changed. */
void *array_reach(void *items, uint32_t *capacity, uint32_t count, size_t item_bytes);

#endif
