#include "projector/core/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/prefetch.h"
#include "common/base/table.h"
#include "common/event/codec.h"
#include "common/event/mp.h"
#include "projector/core/packed_row.h"
#include "projector/views/view.h"

enum {
    KEY_CHUNK_BYTES = 256 * 1024,
    INLINE_KEY_BYTES = 37, /* most keys; with the rest of the head 40 */
    ROW_ALIGNMENT = 64,    /* a cache line: a row of up to 24 bytes of value takes one */
    ROWS_FIRST = 64,
    CHANGE_HEAD_BYTES = 4 + 3 * 2, /* of a row that is taken */
    PREFETCHED_ROWS = 8,           /* on their way to the cache while one is digested */
    /* one row as MessagePack, with the view's name and headers; a value may double as text */
    ROW_ITEM_BYTES_MAX = ROW_KEY_BYTES_MAX + 2 * ROW_VALUE_BYTES_MAX + 256,
};

/* A row has one mark for each reader of changes that has not seen it yet. */
enum { MARK_DIGEST = 1, MARK_SAVE = 2, MARKS_ALL = MARK_DIGEST | MARK_SAVE };

/* Head of one row; the view's value follows it. What an event touches lies close together. */
struct row {
    uint16_t key_bytes;
    uint8_t marks;                 /* MARK_DIGEST: changed since the digest was brought up;
                                      MARK_SAVE: since it was taken, or nobody notes */
    uint8_t key[INLINE_KEY_BYTES]; /* the key; a longer one lies in a chunk: where (key_of) */
};
static_assert(sizeof(struct row) % 8 == 0, "the value behind it is aligned");

/* Long keys never move; they lie in chunks one after another. */
struct key_chunk {
    struct key_chunk *before;
    size_t used;
    uint8_t bytes[KEY_CHUNK_BYTES];
};

struct rows {
    const struct view_type *type;
    struct hash_seed seed;
    struct table table; /* key → place in `rows` */
    uint8_t *rows;      /* count × row_bytes, a mapping */
    size_t row_bytes;   /* head and value, a multiple of ROW_ALIGNMENT */
    uint32_t count, capacity;
    struct key_chunk *keys; /* the newest chunk of long keys */
    uint64_t left_out;
    struct digest digest;         /* of all rows; of the marked ones as they were before */
    struct digest *contributions; /* what the digest holds of each; room for `capacity` */
    uint32_t *marked;             /* places of the rows that changed since; likewise */
    uint32_t marked_count;
    bool notes_changes;
    uint32_t *unsaved; /* places of the rows to take; room for `capacity` where notes_changes */
    uint32_t unsaved_count;
    uint32_t *order;      /* places in sorted order */
    uint32_t order_count; /* rows that came later are not in it yet */
    struct buffer item;   /* scratch for one row, behind … */
    size_t item_head;     /* … so many bytes that are the same for all */
};

