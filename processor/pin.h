/* pin: how far back the log must stay, for a change of the policies that is under way.
 *
 * The filler pins what it is going to read, and the pin is taken off when the change is durable (or
 * will not be made): from then on the log tells what it needs. Whoever drops segments holds off new
 * pins while it decides and removes; so a reader that has pinned and then finds a place in the log
 * keeps it. One pin at a time, as there is one change at a time.
 */
#ifndef WEIR_PROCESSOR_PIN_H
#define WEIR_PROCESSOR_PIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define PIN_NONE UINT64_MAX

struct pin {
    pthread_mutex_t dropping;  /* held from the decision what goes until it is gone */
    _Atomic uint64_t after_ns; /* log time: what is later stays; PIN_NONE: no pin */
};

void pin_init(struct pin *pin);
void pin_fini(struct pin *pin);

/* What was accepted after `after_ns`, as far as it is there now, stays until pin_clear. Waits while
 * a drop is under way. */
void pin_set(struct pin *pin, uint64_t after_ns);
/* From any thread; never waits. */
void pin_clear(struct pin *pin);

/* No pin is set until pin_drop_end. Returns the one that is set. */
uint64_t pin_drop_begin(struct pin *pin);
void pin_drop_end(struct pin *pin);

#endif
