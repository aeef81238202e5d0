/* user_activity: how much each user did, and what last.
 *
 * Every event of type user.… counts one for its subject; `last_event` is the part of its type
 * behind the first dot.
 */
#include "projector/views/text_rows.h"

static const char category[] = "user.";

struct value {
    uint64_t event_count;
    uint8_t last_bytes;
    uint8_t last[EVENT_TYPE_BYTES_MAX];
};

static void count_event(struct value *value, struct slice type)
{
    size_t skipped = sizeof category - 1;
    value->event_count++;
    value->last_bytes = (uint8_t)(type.size - skipped);
    memcpy(value->last, type.data + skipped, type.size - skipped);
}

static void apply_accepted(struct rows *rows, const struct view_context *context,
                           const struct accepted_record *records, uint32_t count)
{
    (void)context;
    struct text_rows group;
    text_rows_begin(&group, rows);
    for (uint32_t i = 0; i < count; i++)
        if (type_is_of(records[i].event.type, category))
            text_rows_add(&group, &records[i], records[i].event.subject, 1);
    text_rows_fetch(&group);
    for (uint32_t i = 0; i < group.count; i++) {
        struct value *value = text_rows_at(&group, i);
        if (value != NULL)
            count_event(value, group.items[i].record->event.type);
    }
}

static void write_value(const void *value, struct buffer *buffer)
{
    const struct value *v = value;
    codec_uint(buffer, v->event_count);
    codec_text_slice(buffer, (struct slice){v->last, v->last_bytes});
}

static const char *const columns[] = {"user", "event_count", "last_event"};

const struct view_type view_user_activity = {
    .name = "user_activity",
    .columns = columns,
    .column_count = 3,
    .key_column_count = 1,
    .value_bytes = sizeof(struct value),
    .write_value = write_value,
    .apply_accepted = apply_accepted,
};