struct rows *rows_new(const struct view_type *type, const struct hash_seed *seed, uint32_t rows_max)
{
    assert(type->column_count <= VIEW_COLUMNS_MAX && type->key_column_count < type->column_count);
    assert(type->value_bytes <= ROW_VALUE_BYTES_MAX && rows_max <= ROWS_MAX);
    struct rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    rows->type = type;
    rows->seed = *seed;
    rows->row_bytes = (sizeof(struct row) + type->value_bytes + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT *
                      ROW_ALIGNMENT;
    table_init(&rows->table, rows_max);
    buffer_init(&rows->item, ROW_ITEM_BYTES_MAX);
    if (buffer_reserve(&rows->item, ROW_ITEM_BYTES_MAX) != STATUS_OK) {
        rows_destroy(&rows);
        return NULL;
    }
    codec_array(&rows->item, 2);
    codec_text(&rows->item, type->name);
    codec_array(&rows->item, type->column_count);
    rows->item_head = rows->item.size;
    return rows;
}

void rows_destroy(struct rows **rows)
{
    struct rows *old = *rows;
    if (old == NULL)
        return;
    table_fini(&old->table);
    if (old->rows != NULL)
        (void)munmap(old->rows, old->capacity * old->row_bytes);
    while (old->keys != NULL) {
        struct key_chunk *chunk = old->keys;
        old->keys = chunk->before;
        free(chunk);
    }
    free(old->contributions);
    free(old->marked);
    free(old->unsaved);
    free(old->order);
    buffer_fini(&old->item);
    free(old);
    *rows = NULL;
}

uint32_t rows_count(const struct rows *rows)
{
    return rows->count;
}

uint64_t rows_left_out(const struct rows *rows)
{
    return rows->left_out;
}

/* --- finding and entering --- */

static struct row *row_of(const struct rows *rows, uint32_t place)
{
    return (struct row *)(void *)(rows->rows + place * rows->row_bytes);
}

static struct slice key_of(const struct rows *rows, uint32_t place)
{
    const struct row *row = row_of(rows, place);
    struct slice key = {row->key, row->key_bytes};
    if (key.size > INLINE_KEY_BYTES)
        memcpy(&key.data, row->key, sizeof key.data);
    return key;
}

static bool key_equal(const void *owner, uint32_t slot, struct slice key)
{
    return slice_equal(key_of(owner, slot), key);
}

uint64_t rows_hash(const struct rows *rows, struct slice key)
{
    return hash_keyed(&rows->seed, key.data, key.size);
}

void rows_prefetch_place(const struct rows *rows, uint64_t hash)
{
    table_prefetch(&rows->table, hash);
}

static_assert(ROWS_NO_GUESS == TABLE_NONE, "a guess is what the table says");

uint32_t rows_prefetch_row(const struct rows *rows, uint64_t hash)
{
    uint32_t place = table_guess(&rows->table, hash);
    if (place != TABLE_NONE)
        prefetch(rows->rows + place * rows->row_bytes);
    return place;
}

/* Pages of zeros behind the rows there are, which may move; by the page, so that each row begins at
 * a cache line and a million rows move without being copied. */
static uint8_t *rows_map(const struct rows *rows, uint32_t capacity)
{
    size_t bytes = capacity * rows->row_bytes;
    void *map = rows->rows == NULL
                    ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                    : mremap(rows->rows, rows->capacity * rows->row_bytes, bytes, MREMAP_MAYMOVE);
    if (map == MAP_FAILED)
        return NULL;
    (void)madvise(map, bytes, MADV_HUGEPAGE); /* the processor knows few pages at a time */
    return map;
}

/* Room for one more row, its mark and its part of the digest. */
static enum status rows_reserve(struct rows *rows)
{
    if (rows->count < rows->capacity)
        return STATUS_OK;
    uint32_t capacity = rows->capacity > 0 ? rows->capacity * 2 : ROWS_FIRST;
    uint32_t *marked = realloc(rows->marked, capacity * sizeof *marked);
    if (marked == NULL)
        return STATUS_NO_MEMORY;
    rows->marked = marked;
    if (rows->notes_changes) {
        uint32_t *unsaved = realloc(rows->unsaved, capacity * sizeof *unsaved);
        if (unsaved == NULL)
            return STATUS_NO_MEMORY;
        rows->unsaved = unsaved;
    }
    struct digest *contributions = realloc(rows->contributions, capacity * sizeof *contributions);
    if (contributions == NULL)
        return STATUS_NO_MEMORY;
    rows->contributions = contributions;
    uint8_t *map = rows_map(rows, capacity); /* last: its size is what `capacity` says */
    if (map == NULL)
        return STATUS_NO_MEMORY;
    rows->rows = map;
    rows->capacity = capacity;
    return STATUS_OK;
}

/* Copies the key to where it stays. */
static enum status key_keep(struct rows *rows, struct row *row, struct slice key)
{
    row->key_bytes = (uint16_t)key.size;
    if (key.size <= INLINE_KEY_BYTES) {
        memcpy(row->key, key.data, key.size);
        return STATUS_OK;
    }
    if (rows->keys == NULL || KEY_CHUNK_BYTES - rows->keys->used < key.size) {
        struct key_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL)
            return STATUS_NO_MEMORY;
        chunk->before = rows->keys;
        chunk->used = 0;
        rows->keys = chunk;
    }
    uint8_t *copy = rows->keys->bytes + rows->keys->used;
    memcpy(copy, key.data, key.size);
    rows->keys->used += key.size;
    memcpy(row->key, &copy, sizeof copy);
    return STATUS_OK;
}

/* The place of a new row with this key, or TABLE_NONE. */
static uint32_t row_enter(struct rows *rows, uint64_t hash, struct slice key)
{
    if (rows->count >= rows->table.slots_max || rows_reserve(rows) != STATUS_OK)
        return TABLE_NONE;
    uint32_t place = rows->count;
    struct row *row = row_of(rows, place);
    memset(row, 0, rows->row_bytes);
    row->marks = rows->notes_changes ? 0 : MARK_SAVE;
    rows->contributions[place] = (struct digest){0};
    if (key_keep(rows, row, key) != STATUS_OK ||
        table_insert(&rows->table, hash, place) != STATUS_OK)
        return TABLE_NONE;
    rows->count++;
    return place;
}

