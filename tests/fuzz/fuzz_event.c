/* Any bytes as one event: the answer agrees with mp_skip, the detail is UTF-8, and what is accepted
 * can be searched and written as JSON. */
#include <stdlib.h>
#include <string.h>

#include "common/event/event.h"
#include "common/event/json.h"

enum { JSON_ROOM_BYTES = 16 * 1024 * 1024 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The place that the answer says: behind the item, or where it was. */
static void check_place(struct slice bytes, const struct mp_reader *reader, enum status status,
                        struct slice raw)
{
    struct mp_reader whole = mp_reader_of(bytes);
    bool malformed = mp_skip(&whole) != STATUS_OK;
    require(malformed == (status == STATUS_MALFORMED));
    require(reader->at == whole.at);
    if (status == STATUS_INVALID || status == STATUS_TOO_LARGE)
        require(raw.data == bytes.data && raw.data + raw.size == reader->at);
    require((status == STATUS_TOO_LARGE) == (raw.size > EVENT_BYTES_MAX));
}

/* Every dotted path that stands in the event as its subject leads into `data` or nowhere. */
static void check_field(const struct event *event)
{
    struct mp_reader value;
    enum status status = event_field(event->data, event->subject, &value);
    require(status == STATUS_OK || status == STATUS_NOT_FOUND);
    if (status == STATUS_OK)
        require(value.at > event->data.data && value.end == event->data.data + event->data.size);
}

static void check_json(const struct event *event)
{
    struct buffer text;
    buffer_init(&text, JSON_ROOM_BYTES);
    struct slice source = {(const uint8_t *)"s", 1};
    require(json_write_accepted(1, 2, source, 3, event, &text) == STATUS_OK);
    require(utf8_valid(buffer_slice(&text)));
    buffer_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {data, size}, raw = {NULL, 0};
    struct mp_reader reader = mp_reader_of(bytes);
    struct event event;
    struct detail detail = {""};
    enum status status = event_read(&reader, &event, &raw, &detail);
    check_place(bytes, &reader, status, raw);
    require((status == STATUS_OK) == (detail.text[0] == '\0'));
    require(utf8_valid(slice_of_text(detail.text)));
    if (status == STATUS_OK) {
        check_field(&event);
        check_json(&event);
    }
    return 0;
}
