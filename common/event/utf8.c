#include "common/event/mp.h"

static bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the one character at `at`, 0 if it is none. The cases are the rows of the grammar in
 * RFC 3629, section 4. `left` ≥ 1. */
static size_t character_bytes(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0; /* a tail, an overlong form of two bytes, or above U+10FFFF */
    if (first < 0xe0)
        return left >= 2 && is_tail(at[1]) ? 2 : 0;

    uint8_t second_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80; /* overlong below */
    uint8_t second_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf; /* surrogates, end */
    size_t bytes = first < 0xf0 ? 3 : 4;
    if (left < bytes || at[1] < second_min || at[1] > second_max || !is_tail(at[2]))
        return 0;
    return bytes == 3 || is_tail(at[3]) ? bytes : 0;
}

bool utf8_valid_any(struct slice text)
{
    size_t done = 0;
    while (done < text.size) {
        size_t bytes = character_bytes(text.data + done, text.size - done);
        if (bytes == 0)
            return false;
        done += bytes;
    }
    return true;
}