static void mark(struct rows *rows, struct row *row, uint32_t place)
{
    if ((row->marks & MARK_DIGEST) == 0)
        rows->marked[rows->marked_count++] = place;
    if ((row->marks & MARK_SAVE) == 0)
        rows->unsaved[rows->unsaved_count++] = place;
    row->marks = MARKS_ALL;
}

void *rows_at(struct rows *rows, uint64_t hash, struct slice key)
{
    return rows_at_guess(rows, ROWS_NO_GUESS, hash, key);
}

void *rows_at_guess(struct rows *rows, uint32_t guess, uint64_t hash, struct slice key)
{
    assert(key.size > 0 && key.size <= ROW_KEY_BYTES_MAX);
    uint32_t place = guess;
    if (guess == ROWS_NO_GUESS || !key_equal(rows, guess, key))
        place = table_find(&rows->table, hash, key, key_equal, rows);
    if (place == TABLE_NONE)
        place = row_enter(rows, hash, key);
    if (place == TABLE_NONE) {
        rows->left_out++;
        return NULL;
    }
    struct row *row = row_of(rows, place);
    if (row->marks != MARKS_ALL)
        mark(rows, row, place);
    return row + 1;
}

/* --- digest --- */

static void digest_plus(struct digest *sum, const struct digest *term)
{
    sum->low += term->low;
    sum->high += term->high + (sum->low < term->low);
}

static void digest_minus(struct digest *sum, const struct digest *term)
{
    uint64_t borrow = sum->low < term->low;
    sum->low -= term->low;
    sum->high -= term->high + borrow;
}

/* The key columns and the others, one item after another. */
void rows_write_columns(const struct rows *rows, uint32_t place, struct buffer *buffer)
{
    struct slice key = key_of(rows, place);
    buffer_append(buffer, key.data, key.size);
    rows->type->write_value(row_of(rows, place) + 1, buffer);
}

/* Writes the row into the scratch item, [view, [column, …]]; gives the columns in it. */
static struct slice row_write_item(struct rows *rows, uint32_t place)
{
    rows->item.size = rows->item_head;
    rows_write_columns(rows, place, &rows->item);
    assert(rows->item.status == STATUS_OK); /* its room is reserved */
    return (struct slice){rows->item.data + rows->item_head, rows->item.size - rows->item_head};
}

/* Puts the scratch item in the place of what the digest holds of this row. */
static void digest_change(struct rows *rows, uint32_t place)
{
    struct digest *contribution = &rows->contributions[place];
    digest_minus(&rows->digest, contribution);
    *contribution = (struct digest){0};
    digest_add(contribution, rows->item.data, rows->item.size);
    digest_plus(&rows->digest, contribution);
    row_of(rows, place)->marks &= (uint8_t)~MARK_DIGEST;
}

/* Brings all of a row towards the cache. */
static void prefetch_row(const struct rows *rows, uint32_t place)
{
    const uint8_t *row = rows->rows + place * rows->row_bytes;
    prefetch(row);
    prefetch(row + rows->row_bytes - 1);
}

struct digest rows_digest(struct rows *rows)
{
    for (uint32_t i = 0; i < rows->marked_count; i++) {
        if (i + PREFETCHED_ROWS < rows->marked_count) {
            prefetch_row(rows, rows->marked[i + PREFETCHED_ROWS]);
            prefetch(&rows->contributions[rows->marked[i + PREFETCHED_ROWS]]);
        }
        row_write_item(rows, rows->marked[i]);
        digest_change(rows, rows->marked[i]);
    }
    rows->marked_count = 0;
    return rows->digest;
}

/* --- order --- */

static int compare_integers(struct mp_reader *a, struct mp_reader *b)
{
    int64_t signed_a = 0, signed_b = 0;
    uint64_t a_value = 0, b_value = 0;
    bool a_natural = mp_read_uint(a, &a_value) == STATUS_OK;
    bool b_natural = mp_read_uint(b, &b_value) == STATUS_OK;
    if (a_natural && b_natural)
        return (a_value > b_value) - (a_value < b_value);
    if (a_natural || b_natural)
        return a_natural ? 1 : -1;
    if (mp_read_int(a, &signed_a) != STATUS_OK || mp_read_int(b, &signed_b) != STATUS_OK)
        return 0;
    return (signed_a > signed_b) - (signed_a < signed_b);
}

