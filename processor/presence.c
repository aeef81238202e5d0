#include "processor/presence.h"

#include <assert.h>
#include <string.h>

#include "common/event/codec.h"

static struct slice name_at(const struct presence *presence, uint32_t i)
{
    return (struct slice){presence->projectors[i].name, presence->projectors[i].name_size};
}

/* The place of the name; else a free one, else that of who was silent longest. */
static uint32_t place_of(const struct presence *presence, struct slice name)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < presence->count; i++) {
        if (slice_equal(name_at(presence, i), name))
            return i;
        if (presence->projectors[i].seen_ns < presence->projectors[oldest].seen_ns)
            oldest = i;
    }
    return presence->count < PRESENCE_MAX ? presence->count : oldest;
}

void presence_note(struct presence *presence, struct slice name, uint64_t now_ns)
{
    assert(name.size >= 1 && name.size <= CONTROL_NAME_BYTES_MAX);
    uint32_t place = place_of(presence, name);
    if (place == presence->count)
        presence->count++;
    presence->projectors[place].seen_ns = now_ns;
    presence->projectors[place].name_size = (uint32_t)name.size;
    memcpy(presence->projectors[place].name, name.data, name.size);
}

void presence_write(struct presence *presence, uint64_t now_ns, struct buffer *buffer)
{
    for (uint32_t i = 0; i < presence->count;) {
        if (now_ns - presence->projectors[i].seen_ns > PRESENCE_KEPT_NS)
            presence->projectors[i] = presence->projectors[--presence->count];
        else
            i++;
    }
    codec_array(buffer, presence->count);
    for (uint32_t i = 0; i < presence->count; i++)
        codec_text_slice(buffer, name_at(presence, i));
}
