/* prefetch: brings memory towards the cache ahead of its use. */
#ifndef WEIR_COMMON_BASE_PREFETCH_H
#define WEIR_COMMON_BASE_PREFETCH_H

/* Any address will do; none faults. A compiler (gcc 12 at link time) takes a function that does
 * nothing but prefetch for one without an effect and drops the calls to it: the empty statement is
 * an effect that costs nothing. */
static inline void prefetch(const void *address)
{
    __builtin_prefetch(address);
    __asm__ volatile("");
}

#endif