/* One column of two keys: integers before texts. */
static int compare_items(struct mp_reader *a, struct mp_reader *b)
{
    struct slice text_a, text_b;
    bool a_is_text = mp_read_text(a, &text_a) == STATUS_OK;
    bool b_is_text = mp_read_text(b, &text_b) == STATUS_OK;
    if (a_is_text && b_is_text)
        return slice_compare(text_a, text_b);
    if (a_is_text != b_is_text)
        return a_is_text ? 1 : -1;
    return compare_integers(a, b);
}

static int compare_places(const void *left, const void *right, void *owner)
{
    const struct rows *rows = owner;
    struct mp_reader a = mp_reader_of(key_of(rows, *(const uint32_t *)left));
    struct mp_reader b = mp_reader_of(key_of(rows, *(const uint32_t *)right));
    int order = 0;
    for (uint32_t i = 0; i < rows->type->key_column_count && order == 0; i++)
        order = compare_items(&a, &b);
    return order;
}

static bool is_in_order(struct rows *rows, const uint32_t *places, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (compare_places(&places[i - 1], &places[i], rows) > 0)
            return false;
    return true;
}

/* Rows are never taken out, so only the new ones are sorted, and merged from the back with those
 * before. */
enum status rows_sort(struct rows *rows)
{
    uint32_t old = rows->order_count, fresh = rows->count - old;
    if (fresh == 0)
        return STATUS_OK;
    uint32_t *order = realloc(rows->order, rows->capacity * sizeof *order);
    if (order == NULL)
        return STATUS_NO_MEMORY;
    rows->order = order;
    uint32_t *places = malloc(fresh * sizeof *places);
    if (places == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < fresh; i++)
        places[i] = old + i;
    if (!is_in_order(rows, places, fresh)) /* those of a snapshot are */
        qsort_r(places, fresh, sizeof *places, compare_places, rows);
    for (uint32_t at = rows->count; fresh > 0; at--) {
        bool take_old = old > 0 && compare_places(&order[old - 1], &places[fresh - 1], rows) > 0;
        order[at - 1] = take_old ? order[--old] : places[--fresh];
    }
    free(places);
    rows->order_count = rows->count;
    return STATUS_OK;
}

void rows_write(struct rows *rows, uint32_t place, struct buffer *buffer)
{
    assert(place < rows->order_count);
    struct mp_reader reader = mp_reader_of(row_write_item(rows, rows->order[place]));
    codec_map(buffer, rows->type->column_count);
    for (uint32_t i = 0; i < rows->type->column_count; i++) {
        struct slice item = {0};
        enum status status = mp_read_raw(&reader, &item);
        assert(status == STATUS_OK); /* the view wrote one item per column */
        (void)status;
        codec_text(buffer, rows->type->columns[i]);
        buffer_append(buffer, item.data, item.size);
    }
}

/* --- to the database and back --- */

void rows_note_changes(struct rows *rows)
{
    assert(rows->count == 0);
    rows->notes_changes = true;
}

uint32_t rows_unsaved(const struct rows *rows)
{
    return rows->unsaved_count;
}

/* head: place, sizes of key, columns and value; then columns and value. */
static void change_write(const struct rows *rows, uint32_t place, struct slice columns,
                         struct buffer *buffer)
{
    const struct row *row = row_of(rows, place);
    uint8_t head[CHANGE_HEAD_BYTES];
    uint16_t sizes[] = {row->key_bytes, (uint16_t)columns.size, (uint16_t)rows->type->value_bytes};
    memcpy(head, &place, sizeof place);
    memcpy(head + sizeof place, sizes, sizeof sizes);
    buffer_append(buffer, head, sizeof head);
    buffer_append(buffer, columns.data, columns.size);
    buffer_append(buffer, row + 1, rows->type->value_bytes);
}

