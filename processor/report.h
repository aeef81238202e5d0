/* report: what the processor says about itself: the `stats` topic, the `status` reply and the
 * summary line.
 *
 * All read counters and the durable position only, so any thread may ask.
 */
#ifndef WEIR_PROCESSOR_REPORT_H
#define WEIR_PROCESSOR_REPORT_H

#include "processor/presence.h"
#include "processor/retention.h"
#include "processor/service.h"

/* Appends the map of the topic `stats`. */
void report_stats(const struct service *service, struct buffer *buffer);
/* Appends the map of the `status` reply. `policies` are those in force; `damage` names what a
 * replay found damaged, "" for nothing; who is not there any more leaves `presence`; `first` is
 * where the log begins. */
struct status_notes {
    const struct policy_set *policies;
    const char *damage;
    struct presence *presence;
    const struct first_kept *first;
};
void report_status(const struct service *service, const struct status_notes *notes,
                   struct buffer *buffer);

/* Logs one line: rates since the line before, totals, what is refused and why. */
struct report_line {
    uint64_t at_ns; /* CLOCK_BOOTTIME of the line before */
    uint64_t accepted, refused;
};
void report_summary(const struct service *service, struct report_line *line);

#endif
