/* Any bytes as a JSON line: what is read is an event by the processor's own check, and the fast way
 * reads nothing that jansson's tree reads otherwise. */
#include <stdlib.h>
#include <string.h>

#include "common/event/json_fast.h"

enum { EVENT_ROOM_BYTES = 4 * 1024 * 1024 };

static void ways_compare(struct slice line)
{
    struct buffer fast, tree;
    struct detail detail;
    char fast_source[EVENT_SOURCE_BYTES_MAX + 1], tree_source[EVENT_SOURCE_BYTES_MAX + 1];
    buffer_init(&fast, EVENT_ROOM_BYTES);
    buffer_init(&tree, EVENT_ROOM_BYTES);
    if (json_fast_read(line, 1, &fast, fast_source) &&
        (json_tree_read(line, 1, &tree, tree_source, &detail) != STATUS_OK ||
         !slice_equal(buffer_slice(&fast), buffer_slice(&tree)) ||
         strcmp(fast_source, tree_source) != 0))
        abort();
    buffer_fini(&fast);
    buffer_fini(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer bytes;
    ways_compare((struct slice){data, size});
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
