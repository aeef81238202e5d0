/* line_event: what a line of a file or stream is to every command that takes JSON Lines: one event
 * and whose it is.
 */
#ifndef WEIR_COMMON_UPLOAD_LINE_EVENT_H
#define WEIR_COMMON_UPLOAD_LINE_EVENT_H

#include "common/base/buffer.h"
#include "common/event/event.h"

/* Appends the event's MessagePack, as json_read_event does, and gives its source: `source` if it is
 * not NULL, else the line's. END: a blank line. BAD_INPUT, NO_MEMORY: with the reason in one line
 * for people; nothing was appended. */
MUST_USE enum status line_event_read(struct slice line, const char *source, uint64_t now_ns,
                                     struct buffer *event,
                                     char ret_source[EVENT_SOURCE_BYTES_MAX + 1],
                                     struct detail *ret_reason);

#endif
