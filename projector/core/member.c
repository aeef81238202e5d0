#include "projector/core/member.h"

#include "common/event/event.h"

bool member_uint(struct slice map, const char *name, uint64_t *ret_value)
{
    struct mp_reader reader;
    return event_field(map, slice_of_text(name), &reader) == STATUS_OK &&
           mp_read_uint(&reader, ret_value) == STATUS_OK;
}

bool member_text(struct slice map, const char *name, struct slice *ret_text)
{
    struct mp_reader reader;
    return event_field(map, slice_of_text(name), &reader) == STATUS_OK &&
           mp_read_text(&reader, ret_text) == STATUS_OK;
}

bool member_raw(struct slice map, const char *name, struct slice *ret_raw)
{
    struct mp_reader reader;
    return event_field(map, slice_of_text(name), &reader) == STATUS_OK &&
           mp_read_raw(&reader, ret_raw) == STATUS_OK;
}
