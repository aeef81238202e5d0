#include "processor/tools/findings.h"

#include <stdio.h>

void findings_add(struct findings *findings, const char *where, const char *what)
{
    if (findings->count < FINDINGS_KEPT) {
        struct finding *finding = &findings->kept[findings->count];
        snprintf(finding->where, sizeof finding->where, "%s", where);
        detail_write(&finding->what, "%s", what);
    }
    findings->count++;
}
