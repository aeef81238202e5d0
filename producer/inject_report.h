/* inject_report: the catalogue and the findings, as text for people and as JSON for tools. Writes
 * to streams, decides nothing.
 */
#ifndef WEIR_PRODUCER_INJECT_REPORT_H
#define WEIR_PRODUCER_INJECT_REPORT_H

#include <stdio.h>

#include "producer/core/finding.h"

/* One line per kind: name, reason, sequence use, what comes back, what is sent. */
void inject_print_list(FILE *stream);

/* What was sent, what came back (with the evidence as a hexdump), and whether it is what should. */
void inject_print_finding(const struct finding *finding, FILE *stream);
/* The same as one object on one line: `kind`, the `reason` and `sequences` that it should get,
 * `as_stated` (null: skipped), `problem`, how many sequences were `decided` and `refused`, and the
 * first `rejection` and newest `ack` of its own, null where there is none. */
void inject_print_json(const struct finding *finding, FILE *stream);

#endif
