#include "common/event/upcast/upcast.h"

#include <string.h>

static const struct upcast *find(const struct upcast *const *table, uint32_t count,
                                 struct slice type, uint16_t from)
{
    for (uint32_t i = 0; i < count; i++)
        if (table[i]->from == from && slice_equal_text(type, table[i]->type))
            return table[i];
    return NULL;
}

/* Does a migration of the type begin at a lower version than `from`? */
static bool begins_lower(const struct upcast *const *table, uint32_t count,
                         const struct upcast *upcast)
{
    for (uint32_t i = 0; i < count; i++)
        if (table[i]->from < upcast->from && strcmp(table[i]->type, upcast->type) == 0)
            return true;
    return false;
}

enum status upcast_check(const struct upcast *const *table, uint32_t count,
                         struct detail *ret_detail)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct upcast *upcast = table[i];
        if (upcast->from == 0 || upcast->from == EVENT_SCHEMA_VERSION_MAX)
            return detail_set(ret_detail, STATUS_CONFIG,
                              "migration %s: version %u leads to no other", upcast->name,
                              upcast->from);
        const struct upcast *same = find(table, i, slice_of_text(upcast->type), upcast->from);
        if (same != NULL)
            return detail_set(ret_detail, STATUS_CONFIG,
                              "migrations %s and %s both lead from version %u of %s", same->name,
                              upcast->name, upcast->from, upcast->type);
        if (begins_lower(table, count, upcast) &&
            find(table, count, slice_of_text(upcast->type), (uint16_t)(upcast->from - 1)) == NULL)
            return detail_set(ret_detail, STATUS_CONFIG,
                              "migration %s leads from version %u of %s, but none leads from "
                              "version %u to there",
                              upcast->name, upcast->from, upcast->type, upcast->from - 1);
    }
    return STATUS_OK;
}

enum status upcast_event_with(const struct upcast *const *table, uint32_t count,
                              struct event *event, struct buffer *scratch,
                              struct detail *ret_detail)
{
    const struct upcast *upcast = find(table, count, event->type, event->schema_version);
    if (upcast == NULL)
        return STATUS_OK;
    struct event migrated = *event;
    size_t before = scratch->size;
    for (; upcast != NULL; upcast = find(table, count, migrated.type, migrated.schema_version)) {
        size_t start = scratch->size;
        enum status status = upcast->change(migrated.data, scratch, ret_detail);
        if (status == STATUS_OK)
            status = scratch->status;
        if (status != STATUS_OK) {
            scratch->size = before;
            scratch->status = STATUS_OK;
            return status;
        }
        if (scratch->size > start)
            migrated.data = (struct slice){scratch->data + start, scratch->size - start};
        migrated.schema_version++;
    }
    *event = migrated;
    return STATUS_OK;
}

enum status upcast_event(struct event *event, struct buffer *scratch, struct detail *ret_detail)
{
    return upcast_event_with(upcasts, upcast_count, event, scratch, ret_detail);
}

struct event upcast_original(const struct event *event)
{
    struct event original;
    struct mp_reader reader = mp_reader_of(event->raw);
    return event_read_stored(&reader, &original) == STATUS_OK ? original : *event;
}

bool upcast_is_due(const struct event *event)
{
    return find(upcasts, upcast_count, event->type, event->schema_version) != NULL;
}
