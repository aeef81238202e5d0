/* memory: tables that are looked into at random.
 *
 * Such a look misses the TLB nearly every time once a table is larger than some MiB, and a prefetch
 * waits for that too. Huge pages make it rare; where the kernel gives none, all works as well.
 */
#ifndef WEIR_COMMON_BASE_MEMORY_H
#define WEIR_COMMON_BASE_MEMORY_H

#include <stddef.h>

/* `bytes` > 0 zeroes that begin at a cache line, on huge pages from MEMORY_HUGE_BYTES on. Goes back
 * with free. NULL when out of memory. */
enum { MEMORY_HUGE_BYTES = 2 * 1024 * 1024 };
void *memory_zeroed(size_t bytes);

#endif
