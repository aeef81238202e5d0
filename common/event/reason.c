#include "common/event/reason.h"

static const char *const names[REASON_COUNT] = {
#define X(name, text) [REASON_##name] = (text),
    REASON_TABLE(X)
#undef X
};

const char *reason_text(enum reason reason)
{
    return (unsigned)reason < REASON_COUNT ? names[reason] : "unknown";
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
