/* progress: what the user sees while a producer runs, and the one line at the end.
 *
 * On a terminal one line that is rewritten every second, else a log line every five seconds.
 */
#ifndef WEIR_PRODUCER_PROGRESS_H
#define WEIR_PRODUCER_PROGRESS_H

#include <stdbool.h>

#include "producer/producer.h"

struct progress {
    uint64_t started_ns; /* CLOCK_BOOTTIME */
    uint64_t next_ns;    /* when to say the next */
    uint64_t last_ns;    /* when the last was said */
    uint64_t last_count; /* verdicts then */
    bool terminal;       /* stderr is one */
    bool line_open;      /* the cursor stands behind a progress line */
};

void progress_start(struct progress *progress, uint64_t now_ns);
/* Says how it goes, when it is time. */
void progress_tick(struct progress *progress, const struct producer *producer, uint64_t now_ns);
/* Ends the progress line, so that something else can be written. */
void progress_break(struct progress *progress);
/* The last line, on stdout: "N accepted, M refused (…)EXTRA, R/s". */
void progress_finish(struct progress *progress, const struct producer *producer, const char *extra,
                     uint64_t now_ns);

#endif
