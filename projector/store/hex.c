#include "projector/store/hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void hex_write(const uint8_t *bytes, size_t size, char *ret_text)
{
    for (size_t i = 0; i < size; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * size] = '\0';
}

void hex_read(const char *text, size_t size, uint8_t *ret_bytes)
{
    memset(ret_bytes, 0, size);
    if (strlen(text) != 2 * size || strspn(text, digits) != 2 * size)
        return;
    for (size_t i = 0; i < 2 * size; i++) {
        unsigned value = (unsigned)(strchr(digits, text[i]) - digits);
        ret_bytes[i / 2] = (uint8_t)((unsigned)ret_bytes[i / 2] << 4 | value);
    }
}

void digest_from_hex(const char *text, struct digest *ret_digest)
{
    uint8_t bytes[16];
    *ret_digest = (struct digest){0};
    hex_read(text, sizeof bytes, bytes);
    for (unsigned i = 0; i < 8; i++) {
        ret_digest->high = ret_digest->high << 8 | bytes[i];
        ret_digest->low = ret_digest->low << 8 | bytes[8 + i];
    }
}
