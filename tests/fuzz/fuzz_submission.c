/* Any bytes as a submission: the reader stays inside them, makes progress and never asserts; what
 * it calls an event, the reader of stored events reads the same. */
#include <stdlib.h>

#include "common/wire/submission.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_good_event(const struct event *event)
{
    struct mp_reader again = mp_reader_of(event->raw);
    struct event stored;
    require(event->raw.size <= EVENT_BYTES_MAX);
    require(event_read_stored(&again, &stored) == STATUS_OK && mp_at_end(&again));
    require(stored.type.data == event->type.data && stored.type.size == event->type.size);
    require(stored.occurred_at_ns == event->occurred_at_ns);
}

static void read_events(struct mp_reader *reader)
{
    while (!mp_at_end(reader)) {
        const uint8_t *before = reader->at;
        struct event event;
        struct slice raw = {0};
        struct detail detail;
        enum status status = event_read(reader, &event, &raw, &detail);
        if (status == STATUS_MALFORMED) {
            require(reader->at == before);
            return;
        }
        require(reader->at > before && reader->at <= reader->end);
        if (status == STATUS_OK)
            check_good_event(&event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mp_reader reader = mp_reader_of((struct slice){data, size});
    struct submission_header header;
    struct detail detail;
    if (submission_read_header(&reader, &header, &detail) != STATUS_OK)
        reader = mp_reader_of((struct slice){data, size});
    read_events(&reader);
    return 0;
}
