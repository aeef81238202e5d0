#include "common/upload/line_event.h"

#include <string.h>

#include "common/event/json.h"

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (memchr(" \t\r", line.data[i], 3) == NULL)
            return false;
    return true;
}

enum status line_event_read(struct slice line, const char *source, uint64_t now_ns,
                            struct buffer *event, char ret_source[EVENT_SOURCE_BYTES_MAX + 1],
                            struct detail *ret_reason)
{
    char own[EVENT_SOURCE_BYTES_MAX + 1];
    if (is_blank(line))
        return STATUS_END;
    size_t size_before = event->size;
    enum status status = json_read_event(line, now_ns, event, own, ret_reason);
    if (status == STATUS_FULL || status == STATUS_NO_MEMORY)
        return detail_set(ret_reason, STATUS_NO_MEMORY, "%s", status_text(status));
    if (status != STATUS_OK)
        return status;
    const char *name = source != NULL ? source : own;
    if (name[0] == '\0') {
        event->size = size_before;
        return detail_set(ret_reason, STATUS_BAD_INPUT,
                          "source: missing, and no --source was given");
    }
    strcpy(ret_source, name);
    return STATUS_OK;
}
