/* pin: how far back the log must stay, for a change of the policies that is under way.
 *
 * The filler pins what it is going to read, and the pin is taken off when the change is durable (or
 * will not be made): from then on the log tells what it needs. Whoever drops segments looks at the
 * pin, decides what may go, which may take long, and removes it only if no pin was set meanwhile,
 * holding off new ones; so a reader that has pinned and then finds a place in the log keeps it, and
 * never waits but for the removal. One pin at a time, as there is one change at a time.
 */
#ifndef WEIR_PROCESSOR_PIN_H
#define WEIR_PROCESSOR_PIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

#define PIN_NONE UINT64_MAX

struct pin {
    pthread_mutex_t dropping; /* held while segments are removed */
    _Atomic uint64_t from_ns; /* log time: what is not earlier stays; PIN_NONE: no pin */
    uint64_t number;          /* of pins set so far; under `dropping` */
};

/* The pin at one moment. */
struct pin_look {
    uint64_t from_ns;
    uint64_t number;
};

void pin_init(struct pin *pin);
void pin_fini(struct pin *pin);

/* What was accepted from `from_ns` on, as far as it is there now, stays until pin_clear. Waits
 * while segments are being removed. */
void pin_set(struct pin *pin, uint64_t from_ns);
/* From any thread; never waits. */
void pin_clear(struct pin *pin);

struct pin_look pin_look(struct pin *pin);
/* No pin is set until pin_drop_end. False: one was set since `look`, so nothing of what was decided
 * on may be dropped, and pin_drop_end is not due. */
MUST_USE bool pin_drop_begin(struct pin *pin, const struct pin_look *look);
void pin_drop_end(struct pin *pin);

#endif
