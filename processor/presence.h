/* presence: which projectors have shown themselves lately, for `status`.
 *
 * A projector says its name in a status request every few seconds. Nothing depends on it. Owned by
 * the control thread.
 */
#ifndef WEIR_PROCESSOR_PRESENCE_H
#define WEIR_PROCESSOR_PRESENCE_H

#include "common/base/clock.h"
#include "common/wire/control.h"

enum { PRESENCE_MAX = 256 }; /* projectors; beyond, the one that was silent longest goes */
#define PRESENCE_KEPT_NS (15 * NS_PER_S) /* silent for longer: gone */

struct presence {
    struct {
        uint64_t seen_ns; /* CLOCK_BOOTTIME */
        uint32_t name_size;
        uint8_t name[CONTROL_NAME_BYTES_MAX];
    } projectors[PRESENCE_MAX];
    uint32_t count;
};

/* 1 to CONTROL_NAME_BYTES_MAX bytes. */
void presence_note(struct presence *presence, struct slice name, uint64_t now_ns);
/* Appends the list of names that are there at `now_ns`, and forgets the others. */
void presence_write(struct presence *presence, uint64_t now_ns, struct buffer *buffer);

#endif
