/* progress: what a person sees while a long command runs. On a terminal one line that is rewritten
 * every second, else a log line every five seconds. Belongs to one thread.
 *
 *     progress_start → (progress_due → progress_say) … → progress_break
 */
#ifndef WEIR_COMMON_APP_PROGRESS_H
#define WEIR_COMMON_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    uint64_t started_ns; /* CLOCK_BOOTTIME */
    uint64_t next_ns;    /* when to say the next */
    uint64_t last_ns;    /* when the last was said */
    uint64_t last_count; /* what was done then */
    bool terminal;       /* stderr is one */
    bool line_open;      /* the cursor stands behind a progress line */
};

void progress_start(struct progress *progress, uint64_t now_ns);
/* Is it time to say how it goes? */
bool progress_due(const struct progress *progress, uint64_t now_ns);
/* Says it: `line` is for the terminal, `fields` for the log (key=value); both with the rate of
 * `count` since the last time behind them. */
void progress_say(struct progress *progress, const char *line, const char *fields, uint64_t count,
                  uint64_t now_ns);
/* Ends the progress line, so that something else can be written. */
void progress_break(struct progress *progress);
/* `count` a second since the start. */
uint64_t progress_rate(const struct progress *progress, uint64_t count, uint64_t now_ns);

#endif
