#include "common/event/reason.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[REASON_COUNT] = {
#define X(name, text) [REASON_##name] = (text),
    REASON_TABLE(X)
#undef X
};

const char *reason_text(enum reason reason)
{
    return (unsigned)reason < REASON_COUNT ? names[reason] : "unknown";
}

size_t reason_counts_format(const uint64_t counts[REASON_COUNT], char *ret_text, size_t size)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (counts[i] == 0 || used >= size)
            continue;
        int more = snprintf(ret_text + used, size - used, "%s%s %" PRIu64, used > 0 ? ", " : "",
                            names[i], counts[i]);
        used += (size_t)more;
    }
    return used < size ? used : size - 1;
}

bool reason_parse(struct slice text, enum reason *ret_reason)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (slice_equal_text(text, names[i])) {
            *ret_reason = (enum reason)i;
            return true;
        }
    }
    return false;
}
