#include "common/app/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/logger.h"

#define TERMINAL_INTERVAL_NS (1 * NS_PER_S)
#define LOG_INTERVAL_NS      (5 * NS_PER_S)

static uint64_t interval_ns(const struct progress *progress)
{
    return progress->terminal ? TERMINAL_INTERVAL_NS : LOG_INTERVAL_NS;
}

void progress_start(struct progress *progress, uint64_t now_ns)
{
    *progress = (struct progress){
        .started_ns = now_ns, .last_ns = now_ns, .terminal = isatty(STDERR_FILENO) == 1};
    progress->next_ns = now_ns + interval_ns(progress);
}

static uint64_t per_second(uint64_t count, uint64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (uint64_t)((double)count * (double)NS_PER_S / (double)elapsed_ns) : 0;
}

bool progress_due(const struct progress *progress, uint64_t now_ns)
{
    return now_ns >= progress->next_ns;
}

void progress_say(struct progress *progress, const char *line, const char *fields, uint64_t count,
                  uint64_t now_ns)
{
    unsigned long long rate = per_second(count - progress->last_count, now_ns - progress->last_ns);
    if (progress->terminal) {
        fprintf(stderr, "\r\033[K%s, %llu/s", line, rate);
        progress->line_open = true;
    } else {
        log_info("progress", "%s per_second=%llu", fields, rate);
    }
    progress->last_ns = now_ns;
    progress->last_count = count;
    progress->next_ns = now_ns + interval_ns(progress);
}

void progress_break(struct progress *progress)
{
    if (progress->line_open)
        fputc('\n', stderr);
    progress->line_open = false;
}

uint64_t progress_rate(const struct progress *progress, uint64_t count, uint64_t now_ns)
{
    return per_second(count, now_ns - progress->started_ns);
}