enum status rows_take_changes(struct rows *rows, struct buffer *buffer)
{
    while (rows->unsaved_count > 0 && buffer->bytes_max - buffer->size >= ROW_ITEM_BYTES_MAX) {
        if (rows->unsaved_count > PREFETCHED_ROWS)
            prefetch_row(rows, rows->unsaved[rows->unsaved_count - 1 - PREFETCHED_ROWS]);
        uint32_t place = rows->unsaved[rows->unsaved_count - 1];
        change_write(rows, place, row_write_item(rows, place), buffer);
        if (buffer->status != STATUS_OK)
            return buffer->status;
        row_of(rows, place)->marks &= (uint8_t)~MARK_SAVE;
        rows->unsaved_count--;
    }
    return STATUS_OK;
}

struct rows_change rows_change_read(struct slice *changes)
{
    struct rows_change change;
    uint16_t sizes[3];
    const uint8_t *at = changes->data;
    assert(changes->size >= CHANGE_HEAD_BYTES); /* rows_take_changes wrote it */
    memcpy(&change.place, at, sizeof change.place);
    memcpy(sizes, at + sizeof change.place, sizeof sizes);
    at += CHANGE_HEAD_BYTES;
    change.key = (struct slice){at, sizes[0]};
    change.columns = (struct slice){at, sizes[1]};
    change.value = (struct slice){at + sizes[1], sizes[2]};
    size_t size = (size_t)CHANGE_HEAD_BYTES + sizes[1] + sizes[2];
    *changes = (struct slice){changes->data + size, changes->size - size};
    return change;
}

void rows_unsave(struct rows *rows)
{
    rows->unsaved_count = 0;
    for (uint32_t place = 0; place < rows->count && rows->notes_changes; place++) {
        row_of(rows, place)->marks |= MARK_SAVE;
        rows->unsaved[rows->unsaved_count++] = place;
    }
}

/* Are these key columns as a view writes them? */
static bool key_is_good(const struct rows *rows, struct slice key)
{
    struct mp_reader reader = mp_reader_of(key);
    for (uint32_t i = 0; i < rows->type->key_column_count; i++) {
        enum mp_type type;
        if (mp_peek(&reader, &type) != STATUS_OK || mp_skip(&reader) != STATUS_OK ||
            (type != MP_TEXT && type != MP_UINT && type != MP_NEGATIVE))
            return false;
    }
    return mp_at_end(&reader);
}

enum status rows_restore(struct rows *rows, struct slice key, struct slice value)
{
    if (key.size == 0 || key.size > ROW_KEY_BYTES_MAX || value.size != rows->type->value_bytes ||
        !key_is_good(rows, key))
        return STATUS_INVALID;
    uint64_t hash = rows_hash(rows, key);
    if (table_find(&rows->table, hash, key, key_equal, rows) != TABLE_NONE)
        return STATUS_INVALID;
    uint32_t place = row_enter(rows, hash, key);
    if (place == TABLE_NONE)
        return rows->count >= rows->table.slots_max ? STATUS_FULL : STATUS_NO_MEMORY;
    struct row *row = row_of(rows, place);
    memcpy(row + 1, value.data, value.size);
    row->marks |= MARK_DIGEST;
    rows->marked[rows->marked_count++] = place;
    return STATUS_OK;
}

void rows_restore_left_out(struct rows *rows, uint64_t left_out)
{
    rows->left_out = left_out;
}

enum status rows_pack(struct rows *rows, struct buffer *buffer)
{
    struct slice before = {NULL, 0};
    if (rows_sort(rows) != STATUS_OK)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < rows->count; i++) {
        if (i + PREFETCHED_ROWS < rows->count)
            prefetch_row(rows, rows->order[i + PREFETCHED_ROWS]);
        uint32_t place = rows->order[i];
        struct slice key = key_of(rows, place);
        struct slice value = {(const uint8_t *)(row_of(rows, place) + 1), rows->type->value_bytes};
        if (buffer_reserve(buffer, PACKED_ROW_BYTES_MAX) != STATUS_OK)
            return buffer->status;
        uint8_t *at = buffer->data + buffer->size;
        buffer->size += (size_t)(packed_row_put(at, before, key, value) - at);
        before = key;
    }
    return STATUS_OK;
}

enum status rows_unpack(struct rows *rows, struct slice packed)
{
    struct packed_row row = {.key_bytes = 0};
    size_t value_bytes = rows->type->value_bytes;
    enum status status = STATUS_OK;
    while (packed.size > 0 && status == STATUS_OK) {
        status = packed_row_read(&packed, value_bytes, &row);
        if (status == STATUS_OK)
            status = rows_restore(rows, (struct slice){row.key, row.key_bytes},
                                  (struct slice){row.value, value_bytes});
    }
    return status;
}
