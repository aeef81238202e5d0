/* findings: what verify found wrong, first things first. Keeps the first ones and counts all. */
#ifndef WEIR_PROCESSOR_TOOLS_FINDINGS_H
#define WEIR_PROCESSOR_TOOLS_FINDINGS_H

#include <stdint.h>

#include "common/base/status.h"

enum { FINDINGS_KEPT = 100, FINDING_WHERE_BYTES_MAX = 128 };

struct finding {
    struct detail what;
    char where[FINDING_WHERE_BYTES_MAX]; /* "batch 3, event 17" */
};

struct findings {
    uint64_t count;
    struct finding kept[FINDINGS_KEPT];
};

/* `where` and `what` are copied, cut where they are too long. */
void findings_add(struct findings *findings, const char *where, const char *what);

#endif
