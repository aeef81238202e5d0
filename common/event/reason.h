/* reason: why something was refused, in one table (docs/protocol.md, "Reasons").
 *
 * FENCED, DUPLICATE and OUT_OF_ORDER are counted, never recorded. SHADOW is a report, never a
 * verdict.
 */
#ifndef WEIR_COMMON_EVENT_REASON_H
#define WEIR_COMMON_EVENT_REASON_H

#include <stdbool.h>

#include "common/base/buffer.h"

#define REASON_TABLE(X)                                                                            \
    X(RATE_LIMITED, "rate_limited")                                                                \
    X(INVALID, "invalid")                                                                          \
    X(TOO_LARGE, "too_large")                                                                      \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(MALFORMED, "malformed")                                                                      \
    X(UNAUTHORIZED, "unauthorized")                                                                \
    X(FENCED, "fenced")                                                                            \
    X(DUPLICATE, "duplicate")                                                                      \
    X(OUT_OF_ORDER, "out_of_order")                                                                \
    X(SHADOW, "shadow")

enum reason {
#define X(name, text) REASON_##name,
    REASON_TABLE(X)
#undef X
        REASON_COUNT
};
enum { REASON_COUNTS_BYTES_MAX = REASON_COUNT * 40 };

/* The name on the wire; never NULL. */
const char *reason_text(enum reason reason);
/* "rate_limited 3, invalid 1": what is not 0, in the table's order, always NUL-terminated; returns
 * the text's length. REASON_COUNTS_BYTES_MAX holds any. */
size_t reason_counts_format(const uint64_t counts[REASON_COUNT], char *ret_text, size_t size);
/* false if `text` names no reason. */
bool reason_parse(struct slice text, enum reason *ret_reason);

#endif
