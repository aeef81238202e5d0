/* clock: the only reader of the machine's clocks, and log_clock: the pure rule that makes log time.
 *
 * Log time = anchor + CLOCK_BOOTTIME elapsed since the start, anchor = max (wall clock, last stamp)
 * at the start. So it never decreases, whatever is done to the wall clock. All times are ns.
 */
#ifndef WEIR_COMMON_BASE_CLOCK_H
#define WEIR_COMMON_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* CLOCK_REALTIME in ns since the Unix epoch; 0 when it is set before 1970. */
uint64_t clock_wall_ns(void);
/* CLOCK_BOOTTIME in ns: never set, goes on during suspend. */
uint64_t clock_boot_ns(void);

struct log_clock {
    uint64_t anchor_ns;     /* log time at the start */
    uint64_t boot_start_ns; /* CLOCK_BOOTTIME at the start */
    uint64_t last_stamp_ns; /* newest stamp given out */
};

/* wall_ns and boot_ns: one reading of each; last_stamp_ns: the newest time in the log, 0 if none.
 */
void log_clock_init(struct log_clock *clock, uint64_t wall_ns, uint64_t boot_ns,
                    uint64_t last_stamp_ns);
/* The stamp for a reading of CLOCK_BOOTTIME; never less than the one before. */
uint64_t log_clock_stamp(struct log_clock *clock, uint64_t boot_ns);
/* Log time at a reading of CLOCK_BOOTTIME, without giving out a stamp: for any thread. */
uint64_t log_clock_at(const struct log_clock *clock, uint64_t boot_ns);
/* How far the wall clock has been stepped since the start: wall − log time, signed ns. */
int64_t log_clock_wall_step(const struct log_clock *clock, uint64_t wall_ns, uint64_t boot_ns);

enum { CLOCK_TEXT_BYTES = 40 };
/* RFC 3339 in UTC with nine digits of a second: 2026-01-02T03:04:05.000000006Z. */
void clock_format(uint64_t time_ns, char ret_text[CLOCK_TEXT_BYTES]);
/* Reads RFC 3339 (any offset, 0 to 9 digits of a second); false if it is not one or before 1970. */
bool clock_parse(const char *text, uint64_t *ret_time_ns);

#endif
