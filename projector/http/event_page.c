#include "projector/http/event_page.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/glob.h"
#include "common/event/json.h"
#include "common/event/upcast/upcast.h"

/* A page ends early enough that one more record of any kind fits. */
enum { PAGE_BYTES_ENOUGH = EVENT_PAGE_BYTES_MAX / 2 };

static bool text_passes(const char *wanted, struct slice text)
{
    return wanted[0] == '\0' || slice_equal_text(text, wanted);
}

static bool passes(const struct event_filter *filter, struct slice type, struct slice subject,
                   struct slice source)
{
    return text_passes(filter->subject, subject) && text_passes(filter->source, source) &&
           (filter->type[0] == '\0' || glob_matches(filter->type, type));
}

static void open_record(const struct event_page *page, const struct event_frame *frame, uint64_t id,
                        struct buffer *text)
{
    char head[64];
    if (page->count > 0)
        buffer_append_text(text, frame->between);
    snprintf(head, sizeof head, "id: %" PRIu64 "\nevent: %s\ndata: ", id,
             stream_text(page->stream));
    if (frame->sse)
        buffer_append_text(text, head);
}

static enum status add_accepted(struct event_page *page, const struct event_frame *frame,
                                struct mp_reader *reader, struct buffer *text)
{
    struct accepted_record record;
    enum status status = accepted_record_read(reader, &record);
    if (status != STATUS_OK || record.event_id >= page->filter.end_id ||
        !passes(&page->filter, record.event.type, record.event.subject, record.source))
        return status;
    open_record(page, frame, record.event_id, text);
    page->count++;
    struct buffer migrated; /* an old schema version is shown as the newest, where it can be */
    buffer_init(&migrated, 16 * UPCAST_DATA_BYTES_MAX);
    if (upcast_is_due(&record.event) && buffer_reserve(&migrated, migrated.bytes_max) == STATUS_OK)
        (void)!upcast_event(&record.event, &migrated, NULL);
    status = json_write_accepted(record.event_id, record.accepted_at_ns, record.source,
                                 record.sequence, &record.event, text);
    buffer_fini(&migrated);
    return status;
}

static enum status add_rejected(struct event_page *page, const struct event_frame *frame,
                                struct mp_reader *reader, struct buffer *text)
{
    struct rejection record;
    enum status status = rejection_read(reader, &record);
    if (status != STATUS_OK || record.rejection_id >= page->filter.end_id ||
        !passes(&page->filter, record.type, record.subject, record.source))
        return status;
    open_record(page, frame, record.rejection_id, text);
    page->count++;
    return rejection_write_json(&record, text);
}

enum status event_page_add(struct event_page *page, const struct event_frame *frame,
                           struct slice body, uint64_t count, struct buffer *text)
{
    struct mp_reader reader = mp_reader_of(body);
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < count && status == STATUS_OK && !page->full; i++) {
        uint64_t written = page->count;
        status = page->stream == STREAM_ACCEPTED ? add_accepted(page, frame, &reader, text)
                                                 : add_rejected(page, frame, &reader, text);
        if (frame->sse && page->count > written)
            buffer_append_text(text, "\n\n");
        page->next_id++;
        page->full = page->count >= page->limit || text->size >= PAGE_BYTES_ENOUGH ||
                     page->next_id >= page->filter.end_id;
    }
    return status == STATUS_OK ? text->status : status;
}
