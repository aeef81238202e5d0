/* Any bytes as a JSON line: what is read is an event by the processor's own check. */
#include <stdlib.h>

#include "common/event/json.h"

enum { EVENT_ROOM_BYTES = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer bytes;
    buffer_init(&bytes, EVENT_ROOM_BYTES);
    char source[EVENT_SOURCE_BYTES_MAX + 1];
    struct detail detail;
    if (json_read_event((struct slice){data, size}, 1, &bytes, source, &detail) == STATUS_OK) {
        struct mp_reader reader = mp_reader_of(buffer_slice(&bytes));
        struct event event;
        if (event_read(&reader, &event, NULL, &detail) != STATUS_OK || !mp_at_end(&reader))
            abort();
    }
    buffer_fini(&bytes);
    return 0;
}
