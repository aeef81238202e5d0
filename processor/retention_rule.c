#include "processor/retention_rule.h"

size_t retention_choose(const struct retention_options *options,
                        const struct retention_segment *segments, size_t count, uint64_t now_ns,
                        uint64_t needed_from_ns)
{
    uint64_t left = 0; /* bytes from i on */
    for (size_t i = count; i-- > 1;) {
        const struct retention_segment *segment = &segments[i];
        left += segment->bytes;
        if (!segment->has_snapshot || segment->first_time_ns >= needed_from_ns)
            continue;
        const bool full = options->bytes > 0 && left >= options->bytes;
        const bool old = options->for_ns > 0 && now_ns >= options->for_ns &&
                         segment->first_time_ns <= now_ns - options->for_ns;
        if (full || old)
            return i;
    }
    return 0;
}
