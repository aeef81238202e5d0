#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE_BYTES = 64 };

void *memory_zeroed(size_t bytes)
{
    size_t grain = bytes < MEMORY_HUGE_BYTES ? CACHE_LINE_BYTES : MEMORY_HUGE_BYTES;
    size_t rounded = (bytes + grain - 1) / grain * grain;
    void *memory = rounded < bytes ? NULL : aligned_alloc(grain, rounded);
    if (memory == NULL)
        return NULL;
    if (grain == MEMORY_HUGE_BYTES)
        (void)madvise(memory, rounded, MADV_HUGEPAGE);
    memset(memory, 0, rounded);
    return memory;
}
