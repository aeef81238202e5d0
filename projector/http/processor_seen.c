#include "projector/http/processor_seen.h"

#include "common/wire/control.h"
#include "projector/core/member.h"

void processor_seen_init(struct processor_seen *seen)
{
    *seen = (struct processor_seen){.at_ns = 0};
    buffer_init(&seen->status, PROCESSOR_STATUS_BYTES_MAX);
}

void processor_seen_fini(struct processor_seen *seen)
{
    buffer_fini(&seen->status);
}

static double rate(uint64_t before, uint64_t after, double seconds)
{
    return after > before && seconds > 0 ? (double)(after - before) / seconds : 0;
}

static void count_rates(struct processor_seen *seen, struct slice map, uint64_t counted_at_ns)
{
    struct slice refused = {NULL, 0};
    uint64_t accepted = 0, number;
    (void)member_uint(map, "accepted", &accepted);
    (void)member_raw(map, "refused", &refused);
    bool again = seen->counted_at_ns > 0 && counted_at_ns > seen->counted_at_ns &&
                 accepted >= seen->accepted; /* else it is a new processor */
    double seconds = again ? (double)(counted_at_ns - seen->counted_at_ns) / (double)NS_PER_S : 0;
    seen->accepted_per_s = rate(seen->accepted, accepted, seconds);
    for (int i = 0; i < REASON_COUNT; i++) {
        number = 0;
        (void)member_uint(refused, reason_text((enum reason)i), &number);
        seen->refused_per_s[i] = rate(seen->refused[i], number, seconds);
        seen->refused[i] = number;
    }
    seen->accepted = accepted;
    seen->counted_at_ns = counted_at_ns;
}

/* CLOCK_BOOTTIME is one clock on one host: then the processor's reading lies between asking and
 * hearing. From another host the middle of the two stands for it. */
static int64_t log_offset(const struct processor_seen *seen, uint64_t log_ns, uint64_t boot_ns,
                          uint64_t heard_at_ns)
{
    bool same_host = boot_ns >= seen->asked_at_ns && boot_ns <= heard_at_ns;
    uint64_t here_ns =
        same_host ? boot_ns : seen->asked_at_ns + (heard_at_ns - seen->asked_at_ns) / 2;
    return (int64_t)(log_ns - here_ns);
}

void processor_seen_take(struct processor_seen *seen, struct slice reply, uint64_t now_ns)
{
    struct slice map;
    struct detail detail;
    uint64_t log_ns, boot_ns;
    if (control_reply_map_read(reply, &map, &detail) != STATUS_OK ||
        !member_uint(map, "now", &log_ns) || !member_uint(map, "boottime", &boot_ns))
        return;
    seen->log_offset_ns = log_offset(seen, log_ns, boot_ns, now_ns);
    count_rates(seen, map, boot_ns);
    buffer_clear(&seen->status);
    buffer_append(&seen->status, map.data, map.size);
    if (seen->status.status != STATUS_OK)
        buffer_clear(&seen->status);
    seen->at_ns = now_ns;
}

bool processor_seen_is_up(const struct processor_seen *seen, uint64_t now_ns)
{
    return seen->status.size > 0 && now_ns < seen->at_ns + PROCESSOR_UP_NS;
}

uint64_t processor_seen_last_rejection_id(const struct processor_seen *seen)
{
    uint64_t id = 0;
    (void)member_uint(buffer_slice(&seen->status), "last_rejection_id", &id);
    return id;
}
