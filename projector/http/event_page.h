/* event_page: records of a replay as JSON: those that a filter lets through, up to bounds. Pure.
 *
 * Both streams are CloudEvents (common/event/json.h), as `history` prints them.
 */
#ifndef WEIR_PROJECTOR_HTTP_EVENT_PAGE_H
#define WEIR_PROJECTOR_HTTP_EVENT_PAGE_H

#include "common/wire/control.h"

enum { EVENT_PAGE_BYTES_MAX = 8 * 1024 * 1024 }; /* of JSON; the page ends before it */

/* Texts are empty where all are wanted. */
struct event_filter {
    const char *type; /* glob */
    const char *subject, *source;
    uint64_t end_id; /* only ids below; UINT64_MAX: all */
};

/* How a page goes on. `text` is the caller's. */
struct event_page {
    enum stream stream;
    struct event_filter filter;
    uint64_t limit;   /* records wanted in all */
    uint64_t count;   /* written so far */
    uint64_t next_id; /* the record to look at next */
    bool full;        /* the limit, the bytes or end_id are reached */
};

/* What stands around one record in the text: before it (the id goes in where `id` is asked for) and
 * behind it. */
struct event_frame {
    const char *between; /* before all but the first */
    bool sse;            /* "id: N\nevent: STREAM\ndata: RECORD\n\n" */
};

/* Looks at `count` records of `body`, the first of which is page->next_id. MALFORMED, INVALID:
 * bytes that are no records. FULL or NO_MEMORY of the text. */
MUST_USE enum status event_page_add(struct event_page *page, const struct event_frame *frame,
                                    struct slice body, uint64_t count, struct buffer *text);

#endif
