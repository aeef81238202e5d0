#include "processor/call.h"

#include <stdlib.h>

struct call *call_new(enum call_kind kind, const struct envelope *envelope)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return NULL;
    call->kind = kind;
    call->envelope = *envelope;
    return call;
}

void call_destroy(struct call **call)
{
    if (*call == NULL)
        return;
    if ((*call)->kind == CALL_POLICY_SET) {
        window_fill_destroy(&(*call)->change.fill);
        free((*call)->change.policies);
    }
    free(*call);
    *call = NULL;
}
