/* duration: lengths of time as people write them, an integer and a unit: 250ms, 60s, 31d. Pure. */
#ifndef WEIR_COMMON_BASE_DURATION_H
#define WEIR_COMMON_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

enum { DURATION_TEXT_BYTES = 24 };

/* Decimal digits and one of ns us ms s m h d; false unless it is 1 ns to max_ns. */
bool duration_parse(const char *text, uint64_t max_ns, uint64_t *ret_ns);
/* The shortest such text: in the largest unit that divides it. ns ≥ 1. */
void duration_format(uint64_t ns, char ret_text[DURATION_TEXT_BYTES]);

/* Decimal digits only, up to `max`. */
bool decimal_parse(const char *text, uint64_t max, uint64_t *ret_value);

#endif
