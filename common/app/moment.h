/* moment: a place in the log's history, as people name it (docs/protocol.md "Moments").
 *
 *     #1234                                an event id (a rejection id where those are asked for)
 *     2026-01-02T03:04:05.5+01:00          log time: RFC 3339, up to nanoseconds, any offset
 *     -5m                                  before the log's last time; ns us ms s m h d
 *
 * Pure. Used for --from, --to and --at, and for ?at= over HTTP.
 */
#ifndef WEIR_COMMON_APP_MOMENT_H
#define WEIR_COMMON_APP_MOMENT_H

#include <stdint.h>

#include "common/base/status.h"

enum moment_kind {
    MOMENT_ID,   /* value: the id; 0: before the first */
    MOMENT_TIME, /* value: ns since the Unix epoch */
    MOMENT_BACK, /* value: ns before the log's last time */
};

struct moment {
    enum moment_kind kind;
    uint64_t value;
};

/* USAGE with a detail that quotes the text and says what is wrong with it, and what would do. */
MUST_USE enum status moment_parse(const char *text, struct moment *ret_moment,
                                  struct detail *ret_detail);

/* A MOMENT_BACK becomes the MOMENT_TIME it stands for (0 where it lies before 1970); others stay.
 */
struct moment moment_resolve(struct moment moment, uint64_t last_time_ns);

#endif
