#include "processor/pin.h"

void pin_init(struct pin *pin)
{
    (void)pthread_mutex_init(&pin->dropping, NULL);
    atomic_init(&pin->from_ns, PIN_NONE);
}

void pin_fini(struct pin *pin)
{
    (void)pthread_mutex_destroy(&pin->dropping);
}

void pin_set(struct pin *pin, uint64_t from_ns)
{
    (void)pthread_mutex_lock(&pin->dropping);
    atomic_store(&pin->from_ns, from_ns);
    pin->number++;
    (void)pthread_mutex_unlock(&pin->dropping);
}

void pin_clear(struct pin *pin)
{
    atomic_store(&pin->from_ns, PIN_NONE);
}

struct pin_look pin_look(struct pin *pin)
{
    (void)pthread_mutex_lock(&pin->dropping);
    const struct pin_look look = {.from_ns = atomic_load(&pin->from_ns), .number = pin->number};
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
