/* hex: bytes as text in the columns that people may look at. Pure. */
#ifndef WEIR_PROJECTOR_STORE_HEX_H
#define WEIR_PROJECTOR_STORE_HEX_H

#include <stddef.h>

#include "common/base/hash.h"

/* 2 × size digits and a NUL. */
void hex_write(const uint8_t *bytes, size_t size, char *ret_text);
/* Reads `size` bytes; all zero for a text that is not so many digits (a checksum tells). */
void hex_read(const char *text, size_t size, uint8_t *ret_bytes);
/* The counterpart of digest_hex; likewise. */
void digest_from_hex(const char *text, struct digest *ret_digest);

#endif
