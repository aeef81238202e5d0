#include "processor/pin.h"

void pin_init(struct pin *pin)
{
    (void)pthread_mutex_init(&pin->dropping, NULL);
    atomic_init(&pin->after_ns, PIN_NONE);
}

void pin_fini(struct pin *pin)
{
    (void)pthread_mutex_destroy(&pin->dropping);
}

void pin_set(struct pin *pin, uint64_t after_ns)
{
    (void)pthread_mutex_lock(&pin->dropping);
    atomic_store(&pin->after_ns, after_ns);
    (void)pthread_mutex_unlock(&pin->dropping);
}

void pin_clear(struct pin *pin)
{
    atomic_store(&pin->after_ns, PIN_NONE);
}

uint64_t pin_drop_begin(struct pin *pin)
{
    (void)pthread_mutex_lock(&pin->dropping);
    return atomic_load(&pin->after_ns);
}

void pin_drop_end(struct pin *pin)
{
    (void)pthread_mutex_unlock(&pin->dropping);
}
