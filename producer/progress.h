/* progress of a producer: its counts while it runs, and the one line at the end.
 */
#ifndef WEIR_PRODUCER_PROGRESS_H
#define WEIR_PRODUCER_PROGRESS_H

#include "common/app/progress.h"
#include "producer/producer.h"

/* Says how it goes, when it is time. */
void progress_tick(struct progress *progress, const struct producer *producer, uint64_t now_ns);
/* The last line, on stdout: "N accepted, M refused (…)EXTRA, R/s". */
void progress_finish(struct progress *progress, const struct producer *producer, const char *extra,
                     uint64_t now_ns);

#endif
