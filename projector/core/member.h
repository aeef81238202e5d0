/* member: the members of a reply's map, as the query and control protocols have them. Pure. */
#ifndef WEIR_PROJECTOR_CORE_MEMBER_H
#define WEIR_PROJECTOR_CORE_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"

/* False: no such member, or it is none; then ret_value is untouched. */
bool member_uint(struct slice map, const char *name, uint64_t *ret_value);
bool member_text(struct slice map, const char *name, struct slice *ret_text);
/* The MessagePack of whatever it is, inside the map. */
bool member_raw(struct slice map, const char *name, struct slice *ret_raw);

#endif
