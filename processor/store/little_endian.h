/* little_endian: unsigned integers of 1 to 8 bytes as they stand in the store's headers. */
#ifndef WEIR_PROCESSOR_STORE_LITTLE_ENDIAN_H
#define WEIR_PROCESSOR_STORE_LITTLE_ENDIAN_H

#include <stdint.h>

static inline void put_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t get_le(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

#endif
