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
    pin->number++;
    (void)pthread_mutex_unlock(&pin->dropping);
}

void pin_clear(struct pin *pin)
{
    atomic_store(&pin->after_ns, PIN_NONE);
}

struct pin_look pin_look(struct pin *pin)
{
    (void)pthread_mutex_lock(&pin->dropping);
    const struct pin_look look = {.after_ns = atomic_load(&pin->after_ns), .number = pin->number};
    (void)pthread_mutex_unlock(&pin->dropping);
    return look;
}

bool pin_drop_begin(struct pin *pin, const struct pin_look *look)
{
    (void)pthread_mutex_lock(&pin->dropping);
    if (pin->number == look->number)
        return true;
    (void)pthread_mutex_unlock(&pin->dropping);
    return false;
}

void pin_drop_end(struct pin *pin)
{
    (void)pthread_mutex_unlock(&pin->dropping);
}
