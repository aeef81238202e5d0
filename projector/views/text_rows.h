/* text_rows: what most views do: the events of some types change the row of one text.
 *
 * A group of events is taken in three passes, so that the cache misses of all of its rows overlap:
 * text_rows_add for each event that counts, text_rows_fetch once, then text_rows_at for each place.
 * The group is the caller's, for one call of apply_accepted.
 */
#ifndef WEIR_PROJECTOR_VIEWS_TEXT_ROWS_H
#define WEIR_PROJECTOR_VIEWS_TEXT_ROWS_H

#include <assert.h>

#include "common/event/codec.h"
#include "projector/views/view.h"

enum { TEXT_ROWS_KEY_BYTES_MAX = 256 }; /* of the text */

/* One event and the row that it changes. */
struct text_row {
    const struct accepted_record *record;
    uint64_t amount; /* what the view noted in its first pass */
    uint64_t hash;
    struct slice key; /* in text_rows.keys */
};

struct text_rows {
    struct rows *rows;
    uint32_t count;
    size_t key_bytes; /* of all keys so far */
    struct text_row items[VIEW_GROUP_MAX];
    /* One behind the other, so that the group takes few cache lines. */
    uint8_t keys[VIEW_GROUP_MAX * (TEXT_ROWS_KEY_BYTES_MAX + CODEC_TEXT_HEADER_BYTES_MAX)];
};

/* Is the type `category` (which ends in a dot) and something behind it? */
static inline bool type_is_of(struct slice type, const char *category)
{
    size_t size = strlen(category);
    return type.size > size && memcmp(type.data, category, size) == 0;
}

/* The items stay as they are, for they are large. */
static inline void text_rows_begin(struct text_rows *group, struct rows *rows)
{
    group->rows = rows;
    group->count = 0;
    group->key_bytes = 0;
}

/* The row of `text` (≤ TEXT_ROWS_KEY_BYTES_MAX) is to be changed by `record`. */
static inline void text_rows_add(struct text_rows *group, const struct accepted_record *record,
                                 struct slice text, uint64_t amount)
{
    assert(group->count < VIEW_GROUP_MAX && text.size <= TEXT_ROWS_KEY_BYTES_MAX);
    struct text_row *item = &group->items[group->count++];
    item->record = record;
    item->amount = amount;
    uint8_t *key = group->keys + group->key_bytes;
    item->key = (struct slice){key, (size_t)(codec_put_text(key, text) - key)};
    group->key_bytes += item->key.size;
}

/* Hashes all keys and brings their rows towards the cache. Not before all are written: words just
 * written in pieces are slow to read. */
static inline void text_rows_fetch(struct text_rows *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct text_row *item = &group->items[i];
        item->hash = rows_hash(group->rows, item->key);
        rows_prefetch_place(group->rows, item->hash);
    }
    for (uint32_t i = 0; i < group->count; i++)
        rows_prefetch_row(group->rows, group->items[i].hash);
}

/* The value of the row of item `place`; as rows_at. */
static inline void *text_rows_at(struct text_rows *group, uint32_t place)
{
    const struct text_row *item = &group->items[place];
    return rows_at(group->rows, item->hash, item->key);
}

#endif
