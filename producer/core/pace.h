/* pace: when the events of an open-loop source are due, whatever becomes of them. Pure.
 *
 * Event n (from 0) is due n / rate seconds after the start. A source wakes when the next event is
 * due, but not sooner than a tick after its last wake-up, and then makes all that is due: at high
 * rates wake-ups cost more than bytes. Wake-ups lie on the due times themselves, so at low rates no
 * event waits for a tick. Times are ns of one clock of the caller's.
 */
#ifndef WEIR_PRODUCER_CORE_PACE_H
#define WEIR_PRODUCER_CORE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PACE_RATE_MAX = 1000 * 1000 * 1000 };

struct pace {
    uint64_t rate;  /* events per second, ≤ PACE_RATE_MAX; 0: all are due at once */
    uint64_t count; /* events in all; 0: no end */
    uint64_t made;
    uint64_t started_ns;
    uint64_t tick_ns; /* between two wake-ups, at least */
    uint64_t wake_ns; /* the newest wake-up that was asked for */
};

void pace_init(struct pace *pace, uint64_t rate, uint64_t count, uint64_t tick_ns, uint64_t now_ns);
/* When event n is due. */
uint64_t pace_due_ns(const struct pace *pace, uint64_t n);
/* How many events are due by now and not yet made; none before the wake-up that was asked for, so
 * that whatever else wakes the source does not cut its submissions up. */
uint64_t pace_events_due(const struct pace *pace, uint64_t now_ns);
void pace_made(struct pace *pace, uint64_t events);
bool pace_finished(const struct pace *pace);
/* After what was due is made: when to wake next; rate ≥ 1. */
uint64_t pace_next_wake_ns(struct pace *pace);

#endif
