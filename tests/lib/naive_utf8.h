/* naive_utf8: the oracle for utf8_valid, written from the definition instead of the grammar. */
#ifndef WEIR_TESTS_LIB_NAIVE_UTF8_H
#define WEIR_TESTS_LIB_NAIVE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes to code points and looks at each of them. */
static inline bool naive_utf8(const uint8_t *at, size_t size)
{
    static const uint32_t first_of_length[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < size;) {
        uint8_t first = at[i];
        unsigned length = first < 0x80   ? 1
                          : first < 0xc0 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                          : first < 0xf8 ? 4
                                         : 0;
        if (length == 0 || size - i < length)
            return false;
        uint32_t point = length == 1 ? first : first & (0x7fu >> length);
        for (unsigned j = 1; j < length; j++) {
            if (at[i + j] >> 6 != 2)
                return false;
            point = point << 6 | (at[i + j] & 0x3fu);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < first_of_length[length] || point > 0x10ffff || surrogate)
            return false;
        i += length;
    }
    return true;
}

#endif
